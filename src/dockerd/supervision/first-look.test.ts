import assert from "node:assert/strict";
import { test } from "node:test";
import { FirstLook } from "./first-look.ts";

test("what needs no other daemon is answered at once, the rest waits for the first look and never again", async () => {
  const look = new FirstLook();
  for (const path of ["/_ping", "/version", "/info", "/containers/json", "/containers/{id}/json"]) {
    assert.equal(look.wait(path), undefined, path);
  }
  let waits = true;
  const waiting = look.wait("/networks/{id}")!.then(() => {
    waits = false;
  });
  await Promise.resolve();
  assert.ok(waits);
  look.done();
  await waiting;
  assert.equal(look.wait("/images/json"), undefined);
});
