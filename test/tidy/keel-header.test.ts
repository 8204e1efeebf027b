import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { root } from "./source-tree.ts";

test("keel's table of operations is the one of src/keel/operations.ts", () => {
  execFileSync(process.execPath, ["scripts/keel-header.ts", "--check"], { cwd: root, stdio: "pipe" });
});
