import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../platform/errors.ts";
import { chainIds, digestOf, parseDigest } from "./digest.ts";
import { chooseManifest, isIndex, mediaTypes, parseImageConfig, parseManifestOrIndex } from "./image.ts";
import { formatPlatform, parsePlatform, platformFit } from "./platform.ts";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "./reference.ts";

const refused = (body: () => unknown): void => {
  assert.throws(body, (error) => error instanceof HullError && error.code === "invalid-argument");
};
const digest = digestOf("x");
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

test("a digest is exactly sha256 and 64 lower-case hex digits", () => {
  assert.equal(parseDigest(digest), digest);
  for (const text of ["", "sha256:../../x", digest.toUpperCase(), digest.slice(0, -1), `${digest}\n`]) {
    refused(() => parseDigest(text));
  }
});

test("chain ids hash the chain below with the layer", () => {
  const other = digestOf("y");
  assert.deepEqual(chainIds([digest, other]), [digest, digestOf(`${digest} ${other}`)]);
});

const references: readonly (readonly [string, string, string])[] = [
  ["busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["me/app:1", "docker.io/me/app:1", "me/app:1"],
  ["docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
  ["localhost:5000/a/b_c:v1.2", "localhost:5000/a/b_c:v1.2", "localhost:5000/a/b_c:v1.2"],
  ["localhost/a", "localhost/a:latest", "localhost/a:latest"],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`, `busybox@${digest}`],
  [`r.example/x:t@${digest}`, `r.example/x:t@${digest}`, `r.example/x:t@${digest}`],
  ["[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"],
];
for (const [text, full, familiar] of references) {
  test(`reference ${text.slice(0, 40)} is ${full.slice(0, 40)}`, () => {
    const reference = withDefaultTag(parseReference(text));
    assert.equal(formatReference(reference), full);
    assert.equal(familiarReference(reference), familiar);
  });
}

test("malformed references are refused", () => {
  const texts = [
    "",
    ":x",
    "a:",
    "Upper",
    "a//b",
    "-a",
    "a/../b",
    "a b",
    "a:b c",
    `a:${"x".repeat(129)}`,
    "a@sha256:12",
  ];
  for (const text of [...texts, "x".repeat(256), "f".repeat(64), "http://x/y"]) refused(() => parseReference(text));
});

test("platforms are normalized and matched with lower variants", () => {
  assert.equal(formatPlatform(parsePlatform("linux/aarch64/v8")), "linux/arm64");
  assert.equal(formatPlatform(parsePlatform("linux/arm")), "linux/arm/v7");
  assert.ok(platformFit(parsePlatform("linux/arm/v7"), parsePlatform("linux/arm/v6")) > 0);
  assert.equal(platformFit(parsePlatform("linux/arm/v6"), parsePlatform("linux/arm/v7")), 0);
  assert.equal(platformFit(parsePlatform("linux/amd64"), parsePlatform("windows/amd64")), 0);
  refused(() => parsePlatform("a/b/c/d"));
});

const descriptor = { mediaType: mediaTypes.ociConfig, digest, size: 3 };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptor, layers: [descriptor] };

test("a manifest and an index are told apart", () => {
  assert.equal(isIndex(parseManifestOrIndex(json(manifest))), false);
  assert.equal(isIndex(parseManifestOrIndex(json({ schemaVersion: 2, manifests: [descriptor] }))), true);
});

test("ambiguous and malformed manifests are refused", () => {
  refused(() => parseManifestOrIndex(json({ ...manifest, manifests: [] })));
  refused(() => parseManifestOrIndex(json({ ...manifest, schemaVersion: 1 })));
  refused(() => parseManifestOrIndex(json(manifest), mediaTypes.dockerManifest));
  refused(() => parseManifestOrIndex(json({ ...manifest, layers: [{ ...descriptor, size: -1 }] })));
  refused(() => parseManifestOrIndex(json({ ...manifest, config: null })));
  refused(() => parseManifestOrIndex(Buffer.from("{")));
  refused(() => parseManifestOrIndex(new Uint8Array(9 << 20)));
  refused(() => parseImageConfig(json({ rootfs: { diff_ids: ["../x"] } })));
});

test("the best entry of an index is chosen, attestations never", () => {
  const entry = (architecture: string, extra = {}) => ({
    ...descriptor,
    platform: { os: "linux", architecture },
    ...extra,
  });
  const attestation = { annotations: { "vnd.docker.reference.type": "attestation-manifest" } };
  const index = parseManifestOrIndex(
    json({ schemaVersion: 2, manifests: [entry("amd64", attestation), entry("arm64"), entry("amd64")] }),
  );
  assert.ok(isIndex(index));
  assert.equal(chooseManifest(index, parsePlatform("linux/amd64")), index.manifests[2]);
  assert.equal(chooseManifest(index, parsePlatform("linux/s390x")), undefined);
});
