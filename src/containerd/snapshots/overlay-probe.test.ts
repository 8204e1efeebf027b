import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import { overlayRefusal } from "./overlay-probe.ts";
import { overlay2Driver } from "./overlay2.ts";

const keel = await KeelServe.open();
let dataRoot = "";
let trash = "";
beforeEach(() => {
  dataRoot = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-probe-"));
  trash = join(dataRoot, "trash");
  mkdirSync(trash);
});
afterEach(() => {
  assert.deepEqual(readdirSync(trash), []);
  rmSync(dataRoot, { recursive: true });
});
after(() => keel[Symbol.asyncDispose]());

/** Its first plans with an overlay in them end so. */
const failing = (times: number, error: () => HullError): Kernel => ({
  run: async (plan, options) => {
    if (times > 0 && plan.some(({ name }) => name === "overlay")) {
      times--;
      throw error();
    }
    return keel.run(plan, options);
  },
});
const refusal = (kernel: Kernel): Promise<string> =>
  overlayRefusal({ driver: overlay2Driver(dataRoot, 500), dataRoot, trash, kernel });
const killed = () => new HullError("unavailable", "keel serve ended (SIGKILL)");
const refused = () => new HullError("internal", "overlay: EINVAL", { facts: { errno: "EINVAL" } });

test("a keel that is killed over the probe says nothing about overlayfs: the next one is asked", async () => {
  assert.equal(await refusal(failing(2, killed)), "");
});

test("a probe that a daemon was killed over, mounted as it is, is taken away by the next", async () => {
  const dies: Kernel = {
    run: async (plan, options) => {
      if (readdirSync(trash).length > 0) throw new HullError("cancelled", "the daemon is dead");
      return keel.run(plan, options);
    },
  };
  await assert.rejects(refusal(dies), (error) => codeOf(error) === "cancelled");
  assert.match(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(` ${trash}/probe/merged `));
  assert.equal(await refusal(keel), "");
  assert.doesNotMatch(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(` ${trash}/probe/merged `));
});

test("what the kernel refuses is the reason, and the probe leaves nothing", async () => {
  assert.match(await refusal(failing(1, refused)), /EINVAL/);
});

test("a full disk says nothing about overlayfs", async () => {
  assert.equal(
    await refusal(
      failing(
        1,
        () => new HullError("internal", "mkdir: ENOSPC: No space left on device", { facts: { errno: "ENOSPC" } }),
      ),
    ),
    "",
  );
});

test("what was never found out is no refusal", async () => {
  await assert.rejects(
    refusal(failing(1, () => new HullError("cancelled", "the daemon ends"))),
    (error) => codeOf(error) === "cancelled",
  );
});

test("layers of overlay2 are never taken for absent because overlayfs fails", async () => {
  mkdirSync(join(dataRoot, "overlay2", "l"), { recursive: true });
  assert.match(await refusal(failing(1, refused)), /EINVAL/);
  mkdirSync(join(dataRoot, "overlay2", "a".repeat(64)));
  await assert.rejects(refusal(failing(1, refused)), (error) => codeOf(error) === "failed-precondition");
});
