/** What pause does before it holds: the network and UTS namespaces of the spec, and the sockets it keeps. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";

const CLONE_NEWUTS = 0x04000000;
const CLONE_NEWNET = 0x40000000;
const O_RDONLY = 0;

export interface SpecNamespace {
  readonly type: string;
  readonly path?: string | undefined;
}

export interface HeldSocket {
  /** AF_INET 2, AF_INET6 10. */
  readonly family: number;
  /** SOCK_STREAM 1, SOCK_DGRAM 2. */
  readonly type: number;
  readonly address: string;
  readonly name: string;
}

/** The `pause` section. A namespace of the spec with a path is joined, one without is made, an absent one is the host's. */
export function sandboxOperations(namespaces: readonly SpecNamespace[], sockets: readonly HeldSocket[]): Operation[] {
  const network = namespaces.find((one) => one.type === "network");
  const uts = namespaces.find((one) => one.type === "uts");
  const made = network !== undefined && !network.path;
  return [
    ...enter(network, CLONE_NEWNET, 0),
    ...(made ? [operation("linkUp", { name: "lo" }, { cause: "sandbox" })] : []),
    ...enter(uts, CLONE_NEWUTS, 1),
    ...sockets.flatMap(({ family, type, address, name }, i) => {
      const slot = 2 + i;
      return [
        operation("bindSocket", { slot, family, type, address }, { cause: `socket ${name}`, subject: address }),
        operation("hold", { slot, name }, { cause: `socket ${name}` }),
      ];
    }),
  ];
}

function enter(namespace: SpecNamespace | undefined, flag: number, slot: number): Operation[] {
  if (namespace === undefined) return [];
  const cause = `config.json namespace ${namespace.type}`;
  if (!namespace.path) return [operation("unshare", { flags: flag }, { cause, subject: namespace.type })];
  return [
    operation("open", { slot, flags: O_RDONLY, path: namespace.path }, { cause }),
    operation("setns", { slot, nstype: flag }, { cause, subject: namespace.path }),
    operation("close", { slot }, { cause }),
  ];
}
