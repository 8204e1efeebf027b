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
}

/** Throws conflict in Docker's words. */
export function refuseAttach(container: Container): void {
  const { state, id } = container.record;
  if (state.kind === "paused")
    throw new HullError("conflict", `container ${id} is paused, unpause the container before attach`);
  if (state.kind === "restarting")
    throw new HullError("conflict", `container ${id} is restarting, wait until the container is running`);
}

/** Resolves when the stream is over. The connection is its own from here on. */
export async function attach(
  deps: ContainerDeps,
  container: Container,
  client: RawConnection,
  request: AttachRequest,
): Promise<void> {
  deps.events.container(container.record, "attach");
  if (request.logs) await writeLogs(container, client, request);
  if (!request.stream) {
    client.socket.end();
    return;
  }
  if (isActive(container.state)) return join(deps, container, client, request);
  await waitForStart(deps, container, client, request);
}

/** Between Tasks.Create and Tasks.Start; resolves when the stream is over, or the start failed. */
function waitForStart(
  deps: ContainerDeps,
  container: Container,
  client: RawConnection,
  request: AttachRequest,
): Promise<void> {
  return new Promise((resolve) => {
    const gone = () => {
      waiting[Symbol.dispose]();
      resolve();
    };
    const waiting = container.streams.add({
      connect: async () => {
        client.socket.off("close", gone);
        const joined = Promise.withResolvers<void>();
        join(deps, container, client, request, joined.resolve).then(resolve, resolve);
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

async function join(
  deps: ContainerDeps,
  container: Container,
  client: RawConnection,
  request: AttachRequest,
  onJoined?: () => void,
): Promise<void> {
  const { config, id } = container.record;
  try {
    const stdin = request.stdin && config.OpenStdin;
    const shim = await deps.shims.attach(id, {
      execId: "",
      stdin,
      stdout: request.stdout,
      stderr: request.stderr,
      raw: config.Tty,
    });
    onJoined?.();
    const end = await bridge(client, shim, { stdin, detachKeys: config.Tty ? request.detachKeys : undefined });
    if (end === "detached") deps.events.container(container.record, "detach");
  } catch (error) {
    onJoined?.();
    deps.log.warn("attach", { container: id, error: error instanceof Error ? error.message : String(error) });
    client.socket.destroy();
  }
}

async function writeLogs(container: Container, { socket }: RawConnection, request: AttachRequest): Promise<void> {
  const file = logFileOf(container.record);
  if (!file) return;
  const gone = new AbortController();
  const onClose = () => gone.abort();
  socket.once("close", onClose);
  const wish = {
    path: file.path,
    maxFiles: file.maxFiles,
    tail: undefined,
    sinceNs: undefined,
    untilNs: undefined,
    until: undefined,
  };
  try {
    for await (const line of readLog({
      ...wish,
      stdout: request.stdout,
      stderr: request.stderr,
      signal: gone.signal,
    })) {
      const bytes = Buffer.from(line.text);
      const flushed = socket.write(container.record.config.Tty ? bytes : frame(line.stream, bytes));
      if (!flushed) await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    }
  } finally {
    socket.off("close", onClose);
  }
}
