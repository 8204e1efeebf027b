/** What runs commands, put together for the builder. */
import type { KeelServe } from "../../keel/serve.ts";
import { openNetdClient } from "../../network/client.ts";
import type { Tracer } from "../../trace/tracer.ts";
import { CacheMounts } from "./cache-mounts.ts";
import { NetdNetworks } from "./network.ts";
import type { RunRoots } from "./run-directory.ts";
import { CommandRunner } from "./runner.ts";

export interface RunnerParts extends RunRoots {
  readonly keel: Pick<KeelServe, "run">;
  /** Of the program. */
  readonly keelPath: string;
  readonly warn: (message: string) => void;
  readonly tracer?: Pick<Tracer, "steps">;
}

export interface OpenRunner extends AsyncDisposable {
  readonly runner: CommandRunner;
  /** For the list of what the builder keeps, and its pruning. */
  readonly caches: CacheMounts;
}

/** What a builder that was killed left has been taken away. Disposal waits until nothing of a command is left. */
export async function openRunner(parts: RunnerParts): Promise<OpenRunner> {
  const { dataRoot, execRoot, keel } = parts;
  const netd = openNetdClient(execRoot);
  const caches = new CacheMounts(`${dataRoot}/buildkit/cache-mounts`, keel);
  const networks = new NetdNetworks(netd);
  const runner = new CommandRunner({ ...parts, caches, networks });
  try {
    await runner.recover();
  } catch (error) {
    netd.close();
    throw error;
  }
  return {
    runner,
    caches,
    [Symbol.asyncDispose]: async () => {
      await runner.close();
      netd.close();
    },
  };
}
