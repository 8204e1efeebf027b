import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Operation } from "../../../keel/plan.ts";
import { codeOf, HullError } from "../../../platform/errors.ts";
import { OptionsSchema } from "../../gen/containerd/runc/v1/options_pb.ts";
import { rootsOf, taskPaths } from "../../roots.ts";
import { runtimeBinary } from "./binary.ts";
import { foreignFailure, lastError } from "./failure.ts";
import { heldOf } from "./process.ts";
import { createStage, execStage, foreignRuntime, logFile } from "./runtime.ts";
import { resolveUser } from "./user.ts";

const roots = rootsOf("/d", "/r");
const paths = taskPaths(roots, "moby", "c1");
const runtime = foreignRuntime("/usr/sbin/runc", { roots, namespace: "moby", id: "c1" })!;

const argumentsOf = (operations: readonly Operation[]) =>
  operations
    .filter(({ name }) => name === "runtime")
    .map(({ record }) => String(record.blobs?.[0]).split("\0").slice(1, -1).join(" "));

test("a runtime without options, or called runc, is our own; another program is called by its path", () => {
  const named = (binaryName: string) =>
    runtimeBinary({
      name: "io.containerd.runc.v2",
      options: {
        typeUrl: OptionsSchema.typeName,
        value: toBinary(OptionsSchema, create(OptionsSchema, { binaryName })),
      },
    } as never);
  assert.deepEqual(
    [runtimeBinary(undefined), named(""), named("runc"), named("/usr/bin/crun")],
    ["", "", "", "/usr/bin/crun"],
  );
  assert.throws(
    () => runtimeBinary({ name: "io.containerd.kata.v2" } as never),
    (error) => codeOf(error) === "unimplemented",
  );
});

test("a container is created before it waits for its start, an exec begins with it", () => {
  const files = { paths, terminal: false, hostPid: 7 };
  const stage = createStage(runtime, files);
  const log = `--root /r/runtime-runc/moby --log ${logFile(paths.bundle)} --log-format json`;
  assert.deepEqual(argumentsOf(stage), [
    `${log} create --bundle ${paths.bundle} --pid-file ${paths.bundle}/init.pid c1`,
    `${log} start c1`,
  ]);
  const names = stage.map(({ name }) => name);
  assert.deepEqual(names.slice(-3), ["runtime", "waitStart", "runtime"]);
  const exec = execStage(runtime, { ...files, terminal: true, execId: "e", process: Buffer.from("{}") });
  const order = exec.map(({ name }) => name).filter((name) => ["standIn", "waitStart", "runtime"].includes(name));
  assert.deepEqual(order, ["standIn", "waitStart", "runtime"]);
  assert.match(argumentsOf(exec)[0]!, /exec --detach --process \S+ --pid-file \S+ --console-socket \S+\.tty c1$/);
});

test("capabilities that the host lacks are left out of every set", () => {
  const sets = { bounding: ["CAP_CHOWN", "CAP_SYS_RESOURCE"], effective: ["CAP_SYS_RESOURCE"] };
  assert.deepEqual(heldOf(sets, 1n), { bounding: ["CAP_CHOWN"], effective: [] });
});

const passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:\n";
const group = "root:x:0:\nwheel:x:10:root,web\nadm:x:11:\nweb:x:34:\n";
const users: readonly (readonly [string, readonly string[], readonly [number, number, readonly number[]]])[] = [
  ["", [], [0, 0, [10]]],
  ["web", [], [33, 34, [10]]],
  ["33", ["adm", "12"], [33, 34, [10, 11, 12]]],
  ["web:adm", [], [33, 11, []]],
  ["1000", [], [1000, 0, []]],
  ["1000:7", [], [1000, 7, []]],
];
for (const [username, additionalGroups, [uid, gid, additionalGids]] of users)
  test(`user "${username}" with groups [${additionalGroups}] is ${uid}:${gid} [${additionalGids}]`, () => {
    assert.deepEqual(resolveUser({ username, additionalGroups }, passwd, group), { uid, gid, additionalGids });
  });

test("a user or group that is not there is named in runc's words", () => {
  const refused = (username: string, pattern: RegExp) =>
    assert.throws(() => resolveUser({ username }, passwd, group), pattern);
  refused("nobody", /unable to find user nobody: no matching entries in passwd file/);
  refused("web:none", /unable to find group none: no matching entries in group file/);
  refused("4294967296", /uids and gids must be in range/);
});

test("a runtime's last error is its reason, in the words that docker's exit codes come from", async () => {
  const line = (level: string, msg: string) => JSON.stringify({ level, msg });
  assert.equal(
    lastError([line("error", "first"), line("warning", "w"), line("error", "last"), '{"lev'].join("\n")),
    "last",
  );
  const bundle = mkdtempSync(join(tmpdir(), "hull-foreign-"));
  try {
    writeFileSync(
      logFile(bundle),
      line("error", "executable file `nope` not found in $PATH: No such file or directory"),
    );
    const error = await foreignFailure("exec", bundle, new HullError("internal", "exit status 1"));
    assert.match(
      error.message,
      /^OCI runtime exec failed: .*exec: "nope": executable file not found in \$PATH: unknown$/,
    );
    rmSync(logFile(bundle));
    assert.match(
      (await foreignFailure("create", bundle, new HullError("internal", "exit status 1"))).message,
      /exit status 1/,
    );
  } finally {
    rmSync(bundle, { recursive: true });
  }
});
