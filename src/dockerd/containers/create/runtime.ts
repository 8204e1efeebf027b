/** The OCI runtime a container asks for: our own under its names, or a configured one. */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DaemonConfig } from "../../config.ts";
import { invalid } from "./refusal.ts";

const own = ["runc", "hull-runc", "io.containerd.runc.v2"];

/** Throws invalid-argument in Docker's words for one that nobody configured. */
export function verifyRuntime({ runtimes }: DaemonConfig, name: string): void {
  if (!own.includes(name) && !Object.hasOwn(runtimes, name)) throw invalid(`unknown or invalid runtime name: ${name}`);
}

/** Undefined for our own. One with arguments is called by a script that adds them, as dockerd does it. */
export function runtimeProgram({ runtimes, dataRoot }: DaemonConfig, name: string): string | undefined {
  const runtime = Object.hasOwn(runtimes, name) ? runtimes[name] : undefined;
  if (runtime === undefined) return undefined;
  return runtime.args.length === 0 ? runtime.path : writeScript(join(dataRoot, "runtimes", name), runtime);
}

function writeScript(path: string, { path: program, args }: DaemonConfig["runtimes"][string]): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.tmp`, `#!/bin/sh\nexec ${[program, ...args].map(quoted).join(" ")} "$@"\n`);
  chmodSync(`${path}.tmp`, 0o700);
  renameSync(`${path}.tmp`, path);
  return path;
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
