/** Secrets and ssh agents of a client's session. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { codeOf, HullError } from "../../platform/errors.ts";
import { Outgoing } from "../files/transfer/outgoing.ts";
import { Secrets as SecretService } from "../gen/moby/secrets/secrets_pb.ts";
import { SSH } from "../gen/moby/sshforward/v1/ssh_pb.ts";
import type { Secrets } from "../solver/ports.ts";
import type { Session } from "./session.ts";

/** A client that is not asked for any has none to offer. */
const none = new Set(["not-found", "unimplemented", "failed-precondition"]);

/** `directory`: where the agents' sockets are made. */
export function clientSecrets(session: Session, directory: string): Secrets {
  return {
    secret: async (id, signal) => {
      try {
        const { data } = await session.call(SecretService.method.getSecret, { ID: id }, signal);
        return Buffer.from(data);
      } catch (error) {
        if (none.has(codeOf(error))) return undefined;
        throw error;
      }
    },
    sshAgent: async (id, signal) => {
      try {
        await session.call(SSH.method.checkAgent, { ID: id }, signal);
      } catch (error) {
        if (none.has(codeOf(error)) || codeOf(error) === "internal") return undefined;
        throw error;
      }
      return forward(session, { id, directory, signal });
    },
  };
}

interface Forwarding {
  readonly id: string;
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** A socket whose every connection is one to the client's agent. */
async function forward(session: Session, { id, directory, signal }: Forwarding) {
  const place = await mkdtemp(join(directory, "ssh-"));
  const socketPath = join(place, "agent");
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    void relay(session, socket, { id, signal }).finally(() => socket.destroy());
  });
  const undo = async (): Promise<void> => {
    server.close();
    for (const socket of open) socket.destroy();
    await rm(place, { recursive: true, force: true });
  };
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: socketPath }, resolve);
    });
  } catch (error) {
    await undo();
    throw new HullError("internal", `make a socket for the ssh agent ${id}`, { cause: error });
  }
  return { socketPath, [Symbol.asyncDispose]: undo };
}

/** An agent's messages are small; one that is not read holds nobody else up. */
async function relay(session: Session, socket: Socket, { id, signal }: Omit<Forwarding, "directory">): Promise<void> {
  const towards = new Outgoing<{ data: Uint8Array }>();
  socket.on("data", (data: Buffer) => towards.push({ data }));
  socket.once("end", () => towards.end());
  socket.once("close", () => towards.end());
  const metadata = { "buildkit.ssh.id": id };
  try {
    for await (const { data } of session.converse(SSH.method.forwardAgent, { metadata, signal }, towards)) {
      if (socket.destroyed) return;
      if (!socket.write(data)) await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    }
    socket.end();
  } catch {
    socket.destroy(); // The agent has gone: whoever speaks to it sees its connection end.
  }
}
