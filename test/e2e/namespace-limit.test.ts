import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

/**
 * hull-netd's keel works in a user namespace whose limit on network namespaces is reached; the machine's own sysctl is not touched. It
 * has no rights over the machine's network there, so the engine has neither bridge nor rules.
 */
const directory = mkdtempSync("/var/tmp/hull-limit-");
const programs = join(directory, "bin");
const executables = join(directory, "libexec/glasshull");
let engine: TestEngine;
before(async () => {
  mkdirSync(programs);
  mkdirSync(executables, { recursive: true });
  for (const name of ["hull", "hulld", "hull-containerd", "hull-netd", "hull-runc"]) {
    linkSync(join(root, "dist/bin", name), join(programs, name));
    linkSync(join(root, "dist/libexec/glasshull", name), join(executables, name));
  }
  const keel = join(root, "dist/bin/keel");
  const limited = `unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_net_namespaces; exec ${keel} "$@"' sh "$@"`;
  const script = `#!/bin/sh\n[ "$(cat /proc/$PPID/comm)" = hull-netd ] && exec ${limited}\nexec ${keel} "$@"\n`;
  writeFileSync(join(programs, "keel"), script, { mode: 0o755 });
  engine = await TestEngine.start({
    args: ["--bridge", "none", "--iptables=false"],
    wrap: ["sh", "-c", `shift; exec ${programs}/hulld "$@"`, "sh"],
  });
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

test("a limit on namespaces that is reached is refused by its sysctl's name and leaves nothing behind", async () => {
  const ran = await engine.docker("run", "--name", "limited", "--network", "none", "busybox", "true");
  assert.equal(ran.code, 125, ran.stderr);
  assert.match(ran.stderr, /a limit on namespaces is reached: raise the sysctl user\.max_net_namespaces/);
  assert.equal(await engine.inspect("limited", "{{.State.Status}} {{.State.Pid}}"), "created 0");
  await engine.ok("rm", "limited");
  assert.equal(await engine.ok("run", "--rm", "--network", "host", "busybox", "echo", "others run"), "others run");
});
