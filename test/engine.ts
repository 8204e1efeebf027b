/**
 * A private engine for end-to-end tests: hulld from dist/bin under roots of its own, with the base image loaded, and commands that
 * talk to it. Disposing of it ends everything and leaves nothing.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { root } from "./tidy/source-tree.ts";

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
}

const COMMAND_TIMEOUT_MS = 60_000;
const START_DEADLINE_MS = 30_000;
const binary = (name: string): string => join(root, "dist/bin", name);

/** Runs a program to its end; never throws for its exit code. */
export function run(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  options: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? COMMAND_TIMEOUT_MS);
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const text = { stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
      resolve({ ...text, code: code ?? (signal ? 128 : 1) });
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** Polls until `isTrue`; fails with `what`, as it is then, after the deadline. */
export async function until(
  what: string | (() => string),
  isTrue: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline)
      throw new Error(`not within ${deadlineMs} ms: ${typeof what === "string" ? what : what()}`);
    await delay(20);
  }
}

export interface EngineOptions {
  /** More options of hulld. */
  readonly args?: readonly string[];
  readonly withoutImage?: boolean;
  /** Containers that no test asked for are in its way, unless they are what it is about. */
  readonly rehearses?: boolean;
  /** A data root of the caller's, which it makes and removes; else one that goes with the engine. */
  readonly dataRoot?: string;
  /** A command that executes hulld, which is appended with its arguments: `unshare -m sh -c '... exec "$@"' sh`. */
  readonly wrap?: readonly string[];
}

export class TestEngine implements AsyncDisposable {
  readonly #directory: string;
  #daemon: ChildProcess | undefined;

  private constructor(private readonly options: EngineOptions) {
    this.#directory = mkdtempSync("/var/tmp/hull-test-");
  }

  static async start(options: EngineOptions = {}): Promise<TestEngine> {
    const engine = new TestEngine(options);
    try {
      await engine.startDaemon();
      if (!options.withoutImage) await engine.must(engine.hull("image", "make-base"));
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  get dataRoot(): string {
    return this.options.dataRoot ?? join(this.#directory, "data");
  }

  get execRoot(): string {
    return join(this.#directory, "run");
  }

  get socket(): string {
    return join(this.execRoot, "docker.sock");
  }

  get daemonPid(): number {
    return this.#daemon?.pid ?? 0;
  }

  /** A scratch directory that goes with the engine. */
  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Files in a scratch directory, by their paths in it: a build's context. */
  directory(name: string, files: Readonly<Record<string, string>>): string {
    const directory = this.path(name);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    return directory;
  }

  async startDaemon(): Promise<void> {
    const log = this.path("hulld.stderr");
    const fd = openSync(log, "a");
    const roots = ["--data-root", this.dataRoot, "--exec-root", this.execRoot, "--host", `unix://${this.socket}`];
    const rest = [`--rehearse=${this.options.rehearses ?? false}`, ...(this.options.args ?? [])];
    const [program, ...args] = [...(this.options.wrap ?? []), binary("hulld"), ...roots, ...rest];
    this.#daemon = spawn(program!, args, { stdio: ["ignore", fd, fd], detached: true });
    closeSync(fd);
    const daemon = this.#daemon;
    let said = "";
    await until(
      () => `hulld answers; docker said: ${said}\nits log:\n${readFileSync(log, "utf8").slice(-2000)}`,
      async () => {
        if (daemon.exitCode !== null)
          throw new Error(`hulld ended with ${daemon.exitCode}:\n${readFileSync(log, "utf8").slice(-2000)}`);
        const asked = await this.docker("version", "--format", "{{.Server.Version}}");
        said = asked.stderr;
        return asked.code === 0;
      },
      START_DEADLINE_MS,
    );
  }

  /** Waits until an engine that rehearses has done so. */
  async rehearsed(): Promise<void> {
    const log = join(this.dataRoot, "logs/hulld.log");
    await until(
      () => `hulld has rehearsed; its log:\n${readFileSync(log, "utf8").slice(-2000)}`,
      () => / msg=rehearsed | msg="rehearsed" /.test(readFileSync(log, "utf8")),
    );
  }

  /** Ends hulld with a signal and waits for it. */
  async endDaemon(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon?.pid || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
    process.kill(daemon.pid, signal);
    await ended;
  }

  /** The real docker command. */
  docker(...args: string[]): Promise<Ran> {
    return run(["docker", ...args], { DOCKER_HOST: `unix://${this.socket}` });
  }

  dockerWith(options: RunOptions, ...args: string[]): Promise<Ran> {
    return run(["docker", ...args], { DOCKER_HOST: `unix://${this.socket}` }, options);
  }

  hull(...args: string[]): Promise<Ran> {
    return run([binary("hull"), ...args], { DOCKER_HOST: `unix://${this.socket}` });
  }

  /** The trimmed stdout of a command that must succeed. */
  async must(running: Promise<Ran>): Promise<string> {
    const ran = await running;
    if (ran.code !== 0) throw new Error(`ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`);
    return ran.stdout.trim();
  }

  async ok(...args: string[]): Promise<string> {
    return this.must(this.docker(...args));
  }

  async inspect(name: string, format: string): Promise<string> {
    return this.ok("inspect", "-f", format, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ids = (await this.docker("ps", "-aq")).stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await this.docker("rm", "-f", "-v", ...ids);
    await this.endDaemon("SIGTERM");
    await until("the engine's processes have ended", () => processesOf(this.#directory).length === 0, 10_000).catch(
      () => {
        for (const pid of processesOf(this.#directory)) process.kill(pid, "SIGKILL");
      },
    );
    this.#endStrays();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** After a test that failed in the middle: supervisors whose state is still here, and mounts below our directory. */
  #endStrays(): void {
    const tasks = join(this.execRoot, "containerd/io.containerd.runtime.v2.task/moby");
    for (const id of existsSync(tasks) ? readdirSync(tasks) : []) {
      const path = join(tasks, id, "shim.json");
      if (!existsSync(path)) continue;
      const { pid, pausePid, initPid } = JSON.parse(readFileSync(path, "utf8")) as Record<string, number>;
      for (const stray of [pausePid, pid, initPid]) killIfThere(stray ?? 0);
    }
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const ours = mounts
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(`${this.#directory}/`));
    for (const path of ours.reverse()) spawnSync("umount", ["-l", path]);
  }
}

function killIfThere(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Pids whose command line names the directory. */
export function processesOf(directory: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(directory);
      } catch {
        // It ended in between.
        return false;
      }
    })
    .map(Number);
}
