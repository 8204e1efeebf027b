import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { nextDelayMs, shouldRestart, startsWithEngine } from "./restart-policy.ts";
import { processReason, startFailure } from "./start-failure.ts";

const policy = (Name: string, MaximumRetryCount = 0) => ({ Name, MaximumRetryCount });

const restarts: readonly (readonly [string, number, Partial<Parameters<typeof shouldRestart>[0]>, boolean])[] = [
  ["no", 1, {}, false],
  ["always", 0, {}, true],
  ["always", 0, { stopRequested: true }, false],
  ["unless-stopped", 3, {}, true],
  ["on-failure", 0, {}, false],
  ["on-failure", 1, {}, true],
  ["on-failure", 1, { policy: policy("on-failure", 3), restartCount: 3 }, false],
  ["on-failure", 1, { policy: policy("on-failure", 3), restartCount: 2 }, true],
];
for (const [name, exitCode, more, expected] of restarts)
  test(`policy ${name} after exit ${exitCode} ${JSON.stringify(more)}: ${expected ? "starts again" : "stays"}`, () =>
    assert.equal(
      shouldRestart({ policy: policy(name), exitCode, restartCount: 0, stopRequested: false, ...more }),
      expected,
    ));

const engineStarts: readonly (readonly [string, boolean, number, boolean])[] = [
  ["always", true, 0, true],
  ["unless-stopped", true, 0, false],
  ["unless-stopped", false, 0, true],
  ["on-failure", false, 1, true],
  ["on-failure", false, 0, false],
  ["no", false, 1, false],
];
for (const [name, manuallyStopped, exitCode, expected] of engineStarts)
  test(`with the engine, ${name} (stopped by hand: ${manuallyStopped}, code ${exitCode}) ${expected ? "starts" : "stays"}`, () =>
    assert.equal(startsWithEngine(policy(name), { exitCode, manuallyStopped }), expected));

test("restarts back off from 100 ms to a minute and begin anew after a good run", () => {
  assert.deepEqual(
    [nextDelayMs(0, 5), nextDelayMs(100, 5), nextDelayMs(51_200, 5), nextDelayMs(60_000, 20_000)],
    [100, 200, 60_000, 100],
  );
});

const failures: readonly (readonly [string, number, number])[] = [
  ['exec: "nosuch": executable file not found in $PATH', 127, 400],
  ['unable to start container process: exec: "/x": stat /x: no such file or directory', 127, 400],
  ['exec: "/etc/passwd": permission denied', 126, 400],
  ['exec: "/etc": is a directory', 126, 400],
  ["driver failed programming external connectivity on endpoint x: port is already allocated", 128, 500],
];
for (const [text, exitCode, status] of failures)
  test(`a start that fails with "${text}" has code ${exitCode}`, () => {
    const failure = startFailure(new HullError("internal", text));
    assert.deepEqual([failure.exitCode, failure.status], [exitCode, status]);
  });

test("a process that cannot be executed is told in runc's sentence, once", () => {
  const { message } = startFailure(
    new Error(
      'OCI runtime create failed: unable to start container process: exec: "x": executable file not found in $PATH',
    ),
  );
  assert.equal(
    message,
    'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "x": executable file not found in $PATH: unknown',
  );
  assert.equal(startFailure(new Error(message)).message, message);
});

test("a failure that has no words of its own keeps the kernel's operation", () => {
  const reason = `exec ${"a".repeat(64)}: clone: ENOENT (the new process), operation 2 of 14`;
  assert.equal(processReason(`exec failed: unable to start container process: ${reason}`), reason);
});
