/**
 * One engine at a time looks at the host's interfaces and takes a name and a subnet among them: two that start at once would take the same.
 * The turn is an abstract unix socket: its name is held once per network namespace, and the kernel lets go of it when the holder dies.
 */
import { createServer, type Server } from "node:net";
import type { Log } from "../platform/log.ts";

const NAME = "\0hull-network-turn";
const STEP_MS = 10;
/** Any local process can hold the name: nobody waits for ever. */
const PATIENCE_MS = 5000;

/** Runs `work` while no other engine of this network namespace does the like. */
export async function inHostTurn<T>(log: Log, work: () => Promise<T>): Promise<T> {
  const turn = await takeTurn();
  if (!turn)
    log.warn(`somebody holds the socket @${NAME.slice(1)} for more than ${PATIENCE_MS / 1000} s: going on without`);
  try {
    return await work();
  } finally {
    turn?.close();
  }
}

async function takeTurn(): Promise<Server | undefined> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const server = await listen();
    if (server || Date.now() > giveUpAt) return server;
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Undefined: somebody else holds it. */
function listen(): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(NAME, () => resolve(server));
  });
}
