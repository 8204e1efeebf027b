/** Whole plans of a container's start and of live changes, from the pieces of interface-plan.ts. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import type { SandboxRecord } from "../record.ts";
import { planAnnouncement } from "./announcement.ts";
import {
  CLONE_NEWNET,
  FIRST_INDEX,
  type HostEnd,
  planBind,
  planContainerEnd,
  planDefaultRoutes,
  planDnsRedirect,
  planEnter,
  planHostEnd,
  planNamespace,
  planVeth,
} from "./interface-plan.ts";

export interface End extends HostEnd {
  /** IFLA_GROUP of what is ours on the host. */
  readonly group: number;
}

const HOST_SLOT = 1;

const rememberHost = (): Operation =>
  operation("open", { slot: HOST_SLOT, flags: 0, path: "/proc/self/ns/net" }, { cause: "the host's namespace" });
const backToHost = (): Operation =>
  operation("setns", { slot: HOST_SLOT, nstype: CLONE_NEWNET }, { cause: "the host's namespace" });

/** A ready namespace becomes a container's. The first end's pair is in it already. */
export function pooledPlan(record: SandboxRecord, readyPath: string, ends: readonly End[]): Operation[] {
  return [
    rememberHost(),
    ...planEnter(readyPath),
    ...ends.flatMap((end) => (end.endpoint.index === FIRST_INDEX ? [] : [vethOf(end)])),
    ...ends.flatMap((end) => planContainerEnd(end.endpoint, end.network)),
    ...(record.dnsRedirected ? [planDnsRedirect(record.dnsPort)] : []),
    ...gatewayRoutes(record, "add"),
    backToHost(),
    ...ends.map(planHostEnd),
    ...ends.flatMap(planAnnouncement),
    ...planBind(readyPath, record.netnsPath),
  ];
}

/** A namespace with nothing but loopback. */
export const freshPlan = (record: SandboxRecord): Operation[] => planNamespace(record.netnsPath);

export interface LiveChange {
  readonly before: SandboxRecord;
  readonly after: SandboxRecord;
  readonly added: End | undefined;
}

/** In a running container: one more interface, DNS when it had none, the default route where it belongs now. */
export function attachPlan(change: LiveChange): Operation[] {
  const { before, after, added } = change;
  const end = added ? [added] : [];
  return [
    rememberHost(),
    ...planEnter(after.netnsPath),
    ...end.map(vethOf),
    ...end.flatMap((one) => planContainerEnd(one.endpoint, one.network)),
    ...(after.dnsRedirected && !before.dnsRedirected ? [planDnsRedirect(after.dnsPort)] : []),
    ...(gatewayId(before) === gatewayId(after)
      ? []
      : [...gatewayRoutes(before, "delete"), ...gatewayRoutes(after, "add")]),
    backToHost(),
    ...end.map(planHostEnd),
    ...end.flatMap(planAnnouncement),
  ];
}

const gatewayId = (record: SandboxRecord): string => record.endpoints.find((one) => one.isGateway)?.endpointId ?? "";

const gatewayRoutes = (record: SandboxRecord, how: "add" | "delete"): Operation[] =>
  record.endpoints.filter((one) => one.isGateway).flatMap((one) => planDefaultRoutes(one, how));

const vethOf = ({ endpoint, network, group }: End): Operation =>
  planVeth({
    name: endpoint.ifName,
    index: endpoint.index,
    mac: endpoint.mac,
    mtu: network.mtu,
    peerName: endpoint.hostInterface,
    peerNamespacePid: process.pid,
    peerGroup: group,
  });
