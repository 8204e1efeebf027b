/**
 * Debian's dockerd as the peer: in a network namespace of its own, with its own roots and socket, so that nothing of it touches the
 * machine's tables. Disposing of it leaves nothing.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run, until } from "../test/engine.ts";

const START_DEADLINE_MS = 60_000;

export class PeerDocker implements AsyncDisposable {
  readonly #directory = mkdtempSync("/var/tmp/hull-peer-");
  readonly #namespace = `hullpeer${process.pid}`;
  #daemon: ChildProcess | undefined;

  get env(): Readonly<Record<string, string>> {
    return { DOCKER_HOST: `unix://${this.#directory}/docker.sock` };
  }

  /** The version, or undefined when dockerd is not installed. */
  static async start(imageArchive: string): Promise<PeerDocker> {
    const peer = new PeerDocker();
    try {
      await peer.#start();
      const loaded = await run(["docker", "load", "-i", imageArchive], peer.env);
      if (loaded.code !== 0) throw new Error(loaded.stderr);
      return peer;
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    execFileSync("ip", ["netns", "add", this.#namespace]);
    execFileSync("ip", ["-n", this.#namespace, "link", "set", "lo", "up"]);
    const log = openSync(join(this.#directory, "log"), "a");
    const roots = [
      "--data-root",
      `${this.#directory}/data`,
      "--exec-root",
      `${this.#directory}/run`,
      "--pidfile",
      `${this.#directory}/pid`,
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

  async [Symbol.asyncDispose](): Promise<void> {
    const ids = (await run(["docker", "ps", "-aq"], this.env)).stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await run(["docker", "rm", "-f", ...ids], this.env);
    const daemon = this.#daemon;
    if (daemon?.pid && daemon.exitCode === null) {
      const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
      process.kill(daemon.pid, "SIGTERM");
      await ended;
    }
    await run(["ip", "netns", "del", this.#namespace], {});
    await run(
      ["sh", "-c", `grep -o '${this.#directory}[^ ]*' /proc/self/mountinfo | sort -ru | xargs -r -n1 umount -l`],
      {},
    );
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
