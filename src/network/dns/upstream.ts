/** Asks name servers from the host's namespace, one after the other. */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { HullError } from "../../platform/errors.ts";
import { isServerFailure, rcodeOf } from "./answer.ts";

const PER_SERVER_MS = 4000;
const MAX_SERVERS = 3;

export interface Server {
  readonly address: string;
  readonly port: number;
}

/**
 * The first answer that is no SERVFAIL or REFUSED; the last failing one when all fail; undefined when nobody answered. The query's id is
 * replaced by a random one on the way.
 */
export async function askUpstream(
  query: Buffer,
  servers: readonly Server[],
  isTcp: boolean,
): Promise<Buffer | undefined> {
  let last: Buffer | undefined;
  for (const server of servers.slice(0, MAX_SERVERS)) {
    const id = randomInt(0x10000);
    const sent = Buffer.from(query);
    sent.writeUInt16BE(id, 0);
    const answer = await (isTcp ? askTcp(sent, server) : askUdp(sent, server)).catch(() => undefined);
    if (!answer || answer.length < 12) continue;
    const reply = Buffer.from(answer);
    reply.writeUInt16BE(query.readUInt16BE(0), 0);
    if (!isServerFailure(rcodeOf(reply))) return reply;
    last = reply;
  }
  return last;
}

const timeout = (server: Server): HullError =>
  new HullError("deadline-exceeded", `name server ${server.address} did not answer within ${PER_SERVER_MS} ms`);

function askUdp(query: Buffer, server: Server): Promise<Buffer> {
  const socket = createSocket(server.address.includes(":") ? "udp6" : "udp4");
  return new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(timeout(server)), PER_SERVER_MS);
    socket.on("error", reject);
    socket.on("message", (answer) => {
      if (answer.length < 2 || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return;
      clearTimeout(timer);
      resolve(answer);
    });
    // Connected: only this server's answers come in, and that nobody listens there is told at once.
    socket.once("connect", () => {
      socket.send(query, (error) => {
        if (error) reject(error);
      });
    });
    socket.connect(server.port, server.address);
    socket.once("close", () => clearTimeout(timer));
  }).finally(() => socket.close());
}

function askTcp(query: Buffer, server: Server): Promise<Buffer> {
  const socket = connect({ host: server.address, port: server.port });
  return new Promise<Buffer>((resolve, reject) => {
    let seen = Buffer.alloc(0);
    socket.setTimeout(PER_SERVER_MS, () => reject(timeout(server)));
    socket.once("connect", () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on("error", reject);
    socket.on("close", () =>
      reject(new HullError("unavailable", `name server ${server.address} closed the connection`)),
    );
    socket.on("data", (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length >= 2 && seen.length >= 2 + seen.readUInt16BE(0))
        resolve(seen.subarray(2, 2 + seen.readUInt16BE(0)));
    });
  }).finally(() => socket.destroy());
}
