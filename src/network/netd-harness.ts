/**
 * A host of its own for tests: network, mount and process namespaces in which hull-netd plays on an otherwise empty machine. Everything dies
 * with the host's first process.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keelPath, roleInvocation } from "../platform/paths.ts";
import type { ConnectRequest } from "./api.ts";
import { type NetdClient, openNetdClient } from "./client.ts";

const STEP_MS = 20;

/** Waits for a condition; throws after the deadline. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 5000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

export interface Engine {
  readonly name: string;
  readonly execRoot: string;
  readonly client: NetdClient;
  readonly flags: readonly string[];
  process: ChildProcess;
}

export class TestHost implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "netd-"));
  readonly #init: ChildProcess;
  readonly #engines: Engine[] = [];
  readonly #commands: ChildProcess[] = [];

  constructor() {
    const args = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    this.#init = spawn("unshare", [...args, "bash", "-c", "sleep infinity & wait $!"], { stdio: "ignore" });
  }

  /** The host's first process exists and its loopback is up, 198.51.100.1 is its own address. */
  async ready(nameServer = "127.0.0.1"): Promise<void> {
    await until("the host's namespaces", () => this.#initPid() !== undefined);
    await until("the host's loopback", () => this.run("ip", "link", "set", "lo", "up").status === 0);
    this.sh("ip addr add 198.51.100.1/32 dev lo; mount -t tmpfs tmpfs /run");
    this.sh(
      `mount --bind ${this.file("resolv.conf", `nameserver ${nameServer}\nsearch corp.test\n`)} /etc/resolv.conf`,
    );
  }

  /** Runs a program on the host and returns its status and output. */
  run(...argv: string[]): { readonly status: number; readonly stdout: string; readonly stderr: string } {
    const result = spawnSync("nsenter", [...this.#enter(), ...argv], { encoding: "utf8" });
    return { status: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** As `run` with a shell; throws when it fails. */
  sh(script: string): string {
    return execFileSync("nsenter", [...this.#enter(), "sh", "-c", script], { encoding: "utf8" });
  }

  /** Starts a program that goes on until the host ends. */
  background(...argv: string[]): ChildProcess {
    const child = spawn("nsenter", [...this.#enter(), ...argv], { stdio: ["ignore", "pipe", "inherit"] });
    this.#commands.push(child);
    return child;
  }

  /** Runs a program in a container's network namespace. */
  inside(engine: Engine, containerId: string, ...argv: string[]): { readonly status: number; readonly stdout: string } {
    return this.run("nsenter", `--net=${engine.execRoot}/netns/${containerId}`, ...argv);
  }

  insideBackground(engine: Engine, containerId: string, ...argv: string[]): ChildProcess {
    return this.background("nsenter", `--net=${engine.execRoot}/netns/${containerId}`, ...argv);
  }

  async engine(name: string, ...flags: string[]): Promise<Engine> {
    const execRoot = join(this.directory, name, "x");
    mkdirSync(execRoot, { recursive: true });
    const engine: Engine = {
      name,
      execRoot,
      flags,
      client: openNetdClient(execRoot),
      process: this.#start(name, flags),
    };
    this.#engines.push(engine);
    await until(`engine ${name}`, () => isUp(engine));
    return engine;
  }

  /** An engine that does not come up: its exit code and its last words. */
  async failingEngine(name: string, ...flags: string[]): Promise<{ readonly code: number; readonly stderr: string }> {
    const child = this.#start(name, flags, "pipe");
    let stderr = "";
    child.stderr?.on("data", (chunk) => {
      stderr += chunk;
    });
    await new Promise((resolve) => child.once("close", resolve));
    return { code: child.exitCode ?? -1, stderr };
  }

  /** Kills netd as nothing but SIGKILL can, and starts it again. */
  async restart(engine: Engine): Promise<void> {
    await this.kill(engine);
    await this.revive(engine);
  }

  async kill(engine: Engine): Promise<void> {
    const { pid } = await engine.client.call("ping", {});
    // Numbers of processes are those of the host's own namespace.
    this.sh(`kill -KILL ${pid}`);
    await until("netd has ended", () => engine.process.exitCode !== null || engine.process.signalCode !== null);
  }

  async revive(engine: Engine): Promise<void> {
    engine.process = this.#start(engine.name, engine.flags);
    await until(`engine ${engine.name}`, () => isUp(engine));
  }

  /** Ends netd by SIGTERM. */
  async stop(engine: Engine): Promise<void> {
    const { pid } = await engine.client.call("ping", {});
    this.sh(`kill -TERM ${pid}`);
    await until("netd has ended", () => engine.process.exitCode !== null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#engines) engine.client.close();
    const gone = new Promise((resolve) => this.#init.once("exit", resolve));
    this.#init.kill("SIGKILL");
    await gone;
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A file of the host's directory. */
  file(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  #start(name: string, flags: readonly string[], errors: "pipe" | "usual" = "usual"): ChildProcess {
    const { file, args } = roleInvocation("hull-netd");
    const roots = ["--data-root", join(this.directory, name, "data"), "--exec-root", join(this.directory, name, "x")];
    const argv = [...this.#enter(), file, ...args, ...roots, "--keel", keelPath(), ...flags];
    const usual = process.env.NETD_LOG ? "inherit" : "ignore";
    return spawn("nsenter", argv, { stdio: ["ignore", "ignore", errors === "pipe" ? "pipe" : usual] });
  }

  #enter(): string[] {
    return ["-t", String(this.#initPid() ?? 0), "--net", "--mount", "--pid"];
  }

  /** `unshare` forks: the namespaces' first process is its child. */
  #initPid(): number | undefined {
    const found = spawnSync("ps", ["-o", "pid=", "--ppid", String(this.#init.pid)], { encoding: "utf8" }).stdout.trim();
    return found === "" ? undefined : Number(found);
  }
}

const isUp = (engine: Engine): Promise<boolean> =>
  engine.client.call("ping", {}, { retryForMs: 0 }).then(
    () => true,
    () => false,
  );

/** A request with defaults: a private namespace on the default bridge. */
export function request(containerId: string, more: Partial<ConnectRequest> = {}): ConnectRequest {
  return {
    containerId,
    sandboxKind: "private",
    names: { name: containerId, hostname: containerId },
    endpoints: [{ network: "default" }],
    ports: [],
    ...more,
  };
}

export const tcp = (hostPort: number, containerPort: number, hostIp = "") =>
  ({ proto: "tcp", hostPort, containerPort, hostIp }) as const;
