import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import { patient } from "./patient-client.ts";

/** A service that fails as told before it answers. */
function failing(...failures: HullError[]) {
  let calls = 0;
  const answer = async () => {
    const failure = failures[calls++];
    if (failure) throw failure;
    return calls;
  };
  return patient({ tasks: { list: answer, kill: answer } });
}

const refused = new HullError("unavailable", "connect ECONNREFUSED /x");
const reset = new HullError("unavailable", "read ECONNRESET");

test("a call that never reached the daemon is made again", async () => {
  assert.equal(await failing(refused, refused).tasks.kill(), 3);
});

test("a call that was cut off is made again only when that is the same", async () => {
  assert.equal(await failing(reset).tasks.list(), 2);
  await assert.rejects(failing(reset).tasks.kill(), reset);
});

test("other failures are told at once", async () => {
  await assert.rejects(failing(new HullError("not-found", "no")).tasks.list(), /no/);
});
