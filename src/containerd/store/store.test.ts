import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { codeOf } from "../../platform/errors.ts";
import { Reserve } from "../../platform/reserve.ts";
import { ContainerSchema } from "../gen/containerd/services/containers/v1/containers_pb.ts";
import { ContainerRecords } from "./containers.ts";
import { openDatabase } from "./database.ts";
import { fieldsOf, parseFilters } from "./filter.ts";
import { asJson, Records } from "./records.ts";

interface Named {
  readonly name: string;
}

function within(body: (path: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "hull-store-"));
  try {
    body(join(directory, "x.db"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
const options = (path: string, schemaVersion = 1) => ({
  path,
  schemaVersion,
  synchronous: "NORMAL" as const,
  reserve: new Reserve(`${path}.reserve`),
});
const records = (db: ReturnType<typeof openDatabase>) => new Records<Named>({ db, table: "thing", ...asJson<Named>() });
const code = (expected: string) => (error: unknown) => codeOf(error) === expected;

test("records survive a reopening, by namespace", () => {
  within((path) => {
    const first = openDatabase(options(path));
    const things = records(first);
    things.create("a", "k", { name: "1" });
    things.create("b", "k", { name: "2" });
    things.put("a", "k", { name: "3" });
    assert.throws(() => things.create("a", "k", { name: "x" }), code("already-exists"));
    assert.throws(() => things.get("a", "none"), code("not-found"));
    assert.equal(things.delete("b", "k"), true);
    assert.equal(things.delete("b", "k"), false);
    first.close();
    const second = openDatabase(options(path));
    assert.deepEqual(records(second).list("a"), [{ name: "3" }]);
    assert.deepEqual(records(second).namespaces(), ["a"]);
    second.close();
  });
});

test("what a container's record needs only at a start is read then, and is no load on memory", () => {
  within((path) => {
    const db = openDatabase(options(path));
    const containers = new ContainerRecords(db, () => undefined);
    const spec = { typeUrl: "spec", value: new Uint8Array(10_000).fill(7) };
    const draft = { id: "one", image: "busybox", runtime: { name: "io.containerd.runc.v2" }, spec };
    containers.create("a", create(ContainerSchema, draft));
    containers.update("a", "one", { labels: { made: "here" } });
    const again = new ContainerRecords(db, () => undefined);
    for (const records of [containers, again]) {
      assert.equal(Object.hasOwn(records.list("a")[0]!, "spec"), false);
      assert.deepEqual(records.find("a", "one")?.labels, { made: "here" });
      assert.deepEqual(Buffer.from(records.get("a", "one").spec!.value), Buffer.from(spec.value));
    }
    db.close();
  });
});

test("a file that one has for itself is refused to another until that ends, also when it only reads", () => {
  within((path) => {
    const first = openDatabase({ ...options(path, 1), exclusive: true });
    for (const exclusive of [true, false])
      assert.throws(() => openDatabase({ ...options(path, 1), exclusive }), code("conflict"));
    first.close();
    openDatabase({ ...options(path, 1), exclusive: true }).close();
  });
});

test("an unknown schema version is refused and the file stays as it was", () => {
  within((path) => {
    openDatabase(options(path, 7)).close();
    assert.throws(() => openDatabase(options(path, 6)), code("failed-precondition"));
    openDatabase(options(path, 7)).close();
  });
});

const event = fieldsOf({ topic: "/tasks/exit", namespace: "moby", labels: { "a.b/c": "v", x: "" } });
const cases: readonly (readonly [readonly string[], boolean])[] = [
  [[], true],
  [["namespace==moby,topic~=|^/tasks/|"], true],
  [["namespace==moby,topic~=|^/containers/|"], false],
  [["namespace==other", 'topic=="/tasks/exit"'], true],
  [['labels."a.b/c"==v'], true],
  [['labels."a.b/c"'], true],
  [["labels.none"], false],
  [["labels.none!=v"], true],
  [['topic~="exit$"'], true],
];
for (const [filters, expected] of cases) {
  test(`filter ${filters.join(" or ") || "none"} ${expected ? "matches" : "does not match"}`, () => {
    assert.equal(parseFilters(filters)(event), expected);
  });
}

test("malformed filters are refused", () => {
  for (const text of ["=x", "a==b,", 'labels."x', "topic~=|x", "topic~=(", "a b"]) {
    assert.throws(() => parseFilters([text]), code("invalid-argument"));
  }
});
