/**
 * Debian's dockerd as the peer: in a network namespace of its own (or one of the caller's), with its own roots, cgroup and
 * socket, so that nothing of it touches the machine's tables. Disposing of it leaves nothing.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { run, until } from "../test/engine.ts";

const START_DEADLINE_MS = 60_000;

export class PeerDocker implements AsyncDisposable {
  readonly #directory = mkdtempSync("/var/tmp/hull-peer-");
  readonly #namespace: string;
  /** Not /docker, which may be another engine's and which dockerd leaves behind. */
  readonly #cgroup: string;
  #daemon: ChildProcess | undefined;

  private constructor(private readonly shared: string | undefined) {
    this.#namespace = shared ?? `hullpeer${process.pid}`;
    this.#cgroup = basename(this.#directory);
  }

  get env(): Readonly<Record<string, string>> {
    return { DOCKER_HOST: `unix://${this.#directory}/docker.sock` };
  }

  /** With the image loaded. `namespace`: the name of a network namespace that the caller made and removes. */
  static async start(imageArchive: string, namespace?: string): Promise<PeerDocker> {
    const peer = new PeerDocker(namespace);
    try {
      if (namespace === undefined) peer.#makeNamespace();
      await peer.#start();
      const loaded = await run(["docker", "load", "-i", imageArchive], peer.env);
      if (loaded.code !== 0) throw new Error(loaded.stderr);
      return peer;
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
  }

  #makeNamespace(): void {
    execFileSync("ip", ["netns", "add", this.#namespace]);
    execFileSync("ip", ["-n", this.#namespace, "link", "set", "lo", "up"]);
  }

  async #start(): Promise<void> {
    const log = openSync(join(this.#directory, "log"), "a");
    const roots = [
      "--data-root",
      `${this.#directory}/data`,
      "--exec-root",
      `${this.#directory}/run`,
      "--pidfile",
      `${this.#directory}/pid`,
      "--cgroup-parent",
      `/${this.#cgroup}`,
    ];
    this.#daemon = spawn(
      // Not `ip netns exec`: it mounts a new /sys, without the cgroup hierarchies that dockerd looks for there.
      "nsenter",
      [`--net=/run/netns/${this.#namespace}`, "dockerd", ...roots, "--host", this.env.DOCKER_HOST!],
      { stdio: ["ignore", log, log], detached: true },
    );
    closeSync(log);
    await until(
      "the peer's dockerd answers",
      async () => {
        if (this.#daemon!.exitCode !== null)
          throw new Error(readFileSync(join(this.#directory, "log"), "utf8").slice(-2000));
        return (await run(["docker", "version"], this.env)).code === 0;
      },
      START_DEADLINE_MS,
    );
  }

  async version(): Promise<string> {
    return (await run(["docker", "version", "-f", "{{.Server.Version}}"], this.env)).stdout.trim();
  }

  /** By SIGTERM, which ends its containers. */
  async restart(): Promise<void> {
    await this.#end();
    await this.#start();
  }

  async #end(): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon?.pid || daemon.exitCode !== null) return;
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
    process.kill(daemon.pid, "SIGTERM");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ids = (await run(["docker", "ps", "-aq"], this.env)).stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await run(["docker", "rm", "-f", ...ids], this.env);
    await this.#end();
    if (this.shared === undefined) await run(["ip", "netns", "del", this.#namespace], {});
    await run(
      ["sh", "-c", `grep -o '${this.#directory}[^ ]*' /proc/self/mountinfo | sort -ru | xargs -r -n1 umount -l`],
      {},
    );
    await run(
      [
        "sh",
        "-c",
        `for group in /sys/fs/cgroup/${this.#cgroup} /sys/fs/cgroup/*/${this.#cgroup}; do [ -d $group ] && rmdir $group; done`,
      ],
      {},
    );
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
