import assert from "node:assert/strict";
import { test } from "node:test";
import { type Flag, parseBytes, parseDurationNs, parseFlags } from "./flags.ts";

const flags: readonly Flag[] = [
  { name: "interactive", short: "i", kind: "bool", help: "" },
  { name: "tty", short: "t", kind: "bool", help: "" },
  { name: "publish", short: "p", kind: "list", help: "" },
  { name: "name", kind: "string", help: "" },
  { name: "memory", short: "m", kind: "bytes", help: "" },
  { name: "stop-timeout", kind: "int", help: "" },
];

test("letters combine, values may stick to their letter, and the first operand ends the flags", () => {
  const { flags: given, operands } = parseFlags(
    ["-it", "-p80:80", "-p", "81:81", "--name=x", "--tty=false", "busybox", "-m", "ls"],
    flags,
    { stopAtOperand: true },
  );
  assert.deepEqual(operands, ["busybox", "-m", "ls"]);
  assert.deepEqual(given.list("publish"), ["80:80", "81:81"]);
  assert.deepEqual([given.bool("interactive"), given.bool("tty"), given.text("name")], [true, false, "x"]);
});

test("flags may follow operands where the command allows it, and -- ends them", () => {
  const { flags: given, operands } = parseFlags(["a", "-t", "--", "-i"], flags, { stopAtOperand: false });
  assert.deepEqual([operands, given.bool("tty"), given.bool("interactive")], [["a", "-i"], true, false]);
});

const bad: readonly (readonly [string[], string])[] = [
  [["--nope"], "unknown flag: --nope"],
  [["-x"], "unknown shorthand flag: 'x' in -x"],
  [["--name"], "flag needs an argument: --name"],
  [["-m", "lots"], 'invalid argument "lots" for "-m, --memory" flag: invalid size: \'lots\''],
  [
    ["--stop-timeout", "x"],
    'invalid argument "x" for "--stop-timeout" flag: strconv.ParseInt: parsing "x": invalid syntax',
  ],
];
for (const [argv, message] of bad) {
  test(`${argv.join(" ")} is refused in pflag's words`, () => {
    assert.throws(() => parseFlags(argv, flags, { stopAtOperand: true }), { message });
  });
}

test("sizes and durations are read as Go reads them", () => {
  assert.deepEqual(["64m", "1.5g", "10", "1kb", "x"].map(parseBytes), [67108864, 1610612736, 10, 1024, undefined]);
  assert.deepEqual(["1m30s", "1.5h", "10", "100ms"].map(parseDurationNs), [90e9, 5400e9, undefined, 100e6]);
});
