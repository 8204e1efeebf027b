import assert from "node:assert/strict";
import { test } from "node:test";
import { again } from "./small-heap.ts";

const argv = ["bun", "/$bunfs/root/hull", "--debug", "--host=unix:///x y"];
const argv0 = "/usr/bin/hulld";

test("a process is executed again with its own name and arguments, and only once", () => {
  const wanted = again({ argv, argv0, environment: { HOME: "/root" } });
  assert.deepEqual(wanted?.argv, [argv0, "--debug", "--host=unix:///x y"]);
  assert.equal(wanted?.environment.HOME, "/root");
  assert.equal(again({ argv, argv0, environment: wanted!.environment }), undefined);
});

test("from source, the entry file stays an argument", () => {
  assert.deepEqual(again({ argv: ["/bun", "/src/main.ts", "hulld"], argv0: "bun", environment: {} })?.argv, [
    "bun",
    "/src/main.ts",
    "hulld",
  ]);
});

test("settings of the user's own stay, and sockets that were handed over are not lost", () => {
  const own = again({ argv, argv0, environment: { BUN_JSC_largeHeapSize: "1" } });
  assert.equal(own?.environment.BUN_JSC_largeHeapSize, "1");
  assert.equal(again({ argv, argv0, environment: { LISTEN_FDS: "1" } }), undefined);
});
