/**
 * Runs the command of a RUN vertex on a layer.
 *
 * Lifecycle: `CommandRunner` -> `recover` once at the builder's start -> any number of `run`s -> `settled` at its end. A command lives in a mount
 * namespace of its own in which the layer is mounted, and is tied to this process: when either goes nothing of it stays.
 */
import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { KeelServe } from "../../keel/serve.ts";
import { HullError, messageOf } from "../../platform/errors.ts";
import { cgroupPlace } from "../../runc/cgroup/place.ts";
import { type HostFacts, readHostFacts } from "../../runc/host-facts.ts";
import type { Tracer } from "../../trace/tracer.ts";
import type { RunVertex } from "../graph/vertex.ts";
import type { OpenLayer, Runner, RunOutcome } from "../solver/ports.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { type Command, runCommand } from "./command.ts";
import { CgroupParents, endCgroup } from "./command-cgroup.ts";
import type { Networks } from "./network.ts";
import { type Leftover, RunDirectories, type RunDirectory, type RunRoots } from "./run-directory.ts";
import { findStubs, pathsBelow, removeStubs, type Stub } from "./stubs.ts";

export interface RunnerOptions extends RunRoots {
  readonly keel: Pick<KeelServe, "run">;
  readonly caches: CacheMounts;
  readonly networks: Networks;
  /** Where commands' cgroups are made unless a build names another place. */
  readonly cgroupParent?: string;
  readonly keelPath?: string;
  readonly warn: (message: string) => void;
  readonly tracer?: Pick<Tracer, "steps">;
}

/** The builder's own: it may be removed while containers are started elsewhere. */
const CGROUP_PARENT = "/hull-build";

type RunOptions = Parameters<Runner["run"]>[2];

export class CommandRunner implements Runner {
  readonly #options: RunnerOptions;
  readonly #directories: RunDirectories;
  readonly #facts: HostFacts;
  readonly #cgroupParents = new CgroupParents();
  /** Clean-ups that nobody waits for. */
  readonly #endings = new Set<Promise<void>>();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#directories = new RunDirectories(options, options.keel);
    this.#facts = readHostFacts();
  }

  /** Ends what a builder that was killed left: processes, cgroups, networks, directories. What can't be ended now is left to the next start. */
  async recover(): Promise<void> {
    await this.#options.caches.recover();
    const leftovers = this.#directories.leftovers();
    await Promise.all(leftovers.map((leftover) => this.#recoverOne(leftover)));
  }

  async #recoverOne(leftover: Leftover): Promise<void> {
    const { id, cgroupsPath } = leftover;
    try {
      if (cgroupsPath !== "") await this.#endCgroup(cgroupsPath, id);
      await this.#options.networks.forget(id);
      await this.#directories.remove(leftover);
    } catch (error) {
      this.#options.warn(`clean up after the command ${id}, whose builder was killed: ${messageOf(error)}`);
    }
  }

  async run(layer: OpenLayer, vertex: RunVertex, options: RunOptions): Promise<RunOutcome> {
    const { signal } = options;
    signal.throwIfAborted();
    const id = randomBytes(8).toString("hex");
    const cgroupsPath = `${vertex.limits.cgroupParent || this.#cgroupParent}/build-${id}`;
    const known = new Set(pathsBelow(layer.upper));
    let stubs: readonly Stub[] = [];
    const directory = this.#directories.make(id, cgroupsPath);
    const command: Command = {
      ...{ layer, vertex, options, id, cgroupsPath, directory, facts: this.#facts },
      hostname: vertex.hostname || id.slice(0, 12),
      onReady: () => {
        stubs = findStubs({ ...layer, known, kept: [vertex.workingDirectory || "/", ...volumesOf(options)] });
      },
      onMeasured: (steps) => {
        if (options.span) this.#options.tracer?.steps(options.span, steps);
      },
      later: (work) => this.#later(work),
    };
    try {
      return await runCommand(this.#options, command);
    } catch (error) {
      // Of a command that failed on its own nothing is left; one that was cut short may have lost its supervisor first.
      await this.#endCgroup(cgroupsPath, id);
      if (signal.aborted) throw new HullError("cancelled", `RUN ${vertex.argv.join(" ")}: cancelled`, { cause: error });
      throw error;
    } finally {
      removeStubs(layer.upper, stubs);
      forgetVolatile(layer.work);
      this.#later(() => this.#end(directory, cgroupsPath));
    }
  }

  /** At the end, when no command is run any more: everything that goes on after the answers of `run` has ended. */
  async settled(): Promise<void> {
    while (this.#endings.size > 0) await Promise.all(this.#endings);
    await this.#cgroupParents.remove(this.#options.keel);
  }

  get #cgroupParent(): string {
    return this.#options.cgroupParent ?? CGROUP_PARENT;
  }

  async #end(directory: RunDirectory, cgroupsPath: string): Promise<void> {
    await this.#endCgroup(cgroupsPath, directory.id);
    await this.#directories.remove(directory);
  }

  async #endCgroup(cgroupsPath: string, id: string): Promise<void> {
    const place = cgroupPlace(this.#facts.cgroups, cgroupsPath, id);
    if (cgroupsPath.startsWith(`${this.#cgroupParent}/`)) this.#cgroupParents.note(place);
    await endCgroup(this.#options.keel, place);
  }

  #later(work: () => Promise<void>): void {
    const ending = work()
      .catch((error) => this.#options.warn(`clean up after a command: ${messageOf(error)}`))
      .finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
  }
}

const volumesOf = ({ mounts }: RunOptions): readonly string[] =>
  mounts.flatMap(({ mount }) => (mount.kind === "volume" ? [mount.target] : []));

/** overlayfs marks the work directory of a volatile mount, and would refuse another mount of it. */
function forgetVolatile(work: string): void {
  const mark = join(work, "work/incompat");
  if (existsSync(mark)) rmSync(mark, { recursive: true });
}
