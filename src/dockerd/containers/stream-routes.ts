/** /containers/{id}/{attach,logs,resize}: bytes. */
import { HullError } from "../../platform/errors.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import type { ContainerDeps } from "./deps.ts";
import { found } from "./routes.ts";
import { isActive } from "./state.ts";
import { type AttachRequest, attach, refuseAttach } from "./streams/attach.ts";
import { parseDetachKeys } from "./streams/detach-keys.ts";
import { logBytes, parseLogRequest } from "./streams/log-stream.ts";
import { streamType } from "./streams/multiplex.ts";

const BATCH_BYTES = 32 * 1024;

export const streamRoutes = (deps: ContainerDeps): readonly Route[] => [
  {
    method: "POST",
    path: "/containers/{id}/attach",
    handler: (request, response) => attachClient(deps, request, response),
  },
  {
    method: "GET",
    path: "/containers/{id}/attach/ws",
    handler: (request, response) => attachWebSocket(deps, request, response),
  },
  { method: "GET", path: "/containers/{id}/logs", handler: (request, response) => logs(deps, request, response) },
  { method: "POST", path: "/containers/{id}/resize", handler: (request, response) => resize(deps, request, response) },
];

async function attachClient(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const { Tty } = container.record.config;
  const wish = wishOf(request, Tty);
  refuseAttach(container);
  await request.body.drain(Number.POSITIVE_INFINITY);
  const client = response.hijack(streamType(Tty, request.atLeast("1.42")));
  await attach(deps, { container, client, request: wish });
}

/** As attach, in the messages of a WebSocket; its bytes have no headers that tell stdout from stderr. */
async function attachWebSocket(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const wish = wishOf(request, true);
  refuseAttach(container);
  await attach(deps, { container, client: response.webSocket(), request: wish });
}

const wishOf = ({ query }: ApiRequest, raw: boolean): AttachRequest => ({
  stdin: query.bool("stdin"),
  stdout: query.bool("stdout"),
  stderr: query.bool("stderr"),
  logs: query.bool("logs"),
  stream: query.bool("stream"),
  detachKeys: parseDetachKeys(query.text("detachKeys")),
  raw,
});

async function logs(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const { Tty } = container.record.config;
  const wish = parseLogRequest(request, container);
  const stream = response.stream(200, streamType(Tty, request.atLeast("1.42")));
  let batch: Buffer[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(batch);
    batch = [];
    size = 0;
    await stream.write(bytes);
  };
  for await (const bytes of logBytes(wish, Tty)) {
    batch.push(bytes);
    size += bytes.length;
    // Following, each line goes out as it comes.
    if (size >= BATCH_BYTES || wish.wish.until !== undefined) await flush();
  }
  await flush();
}

/** "h" and "w" in characters. */
export function sizeOf({ query }: ApiRequest): { readonly rows: number; readonly columns: number } {
  const [rows, columns] = ["h", "w"].map((name) => {
    const text = query.text(name);
    if (!/^\d{1,5}$/.test(text) || Number(text) > 65535)
      throw new HullError("invalid-argument", `invalid resize ${name === "h" ? "height" : "width"} "${text}"`);
    return Number(text);
  });
  return { rows: rows!, columns: columns! };
}

async function resize(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { record } = found(deps, request);
  const size = sizeOf(request);
  if (!isActive(record.state)) throw new HullError("conflict", `Container ${record.id} is not running`);
  await deps.shims.resize(record.id, { execId: "", ...size });
  deps.events.container(record, "resize", { height: String(size.rows), width: String(size.columns) });
  response.empty(200);
}
