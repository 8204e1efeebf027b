/** One ttrpc connection: its calls run at once, each answered when it is done; a connection that ends aborts what is under way on it. */
import type { Socket } from "node:net";
import { create, type DescMethod, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { codeOf, grpcStatusOf, HullError, messageOf } from "../../platform/errors.ts";
import type { StartCall } from "../../platform/grpc/server.ts";
import {
  decodeRequest,
  encodeFrame,
  encodeResponse,
  type Failure,
  type Frame,
  FrameReader,
  REQUEST,
  RESPONSE,
  type Request,
  type Response,
} from "./frames.ts";

export interface UnaryRoute {
  readonly method: DescMethod;
  readonly handler: (request: unknown, context: HandlerContext) => unknown;
}

export interface TtrpcService {
  /** By "/service/method". */
  readonly find: (path: string) => UnaryRoute | undefined;
  readonly startCall: StartCall;
}

export function serveTtrpcConnection(socket: Socket, service: TtrpcService): void {
  const reader = new FrameReader();
  const gone = new AbortController();
  socket.on("close", () => gone.abort(new HullError("cancelled", "the caller is gone")));
  socket.on("data", (chunk) => {
    try {
      for (const frame of reader.push(chunk)) void answer(socket, frame, service, gone.signal);
    } catch {
      // Not ttrpc: there is nobody to tell.
      socket.destroy();
    }
  });
}

async function answer(socket: Socket, frame: Frame, service: TtrpcService, gone: AbortSignal): Promise<void> {
  const { streamId } = frame;
  const response = await handle(frame, service, gone);
  if (!socket.destroyed) socket.write(encodeFrame({ streamId, type: RESPONSE, payload: encodeResponse(response) }));
}

/** Never throws: what goes wrong is the answer. */
async function handle(frame: Frame, service: TtrpcService, gone: AbortSignal): Promise<Response> {
  try {
    if (frame.type !== REQUEST) throw new HullError("unimplemented", "streams are served over gRPC");
    const request = decodeRequest(frame.payload);
    const path = `/${request.service}/${request.method}`;
    const route = service.find(path);
    if (route?.method.methodKind !== "unary") throw new HullError("unimplemented", `unknown method ${path}`);
    return { payload: await run(request, route, service, gone) };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

async function run(request: Request, route: UnaryRoute, service: TtrpcService, gone: AbortSignal): Promise<Uint8Array> {
  const { method, handler } = route;
  using deadline = abortAfter(request.timeoutMs, gone);
  const header = (name: string): string | undefined => request.metadata.get(name);
  const { context, end } = service.startCall({
    method,
    header,
    values: (name) => [header(name) ?? []].flat(),
    signal: deadline.signal,
  });
  try {
    const reply = (await handler(decode(method, request.payload), context)) as MessageInitShape<typeof method.output>;
    const bytes = toBinary(method.output, create(method.output, reply));
    end();
    return bytes;
  } catch (error) {
    end(error);
    throw error;
  }
}

function abortAfter(timeoutMs: number, gone: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  if (timeoutMs === 0) return { signal: gone, [Symbol.dispose]: () => {} };
  const abort = new AbortController();
  const leave = (): void => abort.abort(gone.reason);
  const late = (): void => abort.abort(new HullError("deadline-exceeded", "the caller's deadline has passed"));
  const timer = setTimeout(late, Math.min(timeoutMs, 0x7fff_ffff));
  if (gone.aborted) leave();
  else gone.addEventListener("abort", leave, { once: true });
  return {
    signal: abort.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      gone.removeEventListener("abort", leave);
    },
  };
}

function decode({ input }: DescMethod, bytes: Uint8Array): Message {
  try {
    return fromBinary(input, bytes);
  } catch (error) {
    throw new HullError("invalid-argument", `malformed ${input.typeName}`, { cause: error });
  }
}

function failureOf(error: unknown): Failure {
  const code = codeOf(error);
  const facts = error instanceof HullError ? Object.entries(error.facts) : [];
  return {
    status: grpcStatusOf[code],
    message: messageOf(error),
    reason: code,
    facts: new Map(facts.map(([name, value]) => [name, JSON.stringify(value)])),
  };
}
