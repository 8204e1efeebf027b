import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { ContextReceiver } from "../context/receive.ts";
import { openDownloads } from "./open.ts";

test("what a killed builder had in hand goes at the start; repositories that nothing used for two days go later", async () => {
  await using keel = await KeelServe.open();
  const directory = mkdtempSync(join(tmpdir(), "hull-downloads-"));
  try {
    const contexts = new ContextReceiver({ keel, directory: join(directory, "contexts"), warn: assert.fail });
    const env = { HTTPS_PROXY: "http://proxy:1", no_proxy: "x", PATH: "/bin" };
    const open = () => openDownloads({ directory, contexts, keel, env });
    await open();
    assert.deepEqual(env as Record<string, string>, { PATH: "/bin" });
    const at = (name: string): string => join(directory, "git", name);
    for (const name of ["incoming-1/tree", "repositories/used", "repositories/unused"])
      mkdirSync(at(name), { recursive: true });
    writeFileSync(at("repositories/unused/HEAD"), "x");
    const downloads = await open();
    assert.equal(existsSync(at("incoming-1")), false);
    const longAgo = (Date.now() - 49 * 3600 * 1000) / 1000;
    utimesSync(at("repositories/unused"), longAgo, longAgo);
    await downloads.collect();
    assert.deepEqual(
      ["used", "unused"].map((name) => existsSync(at(`repositories/${name}`))),
      [true, false],
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
