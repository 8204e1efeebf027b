import assert from "node:assert/strict";
import { test } from "node:test";
import { type GcView, planCollection } from "./gc.ts";

const empty: GcView = {
  imageTargets: [],
  containers: [],
  leased: [],
  blobs: [],
  snapshots: {},
  canonical: (name) => (name === "overlayfs" ? "overlay2" : name),
};
const blob = (digest: string, refs: readonly string[] = [], labels = {}) => ({
  digest,
  labels: { ...Object.fromEntries(refs.map((ref, i) => [`containerd.io/gc.ref.content.${i}`, ref])), ...labels },
});
const snapshot = (name: string, parent = "", kind: "active" | "view" | "committed" = "committed") => ({
  name,
  parent,
  kind,
  labels: {},
});

test("what an image reaches by labels stays, the rest goes", () => {
  const view = {
    ...empty,
    imageTargets: ["m"],
    blobs: [
      blob("m", ["c", "l"]),
      blob("c", [], { "containerd.io/gc.ref.snapshot.overlayfs": "top" }),
      blob("l"),
      blob("x", ["l"]),
    ],
    snapshots: { overlay2: [snapshot("base"), snapshot("top", "base"), snapshot("other", "base")] },
  };
  assert.deepEqual(planCollection(view), { blobs: ["x"], snapshots: [{ snapshotter: "overlay2", name: "other" }] });
});

test("snapshots go children first", () => {
  const view = { ...empty, snapshots: { overlay2: [snapshot("a"), snapshot("c", "b"), snapshot("b", "a")] } };
  assert.deepEqual(
    planCollection(view).snapshots.map(({ name }) => name),
    ["c", "b", "a"],
  );
});

test("active and view snapshots hold their parents", () => {
  const list = [snapshot("a"), snapshot("b"), snapshot("rw", "a", "active"), snapshot("ro", "b", "view")];
  assert.deepEqual(planCollection({ ...empty, snapshots: { overlay2: list } }).snapshots, []);
});

test("a container holds its snapshot under any of the snapshotter's names", () => {
  const view = {
    ...empty,
    containers: [{ snapshotter: "overlayfs", snapshotKey: "a", labels: {} }],
    snapshots: { overlay2: [snapshot("a"), snapshot("b")] },
  };
  assert.deepEqual(
    planCollection(view).snapshots.map(({ name }) => name),
    ["b"],
  );
});

test("a lease holds content with what it refers to, and snapshots", () => {
  const view = {
    ...empty,
    leased: [
      { type: "content", id: "m" },
      { type: "snapshots/overlayfs", id: "s" },
    ],
    blobs: [blob("m", ["l"]), blob("l"), blob("x")],
    snapshots: { overlay2: [snapshot("s"), snapshot("t")] },
  };
  const plan = planCollection(view);
  assert.deepEqual(plan.blobs, ["x"]);
  assert.deepEqual(
    plan.snapshots.map(({ name }) => name),
    ["t"],
  );
});

test("the label gc.root holds, and circles of references end", () => {
  const view = {
    ...empty,
    blobs: [blob("r", ["a"], { "containerd.io/gc.root": "now" }), blob("a", ["r"]), blob("x", ["y"]), blob("y", ["x"])],
  };
  assert.deepEqual(planCollection(view).blobs, ["x", "y"]);
});
