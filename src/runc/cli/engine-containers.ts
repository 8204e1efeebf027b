/** Containers of the engine, read from the bundles in its exec root (docs/protocols.md: config.json, shim.json, exit.json). */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Listed } from "./commands/list.ts";
import { startTimeOf } from "./state.ts";

interface ShimFile {
  readonly initPid: number;
  readonly initStartTime: number | string;
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined; // absent, or being replaced: the container is shown as far as it is known
  }
}

const entries = (path: string): string[] => {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
};

function describe(bundle: string, id: string): Listed | undefined {
  const config = statSync(join(bundle, "config.json"), { throwIfNoEntry: false });
  if (!config) return undefined;
  const shim = readJson<ShimFile>(join(bundle, "shim.json"));
  const ended = readJson<object>(join(bundle, "exit.json")) !== undefined;
  const runs = !ended && shim !== undefined && startTimeOf(shim.initPid) === String(shim.initStartTime);
  const status = runs ? "running" : shim === undefined ? "created" : "stopped";
  return { id, pid: runs ? shim.initPid : 0, status, bundle, created: config.mtime.toISOString(), owner: "root" };
}

/** Without an engine there are none. */
export function listEngineContainers(execRoot: string): Listed[] {
  const root = join(execRoot, "containerd/io.containerd.runtime.v2.task");
  return entries(root).flatMap((namespace) =>
    entries(join(root, namespace)).flatMap((id) => describe(join(root, namespace, id), id) ?? []),
  );
}
