import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileEntry } from "../../files/entry.ts";
import { type LicenseReference, licenseExpression } from "./licenses.ts";
import { type Scan, scanTree } from "./scan.ts";
import type { ScannedTree } from "./scanned-tree.ts";
import { spdxDocument } from "./spdx.ts";

const entryOf = (path: string, kind: FileEntry["kind"] = "file"): FileEntry => ({
  ...{ path, kind, mode: 0o644, uid: 0, gid: 0, size: 0, mtimeNs: 0n, sha256: "", linkTarget: "", hardLinkTo: "" },
  ...{ deviceMajor: 0, deviceMinor: 0, xattrs: [] },
});

function tree(files: Readonly<Record<string, string>>, kind: FileEntry["kind"] = "file"): ScannedTree {
  return {
    entries: Object.keys(files).map((path) => entryOf(path, kind)),
    read: async (path, maxBytes) => {
      const text = files[path];
      return text === undefined || text.length > maxBytes ? undefined : Buffer.from(text);
    },
  };
}

const scan = (files: Readonly<Record<string, string>>): Promise<Scan> =>
  scanTree(tree(files), new AbortController().signal);
const urls = async (files: Readonly<Record<string, string>>): Promise<readonly string[]> =>
  (await scan(files)).packages.map(({ url }) => url);

test("packages of dpkg are those that are installed, wherever they are noted", async () => {
  const status = [
    "Package: a\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: all\nDescription: first\n more of it",
    "Package: half\nStatus: install ok half-configured\nVersion: 2",
    "Package: gone\nStatus: deinstall ok config-files\nVersion: 3",
    "Status: install ok installed\nVersion: 4",
  ].join("\n\n");
  assert.deepEqual(await urls({ "var/lib/dpkg/status": status }), ["pkg:deb/debian/a@1.0-1?arch=all"]);
  const distroless = {
    "usr/lib/os-release": "ID='ubuntu'\nVERSION_ID=24.04\n",
    "var/lib/dpkg/status.d/b": "Package: b\nVersion: 2:1+dfsg~1\nArchitecture: arm64\n",
    "var/lib/dpkg/status.d/b.md5sums": "Package: no\nVersion: 1\n",
  };
  assert.deepEqual(await urls(distroless), ["pkg:deb/ubuntu/b@2:1%2Bdfsg~1?arch=arm64&distro=ubuntu-24.04"]);
});

test("licences of Debian's copyright files by SPDX's names", async () => {
  const files = {
    "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\n",
    "usr/share/doc/a/copyright":
      "Format: https://www.debian.org/doc\n\nFiles: *\nLicense: GPL-2+ or Expat\n\nLicense: LGPL-2.1\n text\n",
  };
  assert.equal((await scan(files)).packages[0]?.license, "GPL-2.0-or-later AND LGPL-2.1-only AND MIT");
});

test("packages of apk, their checksums and nothing of their files", async () => {
  const installed =
    "C:Q1q83vEjRWeJCrze8SNFZ4kKvN7xI=\nP:musl\nV:1.2.5-r0\nA:aarch64\nL:MIT\nF:lib\nR:P\nZ:Q1x=\n\nP:broken\n\n";
  const { packages } = await scan({
    "lib/apk/db/installed": installed,
    "etc/os-release": "ID=alpine\nVERSION_ID=3.20.0\n",
  });
  assert.equal(packages.length, 1);
  assert.equal(packages[0]?.url, "pkg:apk/alpine/musl@1.2.5-r0?arch=aarch64&distro=alpine-3.20.0");
  assert.match(packages[0]?.checksums?.SHA1 ?? "", /^[0-9a-f]{40}$/);
});

test("packages of npm: installed ones and those of lock files of every version are one", async () => {
  const files = {
    "app/node_modules/@s/p/package.json": '{"name":"@s/p","version":"1.0.0","license":"ISC"}',
    "app/node_modules/@s/p/lib/package.json": '{"name":"inner","version":"9"}',
    "app/node_modules/old/package.json": '{"name":"old","version":"0.1.0","licenses":[{"type":"MIT"},{"type":"X"}]}',
    "app/node_modules/broken/package.json": "[1",
    "app/package-lock.json":
      '{"packages":{"":{"name":"app","version":"1"},"node_modules/@s/p":{"version":"1.0.0","integrity":"sha512-AAEC"},"node_modules/link":{"link":true}}}',
    "six/package-lock.json": '{"dependencies":{"deep":{"version":"2","dependencies":{"deeper":{"version":"3"}}}}}',
  };
  const { packages } = await scan(files);
  assert.deepEqual(
    packages.map(({ url }) => url),
    ["pkg:npm/%40s/p@1.0.0", "pkg:npm/deep@2", "pkg:npm/deeper@3", "pkg:npm/old@0.1.0"],
  );
  assert.deepEqual([packages[0]?.license, packages[0]?.checksums], ["ISC", { SHA512: "000102" }]);
  assert.equal(packages[3]?.license, "(MIT OR X)");
});

test("packages of Python by their normal names; descriptions are no fields", async () => {
  const files = {
    "v/site-packages/Zope_X-1.dist-info/METADATA":
      "Metadata-Version: 2.1\nName: Zope.X_y\nVersion: 1\nLicense: UNKNOWN\n\nVersion: 7\n",
    "v/site-packages/egg.egg-info/PKG-INFO": "Name: egg\nVersion: 2\nLicense-Expression: MIT OR Apache-2.0\n",
    "v/site-packages/flat.egg-info": "Name: flat\nVersion: 3\n",
  };
  assert.deepEqual(await urls(files), ["pkg:pypi/egg@2", "pkg:pypi/flat@3", "pkg:pypi/zope-x-y@1"]);
});

test("links and other things under the names of databases are not read", async () => {
  const read: string[] = [];
  const links = tree(
    { "var/lib/dpkg/status": "x", "a/node_modules/b/package.json": "x", "c.egg-info": "x" },
    "symlink",
  );
  await scanTree({ ...links, read: async (path) => void read.push(path) as undefined }, new AbortController().signal);
  assert.deepEqual(read, ["etc/os-release", "usr/lib/os-release"]);
});

test("what is too large is named in the document, and abort ends a scan", async () => {
  const files = { "var/lib/dpkg/status": "x".repeat(33 * 1024 * 1024) };
  const document = spdxDocument(await scan(files), { name: "n", createdMs: 0 }) as {
    creationInfo: { comment?: string };
  };
  assert.equal(document.creationInfo.comment, "Too large to be read: var/lib/dpkg/status");
  await assert.rejects(scanTree(tree(files), AbortSignal.abort(new Error("enough"))), /enough/);
});

test("a document of SPDX names each package once, with its licence and its evidence", async () => {
  const files = {
    "var/lib/dpkg/status":
      "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n",
  };
  const document = spdxDocument(await scan(files), { name: "sbom", createdMs: 1_700_000_000_123 }) as {
    creationInfo: { created: string };
    packages: { SPDXID: string }[];
    files: { SPDXID: string; checksums: { algorithm: string }[] }[];
    relationships: { spdxElementId: string; relatedSpdxElement: string; relationshipType: string }[];
  };
  assert.equal(document.creationInfo.created, "2023-11-14T22:13:20Z");
  const ids = new Set(
    ["SPDXRef-DOCUMENT", ...document.packages, ...document.files].map((one) =>
      typeof one === "string" ? one : one.SPDXID,
    ),
  );
  assert.equal(ids.size, 1 + 3 + 1);
  for (const { spdxElementId, relatedSpdxElement } of document.relationships)
    assert.ok(ids.has(spdxElementId) && ids.has(relatedSpdxElement));
  assert.deepEqual(
    document.files[0]?.checksums.map(({ algorithm }) => algorithm),
    ["SHA1", "SHA256"],
  );
  const again = spdxDocument(await scan(files), { name: "sbom", createdMs: 1_700_000_000_123 });
  assert.deepEqual(again, document);
});

const expressions = [
  ["", "NOASSERTION", []],
  ["mit", "MIT", []],
  ["(MIT or apache-2.0) AND isc", "(MIT OR Apache-2.0) AND ISC", []],
  ["MIT AND Other-1", "MIT AND LicenseRef-Other-1", ["LicenseRef-Other-1"]],
  ["MIT AND (Other", "LicenseRef-MIT-AND-Other", ["LicenseRef-MIT-AND-Other"]],
  ["GPL-2.0-only WITH x", "LicenseRef-GPL-2.0-only-WITH-x", ["LicenseRef-GPL-2.0-only-WITH-x"]],
] as const;
for (const [text, expected, wanted] of expressions)
  test(`the licence ${JSON.stringify(text)} is ${expected}`, () => {
    const references = new Map<string, LicenseReference>();
    assert.equal(licenseExpression(text, references), expected);
    assert.deepEqual([...references.keys()], wanted);
  });
