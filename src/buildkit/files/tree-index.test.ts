import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry } from "./entry.ts";
import { objectName } from "./object-name.ts";
import { comparePaths, decodePath, encodePath } from "./path-text.ts";
import { directory, file, link, tree } from "./tree-harness.ts";
import { decodeIndex, encodeIndex, IndexDecoder } from "./tree-index.ts";

const nameBytes = fc
  .uint8Array({ minLength: 1, maxLength: 6 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x61 : byte))))
  .filter((bytes) => !["", ".", ".."].includes(bytes.toString("latin1")));

test("every name's bytes survive as text, valid UTF-8 or not", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      assert.deepEqual(encodePath(decodePath(Buffer.from(bytes))), Buffer.from(bytes));
    }),
  );
  assert.equal(decodePath(Buffer.from("gr\u00fc\u00df \ufffd \u{1f600}")), "gr\u00fc\u00df \ufffd \u{1f600}");
  assert.equal(decodePath(Buffer.from([0x61, 0xff, 0x62])), "a\udcffb");
});

test("paths sort as their bytes do, with / before everything", () => {
  const path = fc.array(nameBytes, { minLength: 1, maxLength: 3 }).map((names) => {
    return Buffer.concat(names.flatMap((name, index) => (index > 0 ? [Buffer.of(0), name] : [name])));
  });
  const text = (bytes: Buffer) => decodePath(bytes).replaceAll("\0", "/");
  fc.assert(
    fc.property(path, path, (a, b) => {
      assert.equal(Math.sign(comparePaths(text(a), text(b))), Buffer.compare(a, b));
    }),
  );
  assert.ok(comparePaths("a/z", "a-b") < 0);
  assert.ok(comparePaths("\u{1f600}", "\ufb01") > 0);
});

const entry = fc.record({
  name: nameBytes,
  kind: fc.constantFrom("file", "directory", "symlink", "fifo", "character", "block", "socket") as fc.Arbitrary<
    FileEntry["kind"]
  >,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  id: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  size: fc.maxSafeNat(),
  mtimeNs: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 20n }),
  xattrs: fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,5}$/), fc.uint8Array({ maxLength: 9 })),
});

const entries = fc.uniqueArray(entry, { selector: ({ name }) => name.toString("latin1"), maxLength: 12 }).map((list) =>
  list
    .map(({ name, kind, mode, id, size, mtimeNs, xattrs }): FileEntry => {
      const isDevice = kind === "character" || kind === "block";
      return {
        path: decodePath(name),
        kind,
        mode,
        uid: id,
        gid: id >>> 3,
        size: kind === "file" ? size : 0,
        mtimeNs,
        sha256: kind === "file" ? createHash("sha256").update(name).digest("hex") : "",
        linkTarget: kind === "symlink" ? `../${decodePath(name)}` : "",
        hardLinkTo: "",
        deviceMajor: isDevice ? 8 : 0,
        deviceMinor: isDevice ? id & 0xff : 0,
        xattrs: Object.entries(xattrs)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, value]) => [key, Buffer.from(value).toString("latin1")] as const),
      };
    })
    .sort((a, b) => comparePaths(a.path, b.path)),
);

test("an index reads back as what was written, cut anywhere into pieces", () => {
  fc.assert(
    fc.property(entries, fc.integer({ min: 1, max: 50 }), (list, step) => {
      const bytes = encodeIndex(list);
      assert.deepEqual(decodeIndex(bytes), list);
      const decoder = new IndexDecoder();
      const read: FileEntry[] = [];
      for (let at = 0; at < bytes.length; at += step) read.push(...decoder.push(bytes.subarray(at, at + step)));
      decoder.end();
      assert.deepEqual(read, list);
    }),
  );
});

test("the bytes of an index are those of the documented format", () => {
  const sha256 = createHash("sha256").update("abc").digest("hex");
  const a = { ...file("a", { bytes: "abc" }), mtimeNs: 1_700_000_000_000_000_000n };
  const expected = `hull-index 1|a|f 644 0 0 3 1700000000000000000 ${sha256} 0 0 0|||end 1|`;
  assert.equal(encodeIndex([a]).toString("latin1"), expected.replaceAll("|", "\0"));
});

test("hard links and the root entry read back", () => {
  const first = file("a/one");
  const list = [directory(""), directory("a"), first, { ...first, path: "a/two", hardLinkTo: "a/one" }, link("b", "a")];
  assert.deepEqual(decodeIndex(encodeIndex(list)), list);
});

const text = (fields: string) => Buffer.from(fields.replaceAll("|", "\0"), "latin1");
const fileAttributes = `f 644 0 0 0 0 ${"0".repeat(64)} 0 0 0`;

test("an index that is damaged or cut short is refused", () => {
  const whole = encodeIndex(tree("a/", "a/b", "c").entries);
  const cases: readonly Buffer[] = [
    Buffer.alloc(0),
    ...Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length)),
    Buffer.concat([whole, text("x|")]),
    text("hull-index 2||end 0|"),
    text(`hull-index 1|b|${fileAttributes}||a|${fileAttributes}|||end 2|`),
    text(`hull-index 1|a|${fileAttributes}||a|${fileAttributes}|||end 2|`),
    text(`hull-index 1|a|${fileAttributes}||a/b|${fileAttributes}|||end 2|`),
    text(`hull-index 1|../a|${fileAttributes}|||end 1|`),
    text(`hull-index 1|/a|${fileAttributes}|||end 1|`),
    text(`hull-index 1|a|${fileAttributes}|b||end 1|`),
    text(`hull-index 1|a|${fileAttributes}|||end 2|`),
    text(`hull-index 1|a|q 644 0 0 0 0 - 0 0 0|||end 1|`),
    text(`hull-index 1|a|d 644 0 0 x 0 - 0 0 0|||end 1|`),
  ];
  for (const bytes of cases) {
    const refused = (error: unknown) => error instanceof HullError && error.code === "failed-precondition";
    assert.throws(() => decodeIndex(bytes), refused, bytes.toString("latin1"));
  }
});

test("an object's name changes with every attribute that links share, and with nothing else", () => {
  const base = file("a");
  const name = objectName(base);
  assert.match(name, /^[0-9a-f]{64}-[0-9a-f]{16}$/);
  assert.equal(objectName({ ...base, path: "b" }), name);
  for (const change of [{ mode: 0o755 }, { uid: 1 }, { gid: 1 }, { mtimeNs: 5n }, { sha256: "f".repeat(64) }]) {
    assert.notEqual(objectName({ ...base, ...change }), name);
  }
});
