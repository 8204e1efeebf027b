/** For the tests of shim and pause: real containers of one process, made by `keel serve`, in a directory of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Operation, operation } from "./plan.ts";
import { describeContainer, pauseClient, ShimClient, type ShimEvents, socketName } from "./shim-client.ts";
import { decodeReply, encodeSection, type ShimContainer, type ShimReply, type ShimStdio } from "./shim-records.ts";
import { encodeFrame, encodeRecord, FrameReader } from "./wire.ts";

const LAUNCH = 2;
const CLONE_NEWPID = 0x20000000;
const keel = process.env.KEEL ?? fileURLToPath(new URL("../../dist/bin/keel", import.meta.url));

interface StageOptions {
  readonly pidNamespace?: boolean;
  readonly joinInit?: boolean;
  readonly terminal?: boolean;
}

/** What one process needs to be made: its own pid namespace (init only), a pty when asked, and execve. */
export function stageOf(argv: readonly string[], how: StageOptions = {}): Operation[] {
  const envp = ["PATH=/usr/bin:/bin", "TERM=xterm"];
  return [
    ...(how.joinInit ? [operation("setnsInit", { mask: CLONE_NEWPID })] : []),
    operation("clone", { flags: how.pidNamespace ? CLONE_NEWPID : 0, cgroupSlot: 0xffffffff }),
    ...(how.terminal ? [operation("console", { rows: 24, columns: 80, bindConsole: 0 })] : []),
    operation("lookPath", { argv0: argv[0]!, envp }),
    operation("waitStart", {}),
    operation("execve", { argv, envp }, { subject: argv[0]! }),
  ];
}

export interface Launch {
  readonly argv: readonly string[];
  readonly stdio?: ShimStdio;
  readonly log?: { readonly maxBytes?: number; readonly maxFiles?: number } | false;
  readonly logPath?: string;
  readonly memoryCgroup?: string;
}

let serve: ChildProcess | undefined;
let serveReader = new FrameReader();
let nextId = 1;
const replies = new Map<number, (payload: Buffer) => void>();

function serveProcess(): ChildProcess {
  if (serve) return serve;
  serve = spawn(keel, ["serve", "-".repeat(120)], { stdio: ["pipe", "pipe", "inherit"] });
  serveReader = new FrameReader();
  serve.stdout!.on("data", (chunk: Buffer) => {
    for (const frame of serveReader.push(chunk)) {
      replies.get(frame.id)?.(frame.payload);
      replies.delete(frame.id);
    }
  });
  return serve;
}

export async function stopServe(): Promise<void> {
  if (!serve) return;
  const ended = once(serve, "exit");
  serve.stdin!.end();
  await ended;
  serve = undefined;
}

function launchThroughServe(payload: Uint8Array, operations: readonly Operation[]): Promise<ShimReply> {
  const child = serveProcess();
  const id = nextId++;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer to LAUNCH within 10 s")), 10_000);
    replies.set(id, (bytes) => {
      clearTimeout(timer);
      try {
        resolve(decodeReply("launch", Buffer.from(bytes), operations));
      } catch (error) {
        reject(error);
      }
    });
    child.stdin!.write(encodeFrame(LAUNCH, id, payload));
  });
}

export class TestContainer implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "shim-test-"));
  readonly id = `t${process.pid}x${nextId++}`;
  readonly clients: ShimClient[] = [];
  pids: ShimReply | undefined;
  readonly container: ShimContainer;
  readonly logPath: string;

  private constructor(readonly launched: Launch) {
    const name = socketName("test", this.id);
    this.logPath = launched.logPath ?? join(this.directory, "json.log");
    this.container = {
      id: this.id,
      namespace: "test",
      stateDir: this.directory,
      pauseSocket: join(this.directory, "p", name),
      shimSocket: join(this.directory, "s", name),
      ...(launched.memoryCgroup ? { memoryCgroup: launched.memoryCgroup, oomVersion: 1 as const } : {}),
    };
  }

  /** Launched: init waits to be started. */
  static async create(launched: Launch): Promise<TestContainer> {
    const made = new TestContainer(launched);
    try {
      const { stage, ...rest } = made.forkRequest();
      const head = describeContainer(rest).map(encodeRecord);
      made.pids = await launchThroughServe(Buffer.concat([...head, ...encodeSection("stage", stage)]), stage);
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  get stdio(): ShimStdio {
    return {
      stdin: "pipe:",
      stdout: "pipe:",
      stderr: "pipe:",
      spillDir: this.directory,
      spillBytes: 1024 ** 3,
      ...this.launched.stdio,
    };
  }

  forkRequest() {
    const { log, argv, stdio } = this.launched;
    const stage = stageOf(argv, { pidNamespace: true, terminal: stdio?.terminal ?? false });
    const described = { container: this.container, stdio: this.stdio, stage };
    return log === false ? described : { ...described, log: { path: this.logPath, ...log } };
  }

  async client(events: ShimEvents = {}): Promise<ShimClient> {
    const client = await ShimClient.open(this.container.shimSocket, events);
    this.clients.push(client);
    return client;
  }

  /** The log's entries, oldest file first. */
  log(): { log: string; stream: string; time: string }[] {
    const files = [3, 2, 1].map((n) => `${this.logPath}.${n}`).filter(existsSync);
    const text = [...files, this.logPath].map((path) => readFileSync(path, "utf8")).join("");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.close();
    if (this.pids) await this.#end();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    const client = await ShimClient.open(this.container.shimSocket).catch(() => undefined);
    await client?.kill({ signal: 9 }).catch(() => undefined);
    await client?.wait("", { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    await client?.shutdown({ pause: true }).catch(() => undefined);
    client?.close();
    await until("pause ends", async () => {
      await pauseClient.stop(this.container.pauseSocket, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
      return !alive(this.pids!.pausePid) && !alive(this.pids!.pid);
    });
  }
}

export function alive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Polls a condition; fails after `ms`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Everything a socket gives until its end. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await once(socket, "end");
  return Buffer.concat(chunks);
}

/** Splits Docker's frames: the bytes of each stream. Throws when a frame is torn. */
export function unframe(bytes: Buffer): { stdout: Buffer; stderr: Buffer } {
  const streams: [Buffer[], Buffer[]] = [[], []];
  for (let at = 0; at < bytes.length; ) {
    const kind = bytes.readUInt8(at);
    const length = bytes.readUInt32BE(at + 4);
    if ((kind !== 1 && kind !== 2) || at + 8 + length > bytes.length) throw new Error(`torn frame at ${at}`);
    streams[kind - 1]!.push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: Buffer.concat(streams[0]), stderr: Buffer.concat(streams[1]) };
}
