import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import { linkOf } from "../snapshots/overlay2.ts";
import { nextState, type ProcessEvent, type ProcessState } from "./process-state.ts";
import { mountOperations } from "./rootfs-mount.ts";
import { sandboxOperations } from "./sandbox-plan.ts";
import { Serial } from "./serial.ts";

const exit = { exitStatus: 3, exitedAt: 5, oomKilled: false };
const states: Readonly<Record<string, ProcessState>> = {
  created: { kind: "created", pid: 7 },
  running: { kind: "running", pid: 7, startedAt: 1 },
  paused: { kind: "paused", pid: 7, startedAt: 1 },
  stopped: { kind: "stopped", pid: 7, startedAt: 1, exit },
};
const events: readonly ProcessEvent[] = [
  { kind: "start", at: 1 },
  { kind: "pause" },
  { kind: "resume" },
  { kind: "exit", exit },
];
const legal: Readonly<Record<string, string>> = {
  "created start": "running",
  "created exit": "stopped",
  "running pause": "paused",
  "running exit": "stopped",
  "paused resume": "running",
  "paused exit": "stopped",
};

for (const [name, state] of Object.entries(states)) {
  for (const event of events) {
    const to = legal[`${name} ${event.kind}`];
    test(`a ${name} process ${to ? `becomes ${to}` : "refuses"} on ${event.kind}`, () => {
      if (to !== undefined) assert.equal(nextState(state, event).kind, to);
      else
        assert.throws(
          () => nextState(state, event),
          (error) => codeOf(error) === "failed-precondition",
        );
    });
  }
}

const home = "/data/overlay2";
const id = "a".repeat(64);

test("an overlay of our layers is mounted by its short links", () => {
  const options = ["index=off", `workdir=${home}/x/work`, `upperdir=${home}/x/diff`, `lowerdir=${home}/${id}/diff`];
  const [only, ...more] = mountOperations([{ type: "overlay", source: "overlay", options }], "/m", home);
  assert.deepEqual(more, []);
  assert.equal(only?.name, "overlay");
  assert.ok(only?.record.blobs?.includes(`l/${linkOf(id)}\0`));
});

test("an overlay with foreign layers or options is mounted as it is", () => {
  for (const options of [["lowerdir=/elsewhere:/there"], [`lowerdir=${home}/${id}/diff`, "metacopy=on"]]) {
    const [only] = mountOperations([{ type: "overlay", source: "overlay", options }], "/m", home);
    assert.equal(only?.name, "mount");
  }
});

test("a read-only bind is bound, then remounted", () => {
  const names = (options: string[]) =>
    mountOperations([{ type: "bind", source: "/s", options }], "/m", home).map(({ name }) => name);
  assert.deepEqual(names(["rbind", "ro"]), ["mount", "mount"]);
  assert.deepEqual(names(["rbind", "rw"]), ["mount"]);
});

test("pause makes, joins or leaves the namespaces as the spec says", () => {
  const names = (namespaces: { type: string; path?: string }[]) =>
    sandboxOperations(namespaces, []).map(({ name }) => name);
  assert.deepEqual(names([]), []);
  assert.deepEqual(names([{ type: "network" }, { type: "uts" }]), ["unshare", "linkUp", "unshare"]);
  assert.deepEqual(names([{ type: "network", path: "/run/netns/x" }]), ["open", "setns", "close"]);
});

test("pause opens its sockets inside the namespace and holds them", () => {
  const socket = { family: 2, type: 2, address: "127.0.0.11:40000", name: "dns-udp" };
  const names = sandboxOperations([{ type: "network", path: "/x" }], [socket]).map(({ name }) => name);
  assert.deepEqual(names, ["open", "setns", "close", "bindSocket", "hold"]);
});

test("bodies of a serial run one after the other, also after a failure", async () => {
  const serial = new Serial();
  const order: number[] = [];
  const first = serial.run(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    order.push(1);
    throw new Error("x");
  });
  const second = serial.run(async () => void order.push(2));
  await assert.rejects(first);
  await second;
  assert.deepEqual(order, [1, 2]);
});
