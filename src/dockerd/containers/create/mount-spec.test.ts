import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { parseBind, parseMountConfig } from "./mount-spec.ts";

const refused = (text: string) => (error: unknown) =>
  error instanceof HullError && error.code === "invalid-argument" && error.message.includes(text);

test("-v with an absolute source is a bind whose missing directory is made", () => {
  const bind = parseBind("/srv/../srv/data:/data:ro,rslave", "local");
  assert.deepEqual(bind, {
    kind: "bind",
    source: "/srv/data",
    destination: "/data",
    writable: false,
    mode: "ro,rslave",
    propagation: "rslave",
    createSource: true,
    nonRecursive: false,
    recursiveReadOnly: "try",
  });
});

test("-v with a name is a volume, filled from the image unless nocopy", () => {
  const volume = parseBind("db:/var/lib/db:nocopy", "local");
  assert.equal(volume.kind, "volume");
  assert.deepEqual([volume.destination, volume.kind === "volume" && volume.copy], ["/var/lib/db", false]);
});

const wrongBinds: readonly (readonly [string, string])[] = [
  ["/a:/b:c:d", "invalid volume specification: '/a:/b:c:d'"],
  ["/a:/b:fast", "invalid mode: fast"],
  ["/a:/b:ro,rw", "invalid mode: ro,rw"],
  ["/a:/", "destination can't be '/'"],
  ["/a:b", "mount path must be absolute"],
  ["a/b:/c", "includes invalid characters for a local volume name"],
  ["vol:/c:rshared", "invalid mode: rshared"],
  [":/c", "invalid volume specification"],
];
for (const [spec, text] of wrongBinds)
  test(`-v ${spec} is refused`, () => assert.throws(() => parseBind(spec, "local"), refused(text)));

const wrongMounts: readonly (readonly [Parameters<typeof parseMountConfig>[0], string])[] = [
  [{ Type: "bind", Target: "/a" }, "field Source must not be empty"],
  [{ Type: "bind", Source: "/a", Target: "" }, "field Target must not be empty"],
  [{ Type: "tmpfs", Source: "x", Target: "/a" }, "field Source must not be specified"],
  [{ Type: "volume", Target: "/a", ReadOnly: true }, "must not set ReadOnly"],
  [{ Type: "bind", Source: "/a", Target: "/a", TmpfsOptions: {} }, "field TmpfsOptions must not be specified"],
  [{ Type: "nfs", Target: "/a" }, "mount type unknown"],
];
for (const [mount, text] of wrongMounts)
  test(`--mount ${JSON.stringify(mount)} is refused`, () =>
    assert.throws(() => parseMountConfig(mount, "local"), refused(text)));

test("a tmpfs mount's size and mode become mount data", () => {
  const mount = parseMountConfig(
    { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 65536, Mode: 0o1770 } },
    "local",
  );
  assert.equal(mount.kind === "tmpfs" && mount.options, "mode=1770,size=65536");
});
