import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { applyChanges } from "./archive/dockerfile-changes.ts";
import { withoutEngineFiles } from "./archive/engine-files.ts";
import { encodePathStat, goFileMode } from "./archive/stat.ts";
import { resolveInRoot } from "./in-root.ts";
import { Queue } from "./queue.ts";
import { parseSignal } from "./signals.ts";
import { capabilitiesOf } from "./spec/capabilities.ts";
import { parseSecurityOptions } from "./spec/security.ts";
import { parseNetDev } from "./stats.ts";
import { parsePs } from "./top.ts";

test("modes are Go's", () => {
  assert.equal(goFileMode(0o040755), 2147484141);
  assert.equal(goFileMode(0o120777), 134218239);
  assert.equal(goFileMode(0o104755), 2 ** 23 + 0o755);
  const text = Buffer.from(
    encodePathStat({ name: "a", size: 1, mode: 0o100644, mtime: "t", linkTarget: "" }),
    "base64",
  ).toString();
  assert.equal(text, '{"name":"a","size":1,"mode":420,"mtime":"t","linkTarget":""}');
});

test("links in a root never lead out of it", async () => {
  const root = mkdtempSync(join(tmpdir(), "hull-root-"));
  try {
    mkdirSync(join(root, "etc"));
    symlinkSync("/etc", join(root, "absolute"));
    symlinkSync("../../../../etc", join(root, "etc/up"));
    symlinkSync("loop", join(root, "loop"));
    assert.equal(await resolveInRoot(root, "/absolute/passwd"), `${root}/etc/passwd`);
    assert.equal(await resolveInRoot(root, "/etc/up/x"), `${root}/etc/x`);
    assert.equal(await resolveInRoot(root, "../../x"), `${root}/x`);
    assert.equal(await resolveInRoot(root, "/loop"), undefined);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a queue runs one thing after the other, failed or not", async () => {
  const queue = new Queue();
  const order: number[] = [];
  const failed = queue.run(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push(1);
    throw new Error("no");
  });
  const after = queue.run(async () => order.push(2));
  await assert.rejects(failed);
  await after;
  assert.deepEqual(order, [1, 2]);
});

test("signals are numbers and names", () => {
  assert.deepEqual(["9", "KILL", "sigterm", "RTMIN+3", "SIGRTMAX"].map(parseSignal), [9, 9, 15, 37, 64]);
  for (const wrong of ["0", "99", "NOPE", "RTMIN+40"]) assert.throws(() => parseSignal(wrong), /invalid signal/);
});

test("capabilities are added to and dropped from Docker's set", () => {
  const of = (CapAdd: string[] | null, CapDrop: string[] | null, Privileged = false) =>
    capabilitiesOf({ CapAdd, CapDrop, Privileged });
  assert.equal(of(null, null).length, 14);
  assert.deepEqual(of(["CAP_NET_ADMIN"], ["ALL"]), ["CAP_NET_ADMIN"]);
  assert.ok(!of(["ALL"], ["CAP_CHOWN"]).includes("CAP_CHOWN"));
  assert.equal(of(null, null, true).length, 41);
  assert.throws(() => of(["CAP_MAGIC"], null), /invalid CapAdd: unknown capability: "CAP_MAGIC"/);
});

test("security options are parsed, unknown ones refused", () => {
  assert.deepEqual(parseSecurityOptions(["seccomp=unconfined", "no-new-privileges"]).seccomp, { kind: "unconfined" });
  assert.equal(parseSecurityOptions(["no-new-privileges:true"]).noNewPrivileges, true);
  for (const wrong of ["x", "x=y", "seccomp={"]) assert.throws(() => parseSecurityOptions([wrong]));
});

test("ps lines of other processes are left out, the command keeps its spaces", () => {
  const output = "UID   PID  CMD\nroot    1  init\nroot   42  sh -c sleep 1\n";
  assert.deepEqual(parsePs(output, new Set([42])), {
    Titles: ["UID", "PID", "CMD"],
    Processes: [["root", "42", "sh -c sleep 1"]],
  });
  assert.throws(() => parsePs("A B\n", new Set()), /Couldn't find PID field/);
});

test("network figures leave out loopback", () => {
  const text = "h1\nh2\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 0 0 0 0 0 0 30 4 0 0 0 0 0 0\n";
  assert.deepEqual(parseNetDev(text), {
    eth0: {
      rx_bytes: 10,
      rx_packets: 2,
      rx_errors: 0,
      rx_dropped: 0,
      tx_bytes: 30,
      tx_packets: 4,
      tx_errors: 0,
      tx_dropped: 0,
    },
  });
});

test("instructions of a commit change the image's config", () => {
  const changed = applyChanges({ Env: ["A=1"], WorkingDir: "/a" }, [
    'ENV A=2 B="x y"',
    'CMD ["a","b"]',
    "EXPOSE 80",
    "WORKDIR b",
    "LABEL k=v",
  ]);
  assert.deepEqual(changed, {
    Env: ["A=2", "B=x y"],
    WorkingDir: "/a/b",
    Cmd: ["a", "b"],
    ExposedPorts: { "80/tcp": {} },
    Labels: { k: "v" },
  });
  assert.throws(() => applyChanges({}, ["RUN x"]), /RUN is not a valid change command/);
});

test("what the engine made to mount on is no change", () => {
  const of = (list: readonly string[]) => list.map((line) => ({ kind: line[0]!, path: line.slice(2) }));
  const shown = (...list: string[]) => withoutEngineFiles(of(list)).map(({ kind, path }) => `${kind} ${path}`);
  assert.deepEqual(shown("C /etc", "A /etc/hosts", "A /etc/hostname"), []);
  assert.deepEqual(shown("C /etc", "A /etc/hosts", "C /etc/passwd"), ["C /etc", "C /etc/passwd"]);
  assert.deepEqual(shown("A /proc", "D /etc/hosts", "A /data"), ["D /etc/hosts", "A /data"]);
});
