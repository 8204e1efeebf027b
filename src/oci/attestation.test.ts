import assert from "node:assert/strict";
import { test } from "node:test";
import { rebasedStatement, withEntries } from "./attestation.ts";
import { type Digest, digestOf } from "./digest.ts";

const [before, after, other] = ["a", "b", "c"].map((text) => digestOf(Buffer.from(text))) as [Digest, Digest, Digest];
const hex = (digest: Digest): string => digest.slice("sha256:".length);

test("a statement is about the new manifest where it was about the old one, and else the same", () => {
  const subject = [
    { name: "x", digest: { sha256: hex(before) } },
    { name: "y", digest: { sha256: hex(other) } },
  ];
  const statement = { _type: "t", subject, predicate: { materials: [hex(before)] } };
  const made = JSON.parse(rebasedStatement(Buffer.from(JSON.stringify(statement)), before, after).toString());
  assert.deepEqual(made, { ...statement, subject: [{ name: "x", digest: { sha256: hex(after) } }, subject[1]] });
});

test("entries of an index are replaced in their places; whatever else stands in it stays", () => {
  const entry = (digest: Digest) => ({ mediaType: "m", digest, size: 1, extra: true });
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, note: "kept", manifests: [entry(before), entry(other)] }),
  );
  const made = withEntries(index, (digest, one) => (digest === before ? { ...one, digest: after } : one));
  assert.deepEqual(JSON.parse(made.toString()), {
    schemaVersion: 2,
    note: "kept",
    manifests: [entry(after), entry(other)],
  });
});
