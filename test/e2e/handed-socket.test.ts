/** A socket that an init system has opened before the engine starts (`--host fd://`, sd_listen_fds(3)). */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processesOf, run, until } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

/** Listens, starts the engine with the socket as its descriptor 3, and ends, as it must not accept anybody itself. */
const activator = `
  import { spawn } from "node:child_process";
  import { createServer } from "node:net";
  const [path, ...command] = process.argv.slice(1);
  const listener = createServer().listen(path, () => {
    const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"';
    const stdio = ["ignore", "ignore", "ignore", listener._handle.fd];
    const daemon = spawn("sh", ["-c", script, "sh", ...command], { stdio, detached: true });
    console.log(daemon.pid);
    process.kill(process.pid, "SIGKILL");
  });
`;

test("an engine serves the socket it was handed, answers who came before it, and leaves the file when it ends", async () => {
  const directory = mkdtempSync("/var/tmp/hull-test-");
  const path = join(directory, "handed.sock");
  const roots = ["--data-root", join(directory, "data"), "--exec-root", join(directory, "run")];
  const hulld = [join(root, "dist/bin/hulld"), ...roots, "--host", "fd://"];
  const pid = Number((await run([process.execPath, "-e", activator, path, ...hulld], {})).stdout);
  try {
    const early = await run(["docker", "version", "--format", "{{.Server.Os}}"], { DOCKER_HOST: `unix://${path}` });
    assert.equal(early.stdout.trim(), "linux", early.stderr);
    assert.equal(existsSync(join(directory, "run/docker.sock")), false);
  } finally {
    process.kill(pid, "SIGTERM");
    await until("every daemon has ended", () => processesOf(directory).length === 0);
    const isThere = existsSync(path);
    rmSync(directory, { recursive: true, force: true });
    assert.ok(isThere);
  }
});
