import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { abandonedBridges, engineMark, openEngineMark, ownerOf, parseAlias, rootIsGone } from "./engine-mark.ts";
import type { Link } from "./netlink/link.ts";

const mark = engineMark("0123456789abcdef", "/run/hull");
const dead = engineMark("fedcba9876543210", "/run/dead");
const link = (more: Partial<Link>): Link => ({
  ...{ index: 1, name: "x", mac: "", mtu: 1500, up: true, master: 0, group: 0, kind: "bridge", alias: "" },
  ...more,
});

test("an engine's id stays while its root does; a root made anew is another engine", () => {
  const root = mkdtempSync(join(tmpdir(), "mark-"));
  try {
    const first = openEngineMark(root);
    assert.deepEqual(openEngineMark(root), first);
    const told = parseAlias(first.alias);
    assert.deepEqual(told, { id: first.id, execRoot: root });
    assert.equal(rootIsGone(told!), false);
    rmSync(join(root, "network"), { recursive: true });
    assert.equal(rootIsGone(told!), true);
    assert.notEqual(openEngineMark(root).id, first.id);
    assert.equal(rootIsGone(told!), true);
    writeFileSync(join(root, "network", "engine-id"), "?\n");
    assert.throws(() => openEngineMark(root), { code: "failed-precondition" });
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the group says whose an interface is", () => {
  assert.equal(ownerOf(link({ group: mark.group }), mark), "ours");
  assert.equal(ownerOf(link({ group: mark.group + 1 }), mark), "ours");
  assert.equal(ownerOf(link({ group: dead.group }), mark), "another");
  assert.equal(ownerOf(link({ group: 4 }), mark), "nobody");
});

test("a bridge is abandoned when its engine's root is gone and nothing else of that engine is there", () => {
  const bridge = link({ index: 5, name: "hull0", group: dead.group, alias: dead.alias });
  const names = (links: readonly Link[], isGone = () => true) =>
    abandonedBridges(links, mark, isGone).map(({ name }) => name);
  assert.deepEqual(names([bridge]), ["hull0"]);
  assert.deepEqual(
    names([bridge], () => false),
    [],
    "its engine may come back",
  );
  assert.deepEqual(names([{ ...bridge, alias: "" }]), [], "nobody can say whose it is");
  assert.deepEqual(names([{ ...bridge, group: mark.group }]), [], "ours");
  assert.deepEqual(names([bridge, link({ kind: "veth", group: dead.group })]), [], "an engine that lives unseen");
  assert.deepEqual(names([bridge, link({ kind: "veth", master: 5 })]), [], "something is connected");
});
