/** docker's contexts: `<config>/contexts/meta/<sha256 of the name>/meta.json` and `currentContext` in config.json. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HullError } from "../platform/errors.ts";
import { findEngine, type GlobalOptions } from "./engine-address.ts";

export interface StoredContext {
  readonly name: string;
  readonly description: string;
  readonly host: string;
  readonly current: boolean;
}

interface MetaFile {
  readonly Name?: string;
  readonly Metadata?: { readonly Description?: string };
  readonly Endpoints?: { readonly docker?: { readonly Host?: string } };
}

const readJson = <T>(path: string): T | undefined =>
  existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;

export function currentContextName(options: GlobalOptions): string {
  if (options.context !== undefined) return options.context;
  if (options.host !== undefined || process.env.DOCKER_HOST) return "default";
  const stored = readJson<{ currentContext?: string }>(join(options.configDir, "config.json"))?.currentContext;
  return process.env.DOCKER_CONTEXT || stored || "default";
}

export function listContexts(options: GlobalOptions): StoredContext[] {
  const current = currentContextName(options);
  const base = join(options.configDir, "contexts/meta");
  const stored = (existsSync(base) ? readdirSync(base) : []).flatMap((directory) => {
    const meta = readJson<MetaFile>(join(base, directory, "meta.json"));
    if (meta?.Name === undefined) return [];
    return [
      {
        name: meta.Name,
        description: meta.Metadata?.Description ?? "",
        host: meta.Endpoints?.docker?.Host ?? "",
        current: meta.Name === current,
      },
    ];
  });
  const { host } = findEngine({ ...options, context: "default" });
  const standard = {
    name: "default",
    description: "Current DOCKER_HOST based configuration",
    host,
    current: current === "default",
  };
  return [standard, ...stored.sort((a, b) => (a.name < b.name ? -1 : 1))];
}

export function useContext(options: GlobalOptions, name: string): void {
  const id = createHash("sha256").update(name).digest("hex");
  if (name !== "default" && !existsSync(join(options.configDir, "contexts/meta", id, "meta.json"))) {
    throw new HullError("not-found", `context ${JSON.stringify(name)}: context not found`);
  }
  const path = join(options.configDir, "config.json");
  const { currentContext: _, ...config } = readJson<Record<string, unknown>>(path) ?? {};
  const changed = name === "default" ? config : { ...config, currentContext: name };
  mkdirSync(options.configDir, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(changed, null, "\t")}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
