/** What the host's network namespace has now: interfaces, addresses, directly attached networks. One plan, five dumps. */
import type { Prefix } from "../ipam/prefix.ts";
import type { Kernel } from "../kernel.ts";
import {
  decodeAddress,
  decodeOnLinkRoute,
  type InterfaceAddress,
  listAddresses,
  listRoutes,
} from "../netlink/address.ts";
import { decodeLink, type Link, listLinks } from "../netlink/link.ts";
import { type DecodedMessage, decodeMessages } from "../netlink/message.ts";
import { netlink } from "../sandbox/interface-plan.ts";

export interface HostView {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** With the interface's name. */
  readonly onLink: readonly { readonly prefix: Prefix; readonly interface: string }[];
}

const present = <T>(value: T | undefined): value is T => value !== undefined;

export async function viewHost(kernel: Kernel): Promise<HostView> {
  const plan = [listLinks(), listAddresses(4), listAddresses(6), listRoutes(4), listRoutes(6)].map((message) =>
    netlink([message], "look at the host's interfaces"),
  );
  const { outputs } = await kernel.run(plan);
  const messages: DecodedMessage[] = plan.flatMap((_, index) => decodeMessages(outputs.get(index) ?? Buffer.alloc(0)));
  const links = messages.map(decodeLink).filter(present);
  const nameOf = new Map(links.map((link) => [link.index, link.name]));
  return {
    links,
    addresses: messages.map(decodeAddress).filter(present),
    onLink: messages
      .map(decodeOnLinkRoute)
      .filter(present)
      .map(({ network, prefixLength, index }) => ({
        prefix: { family: network.family, base: network.value, bits: prefixLength },
        interface: nameOf.get(index) ?? "",
      })),
  };
}
