import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { readSource, sourceFiles } from "./source-tree.ts";

/** The dependency rule (ARCHITECTURE.md): each area and the areas it may import. */
const base = ["platform", "keel", "oci", "trace"];
const allowed: Readonly<Record<string, readonly string[]>> = {
  platform: ["platform"],
  trace: ["trace", "platform"],
  keel: ["keel", "platform", "trace"],
  oci: ["oci", "platform"],
  runc: ["runc", ...base],
  containerd: ["containerd", "registry/client", "registry/transfer", "runc", ...base],
  network: ["network", ...base],
  registry: ["registry", ...base],
  buildkit: [
    "buildkit",
    "runc",
    "registry",
    "network/api.ts",
    "network/client.ts",
    "containerd/client.ts",
    "containerd/gen",
    ...base,
  ],
  dockerd: [
    "dockerd",
    "registry/client",
    "runc",
    "buildkit/api.ts",
    "buildkit/client.ts",
    "network/api.ts",
    "network/client.ts",
    "containerd/client.ts",
    "containerd/gen",
    ...base,
  ],
  doctor: ["doctor", ...base],
  web: ["web", ...base],
  cli: [
    "cli",
    "registry/client",
    "doctor",
    "buildkit/files",
    "buildkit/explain",
    "containerd/gen",
    "buildkit/gen",
    "containerd/gen/containerd/services/content",
    "platform",
    "trace",
    "oci",
    "dockerd/api",
  ],
};

const importLine = /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)/g;

function importsOf(path: string): string[] {
  return [...readSource(path).matchAll(importLine)].map((match) =>
    normalize(join(dirname(path), match[1] ?? match[2]!)),
  );
}

function mayImport(area: string, target: string): boolean {
  const inside = target.replace(/^src\//, "");
  return (allowed[area] ?? []).some(
    (entry) => inside === entry || inside.startsWith(entry.endsWith(".ts") ? entry : `${entry}/`),
  );
}

test("imports point one way", () => {
  const wrong: string[] = [];
  for (const path of sourceFiles(["src"], [".ts"])) {
    const area = path.split("/")[1]!;
    if (area.endsWith(".ts") || path.endsWith(".test.ts")) continue;
    for (const target of importsOf(path)) {
      if (target.startsWith("src/") && !mayImport(area, target)) wrong.push(`${path} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("only src/platform knows Bun", () => {
  const wrong = sourceFiles(["src"], [".ts"]).filter(
    (path) => !path.startsWith("src/platform/") && /\bBun\.|from "bun(:[a-z]+)?"/.test(readSource(path)),
  );
  assert.deepEqual(wrong, []);
});

test("no file imports in a circle", () => {
  const files = sourceFiles(["src"], [".ts"]).filter((path) => !path.endsWith(".test.ts") && !/\/gen\//.test(path));
  const graph = new Map(files.map((path) => [path, valueImports(path)]));
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      circles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of files) visit(path, []);
  assert.deepEqual(circles, []);
});

/** Static imports of values: types vanish, and `import()` is how a circle is cut on purpose. */
function valueImports(path: string): string[] {
  const line = /(?:^|\n)\s*(?:import|export)\s+(?!type\s)([^;]*?)from\s+"(\.[^"]+)"/g;
  return [...readSource(path).matchAll(line)]
    .filter((match) => !onlyTypes(match[1]!))
    .map((match) => normalize(join(dirname(path), match[2]!)));
}

const onlyTypes = (clause: string): boolean => {
  const names = /^\{([^}]*)\}\s*$/.exec(clause.trim())?.[1];
  return names?.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type ")) ?? false;
};
