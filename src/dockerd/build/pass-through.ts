/** Joins a client's request with hull-buildkitd: bytes both ways, each side at the pace of the slower one. hulld looks at heads only. */
import type { Socket } from "node:net";
import {
  BODY_IN_FRAMES,
  BODY_TAKEN,
  BODY_WHOLE,
  type BuilderRequest,
  type BuiltImages,
  type UploadAt,
} from "../../buildkit/api.ts";
import { answerOf, ask } from "../../buildkit/client.ts";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { FramedSocket } from "../../platform/framed-socket.ts";
import { formatTraceparent } from "../../trace/context.ts";
import type { RequestBody } from "../http/body.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";

export interface BuilderPort {
  /** A connection to hull-buildkitd, which is started where it does not run. */
  connect(): Promise<Socket>;
  /** It runs. */
  isThere(): boolean;
  /** Something was built under this root: there may be a cache. */
  hasCache(): boolean;
}

/** A frame has at least so much, unless nothing more has come. */
const FRAME_BYTES = 256 * 1024;

/** One that was just ending when it was asked is asked again: it had taken nothing. */
const ATTEMPTS = 3;

/** A connection on which the request has been taken up. Throws hull-buildkitd's refusal. */
export async function askBuilder(
  port: BuilderPort,
  kind: BuilderRequest["kind"],
  request: ApiRequest,
  upload: UploadAt | null = null,
): Promise<FramedSocket> {
  const asked = {
    upload,
    kind,
    query: request.query.toString(),
    version: request.version,
    registryConfig: request.headers.get("x-registry-config") ?? "",
    traceparent: formatTraceparent(request.span.context),
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(await port.connect(), asked);
    } catch (error) {
      const wasEnding = codeOf(error) === "unavailable" && attempt < ATTEMPTS;
      if (!wasEnding) throw error;
    }
  }
}

/** xz and bzip2: programs unpack them, from a file. */
const packedElsewhere = [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), Buffer.from("BZh")];
const MAGIC_BYTES = 6;

/** Where hull-buildkitd can read a request's body without us; null: it can't. */
export async function uploadAt({ body }: ApiRequest): Promise<UploadAt | null> {
  if (body.descriptor === undefined || body.isEmpty) return null;
  const begin = await body.begin(MAGIC_BYTES);
  const { descriptor, framing } = body;
  if (descriptor === undefined || packedElsewhere.some((magic) => begin.subarray(0, magic.length).equals(magic)))
    return null;
  return { pid: process.pid, fd: descriptor, framing: framing.kind === "length" ? String(framing.bytes) : "chunked" };
}

/** Runs a build to its end; what it made is told to `onBuilt` before the client is told that it is over. */
export async function passBuild(
  { connection, upload }: { connection: FramedSocket; upload: UploadAt | null },
  {
    request,
    response,
    onBuilt,
  }: { request: ApiRequest; response: ApiResponse; onBuilt(built: BuiltImages): Promise<void> },
): Promise<void> {
  using cut = connection;
  const gone = () => cut[Symbol.dispose]();
  request.signal.addEventListener("abort", gone, { once: true });
  const sender = new BodySender(request.body, connection);
  if (!upload) sender.inFrames();
  try {
    const status = await sender.answer().catch((error: unknown) => {
      throw connection.gone.aborted && !request.signal.aborted ? lostBuilder(error) : error;
    });
    const out = response.stream(status, "application/json");
    try {
      for await (const piece of connection) await out.write(piece);
      await onBuilt((await connection.readLine()) as BuiltImages);
    } catch (error) {
      if (request.signal.aborted) throw error;
      await out.write(errorLine(error));
    }
  } finally {
    request.signal.removeEventListener("abort", gone);
    gone();
    await sender[Symbol.asyncDispose]();
  }
}

/** Sends a body as the daemon wants it. Lifecycle: (`inFrames`) -> `answer` -> disposal, when the connection has ended. */
class BodySender implements AsyncDisposable {
  #sent: Promise<void> = Promise.resolve();
  #taken = false;

  constructor(
    private readonly body: RequestBody,
    private readonly connection: FramedSocket,
  ) {}

  inFrames(): void {
    this.#sent = sendBody(this.body, this.connection);
  }

  /** The status of the response. Throws the daemon's refusal. */
  async answer(): Promise<number> {
    for (;;) {
      const { status, message } = await answerOf(this.connection);
      if (status === BODY_IN_FRAMES) this.inFrames();
      else if (status === BODY_TAKEN) await this.#give();
      else if (status === BODY_WHOLE) this.#takeBack(message === "0");
      else return status;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#taken) this.#takeBack(false);
    await this.#sent;
  }

  async #give(): Promise<void> {
    this.#taken = true;
    const head = await this.body.detach();
    await this.connection.write(head);
    await this.connection.writeEnd();
  }

  #takeBack(whole: boolean): void {
    this.#taken = false;
    this.body.attach({ whole });
  }
}

/** The daemon may answer before it has everything; a client that goes in the middle cuts the connection. */
async function sendBody(body: RequestBody, connection: FramedSocket): Promise<void> {
  try {
    for await (const pieces of gathered(body)) await connection.write(pieces);
    await connection.writeEnd();
  } catch (error) {
    // Either the client has gone, whose upload is worthless, or the daemon has, which its answer's reader sees.
    connection[Symbol.dispose]();
    if (!(error instanceof HullError)) throw error;
  }
}

/** Clients send pieces of a few hundred bytes: what has come is passed on together. */
async function* gathered(body: RequestBody): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body) {
    parts.push(piece);
    bytes += piece.length;
    if (bytes < FRAME_BYTES && body.hasMore) continue;
    yield parts.length === 1 ? piece : Buffer.concat(parts);
    parts = [];
    bytes = 0;
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

const lostBuilder = (cause: unknown): HullError =>
  new HullError(
    "unavailable",
    "hull-buildkitd ended while it built; what was finished is kept, so run the build again",
    { cause },
  );

const errorLine = (error: unknown): string => {
  const message = messageOf(codeOf(error) === "unavailable" ? lostBuilder(error) : error);
  return `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;
};
