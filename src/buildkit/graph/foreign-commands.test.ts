import assert from "node:assert/strict";
import { test } from "node:test";
import type { Emulation } from "../../platform/emulators.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { refuseForeignCommands } from "./foreign-commands.ts";
import { baseImage, planText } from "./plan-harness.ts";

const machine = (foreign: Emulation) => ({
  platform: "linux/amd64",
  emulationOf: (architecture: string): Emulation => (architecture === "amd64" ? "native" : foreign),
});

async function refused(text: string, foreign: Emulation, target = ""): Promise<string> {
  const known = { any: baseImage("any", { os: undefined, architecture: undefined }) };
  const plan = await planText(text, { known, target, platforms: ["linux/amd64", "linux/arm64"] });
  try {
    refuseForeignCommands(plan, parseDockerfile(Buffer.from(text), "Dockerfile"), machine(foreign));
    return "";
  } catch (error) {
    assert.equal(codeOf(error), "failed-precondition");
    return messageOf(error);
  }
}

test("a command of another platform is refused by instruction, platform and remedy", async () => {
  const message = await refused("FROM any\nCOPY a /\nRUN make it\nRUN make more\n", "none");
  assert.match(message, /RUN make it: a command for linux\/arm64 cannot run on this machine \(linux\/amd64\)/);
  assert.match(message, /no emulator is registered for arm64; register one in binfmt_misc/);
});

test("an emulator that stays outside of the image does not help", async () => {
  assert.match(await refused("FROM any\nRUN x\n", "unfixed"), /lacks the flag F/);
});

test("what runs: emulated commands, commands of this machine, stages that nobody needs", async () => {
  assert.equal(await refused("FROM any\nRUN x\n", "emulated"), "");
  const cross =
    "FROM any AS unused\nRUN x\nFROM --platform=$BUILDPLATFORM any AS made\nARG TARGETARCH\nRUN cc $TARGETARCH > /o\nFROM scratch\nCOPY --from=made /o /\n";
  assert.equal(await refused(cross, "none"), "");
});
