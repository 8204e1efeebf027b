/** Connections to the engine that become HTTP/2: POST /grpc, on which we ask, and POST /session, on which we are asked. */
import { connect, type Socket } from "node:net";
import { HullError } from "../../platform/errors.ts";
import { cutOff } from "../../platform/grpc/call-failure.ts";
import { GrpcTransport } from "../../platform/grpc/transport.ts";
import type { Endpoint } from "../../platform/http-client.ts";
import type { EngineAddress } from "../engine-address.ts";
import { engineError } from "../session.ts";

const MAX_HEAD_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

type HeaderLines = readonly (readonly [name: string, value: string])[];

/** The connection once the engine has answered 101; bytes that came with the answer are back in it. */
export async function upgradeToHttp2(
  { host, endpoint }: EngineAddress,
  path: string,
  headers: HeaderLines,
): Promise<Socket> {
  const socket = await opened(host, endpoint);
  try {
    const lines = [...headers, ["Host", "docker"], ["Connection", "Upgrade"], ["Upgrade", "h2c"]] as const;
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`POST ${path} HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\n`);
    const answer = await answerHead(socket);
    if (answer.status === 101) return socket;
    throw engineError(answer.status, await rest(socket));
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Calls on a connection that is there. */
export function transportOn(socket: Socket, headers: Readonly<Record<string, string>> = {}): GrpcTransport {
  let isTaken = false;
  const dial = (): Socket => {
    if (isTaken) throw cutOff("the engine", "the build", new Error("it is closed"));
    isTaken = true;
    return socket;
  };
  return new GrpcTransport({ dial, peer: "the engine", headers });
}

async function opened(host: string, endpoint: Endpoint): Promise<Socket> {
  const socket = await socketTo(endpoint);
  await new Promise<void>((resolve, reject) => {
    socket.once(endpoint.kind === "tcp" && endpoint.tls ? "secureConnect" : "connect", resolve);
    socket.once("error", (cause) =>
      reject(
        new HullError("unavailable", `Cannot connect to the Docker daemon at ${host}. Is the docker daemon running?`, {
          cause,
        }),
      ),
    );
  });
  return socket;
}

async function socketTo(endpoint: Endpoint): Promise<Socket> {
  if (endpoint.kind === "unix") return connect({ path: endpoint.path });
  if (!endpoint.tls) return connect({ host: endpoint.host, port: endpoint.port });
  const { connect: connectTls } = await import("node:tls");
  const { verify, ...files } = endpoint.tls;
  return connectTls({ host: endpoint.host, port: endpoint.port, ...files, rejectUnauthorized: verify });
}

/** Reads up to the empty line; the connection is paused then. */
function answerHead(socket: Socket): Promise<{ readonly status: number }> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf(HEAD_END);
      if (end < 0 && received.length < MAX_HEAD_BYTES) return;
      done();
      socket.pause();
      const left = received.subarray(end + HEAD_END.length);
      if (left.length > 0) socket.unshift(left);
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(received.toString("latin1"))?.[1];
      if (end < 0 || status === undefined) reject(new HullError("unavailable", "the engine does not speak HTTP"));
      else resolve({ status: Number(status) });
    };
    const onEnd = (): void => {
      done();
      reject(new HullError("unavailable", "the engine closed the connection"));
    };
    const done = (): void => void socket.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onEnd);
    socket.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onEnd);
  });
}

/** The body of a refusal: it may be chunked, its JSON is what matters. */
async function rest(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (/\}\s*(?:\r\n0\r\n\r\n)?$/.test(text)) break;
  }
  return /\{.*\}/s.exec(text)?.[0] ?? text;
}
