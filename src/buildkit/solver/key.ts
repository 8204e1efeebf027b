/**
 * Keys of results: hashes of what determines them, kept apart by part until the end, so that a difference has a name. Parts are hashes, never
 * values: build arguments may be secrets.
 * Left out on purpose: names and places, proxy variables, limits, secrets' values, addresses of extra hosts, names and sharing of cache mounts.
 */
import { createHash } from "node:crypto";
import type { KeyParts } from "../explain/differences.ts";
import type { CopyVertex, RunMount, RunVertex, Vertex } from "../graph/vertex.ts";

/** Vertices that yield layers by work. */
export type StepVertex = Extract<Vertex, { readonly kind: "copy" | "write" | "directory" | "run" | "merge" }>;

export const hashOf = (...texts: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(texts)).digest("hex");

export const keyOf = (kind: Vertex["kind"], parts: KeyParts): string => {
  const sorted = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  return `sha256:${hashOf(kind, JSON.stringify(sorted))}`;
};

/** Of a result that is known without work. */
export const chainKey = (chainId: string): string => `sha256:${hashOf("layers", chainId)}`;

/** By part what the vertex itself says; its inputs are parts that the caller adds. */
export function definitionParts(vertex: StepVertex): KeyParts {
  switch (vertex.kind) {
    case "copy":
      return { instruction: copyText(vertex) };
    case "write":
      return {
        instruction: plain([vertex.files.map(({ path, name }) => [path, name]), vertex.owner, vertex.chmod]),
        ...Object.fromEntries(vertex.files.map(({ path, data }) => [`document ${path}`, hashOf(data)])),
      };
    case "directory":
      return { instruction: plain([vertex.path, vertex.owner]) };
    case "merge":
      return { instruction: "" };
    case "run":
      return runParts(vertex);
  }
}

const plain = (value: unknown): string => hashOf(JSON.stringify(value));

/** Without the sources: what they select is a part of its own. */
const copyText = ({ destination, owner, chmod, unpack, dialect, from }: CopyVertex): string =>
  plain([
    destination,
    owner,
    chmod,
    unpack,
    dialect,
    owner === undefined && ["context", "http", "git"].includes(from.kind),
  ]);

function runParts(vertex: RunVertex): KeyParts {
  const variables = vertex.env.map((text) => {
    const at = text.indexOf("=");
    return [`variable ${at < 0 ? text : text.slice(0, at)}`, hashOf(text)] as const;
  });
  return {
    instruction: plain([vertex.argv, vertex.pipes]),
    "working directory": hashOf(vertex.workingDirectory),
    user: hashOf(vertex.user),
    platform: hashOf(vertex.platform),
    network: plain([vertex.network, vertex.security, vertex.hostname]),
    "extra hosts": plain(vertex.extraHosts.map((text) => text.slice(0, text.search(/[:=]|$/)))),
    ...Object.fromEntries(variables),
    ...Object.fromEntries(vertex.mounts.map((mount, i) => [`mount ${i} ${targetOf(mount)}`, plain(mountText(mount))])),
  };
}

export const targetOf = (mount: RunMount): string =>
  mount.kind === "secret" && mount.target === "" ? mount.env : mount.target;

function mountText(mount: RunMount): unknown {
  if (mount.kind === "bind") return { ...mount, from: undefined };
  if (mount.kind === "cache") return { ...mount, from: undefined, id: undefined, sharing: undefined };
  return mount;
}

/** Its key's part for a source that a mount shows. */
export const mountPart = (index: number): string => `contents of mount ${index}`;
