import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import { createFailure, execFailure } from "./failure.ts";

const failed = (text: string, operation: string) => new HullError("internal", text, { facts: { operation } });

test("a program that is not there is named in runc's words, without the kernel operation", () => {
  const error = failed('exec 5f: exec: "nope": executable file not found in $PATH: lookPath nope: ENOENT', "lookPath");
  assert.equal(
    execFailure(error).message,
    'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown',
  );
});

test("a failure that keel has no words for keeps its operation and errno", () => {
  const exec = failed("exec 5f: execve /bin/true: ENOENT (process.json /args)", "execve");
  assert.match(execFailure(exec).message, /execve \/bin\/true: ENOENT/);
  const start = failed("start init: setUser 0:0: EPERM (config.json /process/user)", "setUser");
  assert.match(createFailure(start).message, /setUser 0:0: EPERM/);
});
