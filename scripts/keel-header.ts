/** Writes native/keel/core/operations.h from src/keel/operations.ts; with --check it only compares (exit code 1 when they differ). */
import { readFileSync, writeFileSync } from "node:fs";
import { operations, tolerable } from "../src/keel/operations.ts";

const path = new URL("../native/keel/core/operations.h", import.meta.url).pathname;

const constant = (name: string): string => `OP_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
const lowerCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function header(): string {
  const entries = Object.entries(operations);
  return [
    "/* Generated from src/keel/operations.ts by scripts/keel-header.ts. Do not edit. */",
    "#pragma once",
    "#include <errno.h>",
    "",
    "enum {",
    ...entries.map(([name, shape]) => `  ${constant(name)} = ${shape.code},`),
    "};",
    "",
    "/* X(code, function, ints, blobs) */",
    "#define OPERATIONS(X) \\",
    ...entries.map(([name, shape], i) => {
      const end = i === entries.length - 1 ? "" : " \\";
      return `  X(${constant(name)}, op_${lowerCase(name)}, ${shape.ints.length}, ${shape.blobs.length})${end}`;
    }),
    "",
    `static const int tolerable[] = {${tolerable.join(", ")}};`,
    "",
  ].join("\n");
}

if (process.argv.includes("--check")) {
  if (readFileSync(path, "utf8") !== header()) {
    console.error("native/keel/core/operations.h is older than src/keel/operations.ts: run scripts/keel-header.ts");
    process.exitCode = 1;
  }
} else {
  writeFileSync(path, header());
}
