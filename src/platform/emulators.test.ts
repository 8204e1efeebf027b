import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { emulationOf } from "./emulators.ts";

const directory = mkdtempSync(join(tmpdir(), "binfmt-"));
after(() => rmSync(directory, { recursive: true }));

const entry = (flags: string, magic: string, state = "enabled"): string =>
  `${state}\ninterpreter /usr/bin/emulator\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ffffffffffffff00fffffffffffffffffeffffff\n`;
const files: Readonly<Record<string, string>> = {
  status: "enabled\n",
  "any-name": entry("OCF", "7f454c460201010000000000000000000200b700"),
  "qemu-riscv64": entry("OC", "7f454c460201010000000000000000000200f300"),
  "qemu-s390x": entry("F", "7f454c4602020100000000000000000000020016", "disabled"),
  script: "enabled\ninterpreter /usr/bin/x\nflags: \nextension .x\n",
};
for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);

const cases = [
  ["amd64", "amd64", "native"],
  ["amd64", "386", "native"],
  ["amd64", "arm64", "emulated"],
  ["amd64", "riscv64", "unfixed"],
  ["amd64", "s390x", "none"],
  ["amd64", "arm", "none"],
  ["amd64", "pdp11", "none"],
] as const;
for (const [host, architecture, expected] of cases)
  test(`programs of ${architecture} on ${host}: ${expected}`, () => {
    assert.equal(emulationOf(host, architecture, directory), expected);
  });

test("without binfmt_misc nobody emulates", () => {
  assert.equal(emulationOf("amd64", "arm64", join(directory, "missing")), "none");
});
