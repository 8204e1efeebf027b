/** The projects that are built by several builders: their contexts as those find them, and what of the images must be equal. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SavedImage } from "../../image-layers.ts";
import { root } from "../../tidy/source-tree.ts";

export const projectsDirectory = join(root, "test/e2e/projects");

/** Of HULL_TEST_TOKEN, which projects take as a secret. */
export const TEST_TOKEN = "t0ken of the test";

export interface Project {
  readonly name: string;
  /** More arguments of the build. */
  readonly args: readonly string[];
  /** Names of BuildKit's own: dockerd's classic builder cannot build it. */
  readonly needsBuildKit: boolean;
  /** The images that it builds on differ from machine to machine. */
  readonly usesTools: boolean;
}

export function listProjects(): readonly Project[] {
  return readdirSync(projectsDirectory)
    .filter((name) => statSync(join(projectsDirectory, name)).isDirectory())
    .sort()
    .map((name) => {
      const options = join(projectsDirectory, name, "options.json");
      const given = existsSync(options) ? (JSON.parse(readFileSync(options, "utf8")) as Partial<Project>) : {};
      const dockerfile = readFileSync(join(projectsDirectory, name, "context/Dockerfile"), "utf8");
      const usesTools = /^(FROM|ARG BASE=) *tools/m.test(dockerfile);
      return { name, args: [], needsBuildKit: false, usesTools, ...given };
    });
}

/** Copies a context to `directory`, runs what makes the files that a repository cannot hold; modes and times are always the same. */
export function prepareContext({ name }: Project, directory: string): void {
  const source = join(projectsDirectory, name);
  cpSync(join(source, "context"), directory, { recursive: true });
  const prepare = existsSync(join(source, "prepare")) ? `. ${join(source, "prepare")}` : "";
  const script = `umask 022; chmod -R u=rwX,go=rX .; ${prepare}\nchown -hR 0:0 .; find . -exec touch -h -d @1600000000 {} +`;
  execFileSync("sh", ["-ec", script], { cwd: directory });
}

/** An image as far as every builder that does it right makes it the same. */
export interface Comparable {
  readonly config: unknown;
  /** Those that the build put on its base, base first. */
  readonly layers: readonly Record<string, string>[];
}

/**
 * Of times and what is named by them, and the builder's version, nothing is left. `listsEmpty`: of a builder that lists layers that hold nothing, which
 * hull does not make.
 */
export function comparable({ config, layers }: SavedImage, baseLayers: number, listsEmpty = false): Comparable {
  const document = structuredClone(config) as Document;
  const files = layers.slice(baseLayers).map((layer) => layer.files());
  const isEmpty = (layer: Comparable["layers"][number]): boolean => listsEmpty && Object.keys(layer).length === 0;
  const steps = (document.history ?? []).filter(({ empty_layer }) => !empty_layer).slice(baseLayers);
  for (const [i, layer] of files.entries()) if (isEmpty(layer)) steps[i]!.empty_layer = true;
  const kept = files.filter((layer) => !isEmpty(layer));
  for (const entry of document.history ?? []) entry.created = "T";
  for (const run of [document.config, document.container_config]) {
    if (run?.Image) run.Image = "ID";
    if (run?.Hostname) run.Hostname = "";
  }
  const { created: _created, container: _container, docker_version: _version, rootfs, ...rest } = document;
  return {
    config: { ...rest, rootfs: { ...rootfs, diff_ids: kept.length } },
    layers: kept,
  };
}

interface Document extends Record<string, unknown> {
  readonly history?: { created?: string; empty_layer?: boolean }[];
  readonly config?: { Image?: string; Hostname?: string };
  readonly container_config?: { Image?: string; Hostname?: string };
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly string[] };
}
