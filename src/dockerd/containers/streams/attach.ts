/** Attach: a client's connection and a container's standard streams, from before its start if need be. */
import { HullError } from "../../../platform/errors.ts";
import type { RawConnection } from "../../http/response.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { logFileOf } from "../log-config.ts";
import { readLog } from "../logs/read.ts";
import { isActive } from "../state.ts";
import { bridge } from "./bridge.ts";
import { frame } from "./multiplex.ts";

export interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** What was written so far comes first. */
  readonly logs: boolean;
  readonly stream: boolean;
  readonly detachKeys: readonly number[];
  /** Without the headers that tell the streams apart. */
  readonly raw: boolean;
}

/** A client that was taken over from HTTP and what it attaches to. */
export interface Attachment {
  readonly container: Container;
  readonly client: RawConnection;
  readonly request: AttachRequest;
}

/** Throws conflict in Docker's words. */
export function refuseAttach(container: Container): void {
  const { state, id } = container.record;
  if (state.kind === "paused")
    throw new HullError("conflict", `container ${id} is paused, unpause the container before attach`);
  if (state.kind === "restarting")
    throw new HullError("conflict", `container ${id} is restarting, wait until the container is running`);
}

/** Resolves when the stream is over. */
export async function attach(deps: ContainerDeps, attachment: Attachment): Promise<void> {
  const { container, client, request } = attachment;
  deps.events.container(container.record, "attach");
  if (request.logs) await writeLogs(attachment);
  if (!request.stream) client.socket.end();
  else if (isActive(container.state)) await join(deps, attachment);
  else await waitForStart(deps, attachment);
}

/** Joins between Tasks.Create and Tasks.Start; resolves when the stream is over, or the start failed. */
function waitForStart(deps: ContainerDeps, attachment: Attachment): Promise<void> {
  const { container, client } = attachment;
  return new Promise((resolve) => {
    const gone = () => {
      waiting[Symbol.dispose]();
      resolve();
    };
    const waiting = container.streams.add({
      connect: async () => {
        client.socket.off("close", gone);
        const joined = Promise.withResolvers<void>();
        join(deps, attachment, joined.resolve).then(resolve, resolve);
        await joined.promise;
      },
      cancel: () => {
        client.socket.end();
        resolve();
      },
    });
    client.socket.once("close", gone);
    client.socket.on("error", gone);
  });
}

/** `onJoined` is called once the shim has the client, or could not take it. */
async function join(deps: ContainerDeps, attachment: Attachment, onJoined?: () => void): Promise<void> {
  const { container, client, request } = attachment;
  const { config, id } = container.record;
  try {
    const stdin = request.stdin && config.OpenStdin;
    const { stdout, stderr } = request;
    const shim = await deps.shims.attach(id, { execId: "", stdin, stdout, stderr, raw: request.raw });
    onJoined?.();
    const end = await bridge(client, shim, { stdin, detachKeys: config.Tty ? request.detachKeys : undefined });
    if (end === "detached") deps.events.container(container.record, "detach");
  } catch (error) {
    onJoined?.();
    deps.log.warn("attach", { container: id, error: error instanceof Error ? error.message : String(error) });
    client.socket.destroy();
  }
}

async function writeLogs({ container, client, request }: Attachment): Promise<void> {
  const { socket } = client;
  const file = logFileOf(container.record);
  if (!file) return;
  const gone = new AbortController();
  const onClose = () => gone.abort();
  socket.once("close", onClose);
  const { stdout, stderr } = request;
  const everything = { tail: undefined, sinceNs: undefined, untilNs: undefined, until: undefined };
  const { path, maxFiles } = file;
  try {
    for await (const line of readLog({ path, maxFiles, ...everything, stdout, stderr, signal: gone.signal })) {
      const bytes = Buffer.from(line.text);
      const flushed = socket.write(request.raw ? bytes : frame(line.stream, bytes));
      if (!flushed) await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    }
  } finally {
    socket.off("close", onClose);
  }
}
