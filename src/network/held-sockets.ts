/** For tests: makes a pause in a network namespace that holds the given sockets, as a container's start does. Arguments: JSON. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Operation, operation } from "../keel/plan.ts";
import { KeelServe } from "../keel/serve.ts";
import { stageOf } from "../keel/shim-harness.ts";
import type { DnsSocket } from "./api.ts";
import { planEnter } from "./sandbox/interface-plan.ts";

interface Wanted {
  readonly directory: string;
  readonly id: string;
  readonly netnsPath: string;
  readonly sockets: readonly DnsSocket[];
}

const FIRST_SLOT = 4;
const { directory, id, netnsPath, sockets } = JSON.parse(process.argv[2] ?? "{}") as Wanted;
mkdirSync(directory, { recursive: true });
await using keel = await KeelServe.open();
const hold = sockets.flatMap((socket, index): Operation[] => [
  operation("bindSocket", {
    slot: FIRST_SLOT + index,
    family: socket.family,
    type: socket.type,
    address: socket.address,
  }),
  operation("hold", { slot: FIRST_SLOT + index, name: socket.name }),
]);
await keel.launch({
  container: {
    id,
    namespace: "test",
    stateDir: directory,
    pauseSocket: join(directory, "p"),
    shimSocket: join(directory, "s"),
  },
  stdio: {},
  host: [],
  pause: [...planEnter(netnsPath), ...hold],
  stage: stageOf(["/bin/sleep", "1000"], { pidNamespace: true }),
});
