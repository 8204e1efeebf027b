import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { listEngineContainers } from "./engine-containers.ts";
import { startTimeOf } from "./state.ts";

test("the engine's containers are listed with the pid and state that their bundles and /proc tell", async () => {
  const root = mkdtempSync(join(tmpdir(), "hull-runc-list-"));
  const child = spawn("sleep", ["1000"]);
  try {
    const bundle = (id: string, files: Readonly<Record<string, object>>): string => {
      const path = join(root, "containerd/io.containerd.runtime.v2.task/moby", id);
      mkdirSync(path, { recursive: true });
      for (const [name, value] of Object.entries(files)) writeFileSync(join(path, name), JSON.stringify(value));
      return path;
    };
    const pid = child.pid!;
    const shim = { initPid: pid, initStartTime: Number(startTimeOf(pid)) };
    const runs = bundle("a", { "config.json": {}, "shim.json": shim });
    bundle("b", { "config.json": {}, "shim.json": { ...shim, initStartTime: 1 } });
    bundle("c", { "config.json": {}, "shim.json": shim, "exit.json": {} });
    bundle("d", { "config.json": {} });
    bundle("e", {});
    const listed = listEngineContainers(root);
    assert.deepEqual(
      listed.map(({ id, pid: shown, status }) => [id, shown, status]),
      [
        ["a", pid, "running"],
        ["b", 0, "stopped"],
        ["c", 0, "stopped"],
        ["d", 0, "created"],
      ],
    );
    assert.equal(listed[0]!.bundle, runs);
    assert.deepEqual(listEngineContainers(join(root, "none")), []);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(root, { recursive: true });
  }
});
