/** A typed client of hull-netd, for hulld. */
import { join } from "node:path";
import { RpcClient } from "../platform/rpc-client.ts";
import { NETD_SOCKET, type NetdMethods } from "./api.ts";

export type NetdClient = RpcClient<NetdMethods>;

/** `onState` hears of each connect (true) and break (false) of the kept connection. */
export function openNetdClient(execRoot: string, onState?: (up: boolean) => void): NetdClient {
  return new RpcClient<NetdMethods>(join(execRoot, NETD_SOCKET), onState, "hull-netd");
}
