/** --output, --load, --tag: where the result goes. */
import { resolve } from "node:path";
import { parseReference } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { FlagValues } from "../flags.ts";
import { stdoutIsTerminal } from "../streams/terminal.ts";
import { parseFields, splitFields } from "./fields.ts";

/** What the daemon is asked to make. */
export interface Exporter {
  readonly Type: string;
  readonly Attrs: Readonly<Record<string, string>>;
}

/** Where the command puts what the daemon sends. */
export type Destination =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "stdout" };

export interface Output {
  readonly exporter: Exporter;
  readonly destination: Destination | undefined;
}

const toClient = new Set(["local", "tar", "oci", "docker"]);

/** Throws invalid-argument and unimplemented in docker's words. */
export function parseOutputs(flags: FlagValues): Output[] {
  const names = flags.list("tag").map(checkedName).join(",");
  if (flags.bool("push"))
    throw new HullError("unimplemented", "--push is not available yet: build with --tag, then use push");
  const asked = flags.list("output").map((spec) => output(spec, names));
  const image = { exporter: { Type: "moby", Attrs: names === "" ? {} : { name: names } }, destination: undefined };
  const loads = asked.length === 0 || (flags.bool("load") && !asked.some(({ exporter }) => exporter.Type === "moby"));
  const outputs = loads ? [...asked, image] : asked;
  if (outputs.filter(({ destination }) => destination !== undefined).length > 1)
    throw new HullError("unimplemented", "several outputs to files are not available yet: use one --output at a time");
  return outputs;
}

function checkedName(name: string): string {
  try {
    parseReference(name);
  } catch (error) {
    throw new HullError(
      "invalid-argument",
      `invalid tag ${JSON.stringify(name)}: invalid reference format${name === name.toLowerCase() ? "" : ": repository name must be lowercase"}`,
      { cause: error },
    );
  }
  return name;
}

function output(spec: string, names: string): Output {
  const isPath = splitFields(spec).length === 1 && !spec.includes("=");
  if (isPath && spec === "-") return toStdout({ Type: "tar", Attrs: {} });
  const { type, dest, ...attributes } = isPath ? { type: "local", dest: spec } : parseFields(spec);
  if (type === undefined) throw new HullError("invalid-argument", "type is required for output");
  const named = names === "" ? attributes : { name: names, ...attributes };
  if (type === "registry")
    return { exporter: { Type: "moby", Attrs: { ...named, push: "true" } }, destination: undefined };
  if (type === "image" || (type === "docker" && dest === undefined))
    return { exporter: { Type: "moby", Attrs: named }, destination: undefined };
  if (!toClient.has(type)) return { exporter: { Type: type, Attrs: attributes }, destination: undefined };
  const exporter = { Type: type, Attrs: type === "local" || type === "tar" ? attributes : named };
  const isDirectory = type === "local" || attributes.tar === "false";
  if (isDirectory) {
    if (!dest || dest === "-")
      throw new HullError("invalid-argument", `dest is required for ${type} exporter: a directory`);
    return { exporter, destination: { kind: "directory", path: resolve(dest) } };
  }
  if (!dest || dest === "-") return toStdout(exporter);
  return { exporter, destination: { kind: "file", path: resolve(dest) } };
}

function toStdout(exporter: Exporter): Output {
  if (stdoutIsTerminal())
    throw new HullError(
      "invalid-argument",
      `dest file is required for ${exporter.Type} exporter. refusing to write to console`,
    );
  return { exporter, destination: { kind: "stdout" } };
}
