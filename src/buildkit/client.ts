/** hull-buildkitd's connections as a client sees them: one connection for one request. */
import type { Socket } from "node:net";
import { HullError } from "../platform/errors.ts";
import { FramedSocket } from "../platform/framed-socket.ts";
import type { BuilderAnswer, BuilderPong, BuilderRequest } from "./api.ts";

const PEER = "hull-buildkitd";

/** Asks over a new connection and waits until it is taken up. Throws the daemon's refusal; unavailable when it was just ending. */
export async function ask(
  socket: Socket,
  request: Partial<BuilderRequest> & Pick<BuilderRequest, "kind">,
): Promise<FramedSocket> {
  const connection = new FramedSocket(socket, PEER);
  try {
    await connection.writeLine({
      query: "",
      registryConfig: "",
      version: "",
      traceparent: "",
      session: {},
      upload: null,
      ...request,
    });
    await answerOf(connection);
    return connection;
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

/** The next answer line. Throws when it is a failure: its status is the error's fact `httpStatus`. */
export async function answerOf(connection: FramedSocket): Promise<BuilderAnswer> {
  const answer = (await connection.readLine()) as BuilderAnswer | undefined;
  if (answer === undefined) throw new HullError("unavailable", `${PEER} has ended: try again`);
  if (answer.status >= 400) throw new HullError("internal", answer.message, { facts: { httpStatus: answer.status } });
  return answer;
}

/** The response of a request that has no body, as JSON. */
export async function jsonOf<T>(connection: FramedSocket): Promise<T> {
  await answerOf(connection);
  const parts: Buffer[] = [];
  for await (const piece of connection) parts.push(piece);
  return JSON.parse(Buffer.concat(parts).toString()) as T;
}

/** Which process answers there; the connection stays, until the daemon ends. */
export async function hold(socket: Socket): Promise<number> {
  const connection = await ask(socket, { kind: "hold" });
  const { pid } = await jsonOf<BuilderPong>(connection);
  return pid;
}
