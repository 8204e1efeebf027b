/**
 * What exists outside of a command while it runs, one directory each: `<exec root>/buildkit/run/<id>` (mount points, /etc files; `cgroup` says where
 * its cgroup is), and `<data root>/buildkit/run/<id>` for what is written and thrown away.
 *
 * Lifecycle: `make` -> the command -> `remove`. `leftovers` are those of a builder that was killed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";

export interface RunRoots {
  readonly dataRoot: string;
  readonly execRoot: string;
}

export interface RunDirectory {
  readonly id: string;
  readonly path: string;
  readonly scratch: string;
}

export interface Leftover extends RunDirectory {
  /** "": it had none yet. */
  readonly cgroupsPath: string;
}

export class RunDirectories {
  readonly #runs: string;
  readonly #scratches: string;
  readonly #keel: Pick<KeelServe, "run">;

  constructor({ dataRoot, execRoot }: RunRoots, keel: Pick<KeelServe, "run">) {
    this.#runs = `${execRoot}/buildkit/run`;
    this.#scratches = `${dataRoot}/buildkit/run`;
    this.#keel = keel;
    for (const path of [this.#runs, this.#scratches]) mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  make(id: string, cgroupsPath: string): RunDirectory {
    const directory = this.#of(id);
    mkdirSync(`${directory.path}/root`, { recursive: true, mode: 0o700 });
    writeFileSync(`${directory.path}/cgroup`, cgroupsPath);
    return directory;
  }

  async remove({ path, scratch }: RunDirectory): Promise<void> {
    const operations = [path, scratch].map((tree) =>
      operation("removeTree", { path: tree }, { cause: "end of the command" }),
    );
    await again(() => this.#keel.run(operations, { attempt: "remove what the command needed" }));
  }

  leftovers(): readonly Leftover[] {
    const ids = new Set([...readdirSync(this.#runs), ...readdirSync(this.#scratches)]);
    return [...ids].map((id) => {
      const directory = this.#of(id);
      const file = `${directory.path}/cgroup`;
      return { ...directory, cgroupsPath: existsSync(file) ? readFileSync(file, "utf8") : "" };
    });
  }

  #of(id: string): RunDirectory {
    return { id, path: `${this.#runs}/${id}`, scratch: `${this.#scratches}/${id}` };
  }
}
