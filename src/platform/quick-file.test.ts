import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isThere, readIfThere } from "./quick-file.ts";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "quick-file-"));
});
after(() => rmSync(directory, { recursive: true }));

test("a text is read, an empty one too", () => {
  const path = join(directory, "text");
  writeFileSync(path, '{"currentContext":"héé"}');
  assert.equal(readIfThere(path), '{"currentContext":"héé"}');
  writeFileSync(path, "");
  assert.equal(readIfThere(path), "");
});

test("what is not there is undefined, also below a file", () => {
  writeFileSync(join(directory, "file"), "x");
  for (const name of ["none", "file/below"]) {
    assert.equal(readIfThere(join(directory, name)), undefined);
    assert.equal(isThere(join(directory, name)), false);
  }
});

test("what can't be read throws", () => {
  assert.throws(() => readIfThere(directory), { code: "EISDIR" });
});

test("a socket is there", async () => {
  const path = join(directory, "socket");
  const server = createServer().listen(path);
  await new Promise((resolve) => server.once("listening", resolve));
  assert.equal(isThere(path), true);
  server.close();
});
