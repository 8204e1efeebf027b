/** `run --rm busybox true`: ours by both clients, against docker on dockerd. */
import type { TestEngine } from "../../test/engine.ts";
import { mediansInTurn } from "../measure.ts";
import type { PeerDocker } from "../peer-docker.ts";
import { ms, type Row, times } from "../row.ts";

const TARGET_MS = 50;

export async function runRows(engine: TestEngine, peer: PeerDocker, hull: string): Promise<Row[]> {
  const args = ["run", "--rm", "busybox", "true"];
  const ours = { DOCKER_HOST: `unix://${engine.socket}` };
  const [byHull, byDocker, byPeer] = (await mediansInTurn([
    { command: [hull, ...args], env: ours },
    { command: ["docker", ...args], env: ours },
    { command: ["docker", ...args], env: peer.env },
  ])) as [number, number, number];
  return [
    {
      what: "`hull run --rm busybox true`, whole process, default bridge",
      figure: `${ms(byHull)} (${times(byPeer / byHull)} faster)`,
      peer: `docker CLI + dockerd ${ms(byPeer)}`,
      target: "8x faster, under 50 ms",
      met: byPeer / byHull >= 8 && byHull < TARGET_MS,
      must: true,
    },
    {
      what: "the same through the docker CLI on hulld",
      figure: `${ms(byDocker)} (${times(byPeer / byDocker)} faster)`,
      peer: `docker CLI + dockerd ${ms(byPeer)}`,
      target: "5x faster",
      met: byPeer / byDocker >= 5,
      must: true,
    },
  ];
}
