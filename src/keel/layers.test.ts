import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { operation } from "./plan.ts";
import { KeelServe } from "./serve.ts";
import { member, paxRecords, tarOf } from "./tar-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "keel-layers-"));
const serve = await KeelServe.open();
after(async () => {
  await serve[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

let made = 0;
function fresh(): string {
  const path = join(directory, `d${made++}`);
  mkdirSync(path);
  return path;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const shell = (script: string, cwd: string): string => execFileSync("/bin/bash", ["-ec", script], { cwd }).toString();

interface Applied {
  readonly storedDigest: string;
  readonly plainDigest: string;
  readonly plainBytes: number;
  readonly storedBytes: number;
}

async function apply(bytes: Uint8Array, target: string, format = 0): Promise<Applied> {
  const blob = join(directory, `blob${made++}`);
  writeFileSync(blob, bytes);
  const { outputs } = await serve.run([operation("applyLayer", { format, blob, directory: target })]);
  const output = outputs.get(0)!;
  return {
    storedDigest: output.subarray(0, 32).toString("hex"),
    plainDigest: output.subarray(32, 64).toString("hex"),
    plainBytes: Number(output.readBigUInt64LE(64)),
    storedBytes: Number(output.readBigUInt64LE(72)),
  };
}

/** Everything that stat, readlink and getfattr say about a tree, one line a name. */
const describe = (root: string): string =>
  shell(
    `find . -printf '%P|%y|%m|%U:%G|%T@|%l|%n|%s\\n' | sed -E 's/^([^|]*\\|d.*)\\|[0-9]+$/\\1/' | sort
     getfattr -hRd -m '.*' . 2>/dev/null | grep -v selinux || true
     find . -type f -exec sha256sum {} + | sort`,
    root,
  );

const variety = `
  mkdir -p a/b/c; echo one > a/one; printf '%0200d' 7 > a/b/c/$(printf 'n%.0s' {1..180})
  ln a/one a/b/same; ln -s ../one a/link; ln -s /etc/passwd a/absolute; mkfifo a/fifo; mknod a/null c 1 3; mknod a/loop b 7 99
  chmod 4755 a/one; chmod 1777 a/b; chown -h 123:456 a/b/c a/link; chown 3000000:3000000 a/fifo
  setfattr -n user.note -v 'some value' a/one; setfattr -n user.dir -v d a/b
  truncate -s 3M a/sparse; printf middle | dd of=a/sparse bs=1 seek=1500000 conv=notrunc status=none
  touch -d '2001-02-03 04:05:06.789012345' a/one a/b; touch -h -d '1999-12-31' a/link; touch -d '1965-01-01' a/null
  echo ü > "a/ü ñ"; mkdir 'a/deep'; d=a/deep; for i in $(seq 30); do d=$d/level$i; mkdir $d; done; echo x > $d/x
  touch -d '2005-01-01' a`;

for (const [name, flags] of [
  ["pax", "--format=pax --xattrs --sparse"],
  ["pax with sparse 0.1", "--format=pax --sparse --sparse-version=0.1 --xattrs"],
  ["pax with sparse 0.0", "--format=pax --sparse --sparse-version=0.0 --xattrs"],
  ["GNU", "--format=gnu --sparse"],
] as const) {
  test(`a ${name} archive of GNU tar is unpacked as GNU tar itself does`, async () => {
    const [source, ours, theirs] = [fresh(), fresh(), fresh()];
    shell(variety, source);
    const tar = execFileSync("tar", ["-C", source, ...flags.split(" "), "--numeric-owner", "-cf", "-", "."]);
    spawnSync("tar", ["-C", theirs, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", "-"], { input: tar });
    await apply(tar, ours);
    assert.equal(describe(ours), describe(theirs));
    const [sparse, full] = [join(ours, "a/sparse"), join(source, "a/sparse")];
    assert.equal(statSync(sparse).blocks <= statSync(full).blocks + 8, true, "holes stay holes");
  });
}

test("plain, gzip of several members and zstd give the same tree and the right digests", async () => {
  const tar = tarOf(
    member({ name: "f", bytes: Buffer.alloc(300_000, "x") }),
    member({ name: "g", bytes: Buffer.from("y") }),
  );
  const zstd = spawnSync("zstd", ["-c"], { input: tar }).stdout;
  const members = Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]);
  for (const stored of [tar, gzipSync(tar), members, zstd]) {
    const target = fresh();
    const applied = await apply(stored, target);
    assert.deepEqual(applied, {
      storedDigest: sha256(stored),
      plainDigest: sha256(tar),
      plainBytes: tar.length,
      storedBytes: stored.length,
    });
    assert.equal(readFileSync(join(target, "f")).length, 300_000);
  }
});

test("whiteouts become overlayfs' own marks, and spare what the same layer has", async () => {
  const target = fresh();
  const layer = tarOf(
    member({ name: "a/", type: "5" }),
    member({ name: "a/.wh.gone" }),
    member({ name: "b/", type: "5" }),
    member({ name: "b/.wh..wh..opq" }),
    member({ name: "b/kept", bytes: Buffer.from("kept") }),
    member({ name: ".wh.back" }),
    member({ name: "back/", type: "5" }),
    member({ name: "mine", bytes: Buffer.from("mine") }),
    member({ name: ".wh.mine" }),
    member({ name: ".wh..wh.plnk/", type: "5" }),
  );
  await apply(layer, target);
  const gone = lstatSync(join(target, "a/gone"));
  assert.deepEqual([gone.isCharacterDevice(), gone.rdev], [true, 0]);
  const opaque = (name: string) =>
    spawnSync("getfattr", ["--only-values", "-n", "trusted.overlay.opaque", join(target, name)]).stdout.toString();
  assert.deepEqual([opaque("b"), opaque("back"), opaque("a")], ["y", "y", ""]);
  assert.deepEqual(readdirSync(target).sort(), ["a", "b", "back", "mine"]);
  assert.equal(readFileSync(join(target, "mine"), "utf8"), "mine");
});

test("in a plain directory whiteouts delete what was there before, not what the layer brings", async () => {
  const target = fresh();
  shell("mkdir -p a/old b; echo 1 > a/old/f; echo 2 > b/f; echo 3 > c", target);
  const layer = tarOf(
    member({ name: "a/new", bytes: Buffer.from("n") }),
    member({ name: "a/.wh..wh..opq" }),
    member({ name: ".wh.b" }),
    member({ name: "c", bytes: Buffer.from("new") }),
    member({ name: ".wh.c" }),
  );
  await apply(layer, target, 1);
  assert.equal(shell("find . -type f | sort", target), "./a/new\n./c\n");
});

test("nothing is written outside: absolute names, dots and links are confined to the directory", async () => {
  const [outside, target] = [fresh(), fresh()];
  writeFileSync(join(outside, "victim"), "untouched");
  const file = (name: string) => member({ name, bytes: Buffer.from("evil") });
  const inside = outside.slice(1);
  const layer = tarOf(
    file("/absolute"),
    file("../../../../dots"),
    file("x/../../up"),
    member({ name: `${inside}/`, type: "5", mode: 0o755 }),
    member({ name: "out", type: "2", link: outside }),
    file("out/victim"),
    member({ name: "relative", type: "2", link: `../../../../../..${outside}` }),
    file("relative/second"),
    member({ name: "root", type: "2", link: "/" }),
    file("root/through"),
    member({ name: "victim", type: "2", link: join(outside, "victim") }),
    file("victim"),
    member({ name: "link-of-link", type: "1", link: "root" }),
  );
  await apply(layer, target);
  assert.equal(readFileSync(join(outside, "victim"), "utf8"), "untouched");
  assert.deepEqual(readdirSync(outside), ["victim"]);
  for (const name of ["absolute", "dots", "up", "through", "victim", `${inside}/victim`, `${inside}/second`])
    assert.equal(readFileSync(join(target, name), "utf8"), "evil", name);
  assert.equal(readlinkSync(join(target, "link-of-link")), "/");
});

for (const link of ["/nowhere/at/all", "self", "../gone"]) {
  test(`a name through a link that leads nowhere (${link}) is refused`, async () => {
    const through = member({ name: "self/file", bytes: Buffer.from("x") });
    await assert.rejects(apply(tarOf(member({ name: "self", type: "2", link }), through), fresh()), /ENOTDIR|ELOOP/);
  });
}

test("a hard link to a file that only the host has is refused", async () => {
  const layer = tarOf(
    member({ name: "host", type: "2", link: "/etc" }),
    member({ name: "p", type: "1", link: "host/passwd" }),
  );
  await assert.rejects(apply(layer, fresh()), /link \\?"p\\?" .*No such file/);
});

test("overlayfs' own attributes in a layer are not taken over", async () => {
  const target = fresh();
  const pax = paxRecords({ "SCHILY.xattr.trusted.overlay.redirect": "/other", "SCHILY.xattr.user.fine": "1" });
  await apply(tarOf(pax, member({ name: "d/", type: "5" })), target);
  const list = spawnSync("getfattr", ["-d", "-m", ".*", join(target, "d")]).stdout.toString();
  assert.ok(!list.includes("redirect") && list.includes("user.fine"), list);
});

const good = tarOf(member({ name: "some/file", bytes: Buffer.alloc(2000, "z") }));
const cases: readonly [string, Uint8Array, RegExp][] = [
  [
    "cut in the middle of a file",
    good.subarray(0, 1400),
    /ends in the middle of a file, entry .*some\/file.* at offset 0/,
  ],
  [
    "cut in a header",
    Buffer.concat([good.subarray(0, 512 * 5), Buffer.alloc(100, 1)]),
    /middle of a header at offset 2560/,
  ],
  ["no archive at all", Buffer.alloc(4096, "not a tar "), /checksum/],
  ["damaged gzip", Buffer.concat([gzipSync(good).subarray(0, 60), Buffer.alloc(40)]), /gzip|middle/],
  ["cut gzip", gzipSync(good).subarray(0, 50), /ends in the middle/],
  ["a whiteout of nothing", tarOf(member({ name: "a/.wh." })), /whiteout/],
  ["a whiteout of the parent", tarOf(member({ name: "a/.wh..." })), /whiteout/],
  [
    "an endless pax record",
    tarOf(member({ name: "x", type: "x", bytes: Buffer.from("999999 path=a\n") })),
    /pax header/,
  ],
  [
    "a root that is a file",
    tarOf(member({ name: "/", type: "0" }), member({ name: ".", type: "2", link: "/" })),
    /root itself/,
  ],
];
for (const [name, bytes, text] of cases) {
  test(`${name} is refused with EBADMSG, saying where`, async () => {
    await assert.rejects(apply(bytes, fresh()), (error: unknown) => {
      assert.match(String(error), text);
      assert.match(String(error), /EBADMSG|bad message/i);
      return true;
    });
  });
}

test("mount points of the runtime are no part of a layer, what is in them is", async () => {
  const upper = fresh();
  shell(
    "mkdir -p etc dev/pts proc sbin/x run; touch etc/hosts etc/hostname dev/console run/hosts; echo own > etc/resolv.conf",
    upper,
  );
  const names = [
    "etc",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "dev",
    "dev/pts",
    "dev/console",
    "proc",
    "sbin",
  ];
  const layerOf = async (blob: string): Promise<string[]> => {
    await serve.run([operation("diffLayer", { upper, blob, leftOut: names })]);
    return execFileSync("tar", ["tf", blob], { encoding: "utf8" }).trim().split("\n").sort();
  };
  assert.deepEqual(await layerOf(join(directory, "points0")), [
    ...["etc/", "etc/resolv.conf", "run/", "run/hosts", "sbin/", "sbin/x/"],
  ]);
  shell("rm -r etc/resolv.conf sbin/x; chmod 700 proc", upper);
  assert.deepEqual(await layerOf(join(directory, "points1")), ["proc/", "run/", "run/hosts"]);
});

test("the layer of an upper directory, applied elsewhere, is the same directory", async () => {
  const [upper, again] = [fresh(), fresh()];
  shell(
    `${variety}; mknod -m 0 a/deleted c 0 0; mkdir o; setfattr -n trusted.overlay.opaque -v y o; echo i > o/inside`,
    upper,
  );
  shell("find . -exec touch -h -d '2020-01-01' {} +", upper);
  for (const compression of [0, 1, 2]) {
    const blob = join(directory, `diff${compression}`);
    const { outputs } = await serve.run([operation("diffLayer", { compression, upper, blob })]);
    assert.equal(outputs.get(0)!.subarray(0, 32).toString("hex"), sha256(readFileSync(blob)));
    rmSync(again, { recursive: true });
    mkdirSync(again);
    const applied = await apply(readFileSync(blob), again);
    assert.equal(outputs.get(0)!.subarray(32, 64).toString("hex"), applied.plainDigest);
    shell("touch -d '2020-01-01' . a/deleted a", again);
    assert.equal(describe(again), describe(upper));
  }
  await assert.rejects(serve.run([operation("diffLayer", { upper, blob: join(directory, "diff0") })]), /exists/);
});

test("changes tells added, changed and deleted paths as docker diff does", async () => {
  const [bottom, top, upper] = [fresh(), fresh(), fresh()];
  shell("mkdir -p d/same x; echo 1 > d/f; echo 2 > x/hidden; touch -d 2020-01-01 d/same d", bottom);
  shell(
    "mkdir -p d/same x; setfattr -n trusted.overlay.opaque -v y x; echo 3 > x/seen; touch -d 2020-01-01 d/same d",
    top,
  );
  shell(
    "mkdir -p d/same x; echo 9 > d/f; echo 4 > d/same/new; echo 5 > x/hidden; mknod x/seen c 0 0; echo n > new",
    upper,
  );
  shell("touch -d 2020-01-01 d/same d x", upper);
  shell("touch -d 2020-01-01 x", top);
  const { outputs } = await serve.run([operation("changes", { upper, lowers: [top, bottom] })]);
  assert.deepEqual(outputs.get(0)!.toString().split("\0").filter(Boolean), [
    "C /d/f",
    "C /d/same",
    "A /d/same/new",
    "A /new",
    "C /x",
    "A /x/hidden",
    "D /x/seen",
  ]);
});

test("a copied tree has the same modes, owners, times, attributes, links and holes", async () => {
  const [from, to] = [fresh(), fresh()];
  shell(variety, from);
  await serve.run([operation("copyTree", { from, to })]);
  assert.equal(describe(to), describe(from));
});

test("a copy out of a root does not follow the root's links to the host", async () => {
  const [root, to] = [fresh(), fresh()];
  shell("mkdir etc; echo inner > etc/who; ln -s /etc data", root);
  await serve.run([operation("copyTree", { from: [root, "/data"], to })]);
  assert.deepEqual(readdirSync(to), ["who"]);
});

test("removeTree deletes very deep trees and never what links lead to", async () => {
  const [outside, target] = [fresh(), fresh()];
  writeFileSync(join(outside, "kept"), "");
  const make = `ln -s ${outside} l; mkdir -p $(printf 'x/%.0s' {1..1500}); cd $(printf 'x/%.0s' {1..1500}); touch deep; ln -s ${outside} o`;
  shell(make, target);
  await serve.run([
    operation("removeTree", { path: target }),
    operation("removeTree", { path: join(target, "absent") }),
  ]);
  assert.deepEqual([existsSync(target), readdirSync(outside)], [false, ["kept"]]);
});

test("usage counts hard links once", async () => {
  const target = fresh();
  shell("dd if=/dev/zero of=a bs=64k count=4 status=none; ln a b; mkdir c; ln a c/d", target);
  const { outputs } = await serve.run([operation("usage", { path: target })]);
  const [bytes, inodes] = [outputs.get(0)!.readBigUInt64LE(0), outputs.get(0)!.readBigUInt64LE(8)];
  assert.equal(inodes, 3n);
  assert.ok(bytes >= 256n * 1024n && bytes < 300n * 1024n, String(bytes));
});

test("a file is hashed as stored and inflated", async () => {
  const plain = Buffer.alloc(100_000, "abc");
  const path = join(directory, "hashed");
  writeFileSync(path, gzipSync(plain));
  const { outputs } = await serve.run([operation("hashFile", { path, inflate: 1 })]);
  const output = outputs.get(0)!;
  assert.equal(output.subarray(0, 32).toString("hex"), sha256(readFileSync(path)));
  assert.equal(output.subarray(40, 72).toString("hex"), sha256(plain));
  assert.equal(output.readBigUInt64LE(72), 100_000n);
});

test("stat inside a root gives the kind, the mode and where a link leads in the end", async () => {
  const root = fresh();
  shell("mkdir -p usr/bin; ln -s usr/bin bin; ln -s /bin/absent usr/bin/sh; chmod 1755 usr", root);
  const { outputs } = await serve.run([
    operation("open", { slot: 0, flags: 0o200000, path: root }),
    operation("statIn", { rootSlot: 0, path: "/bin/sh" }),
    operation("statIn", { rootSlot: 0, path: "usr" }),
  ]);
  const [link, usr] = [1, 2].map((index) => JSON.parse(outputs.get(index)!.toString()));
  assert.deepEqual([link.name, link.linkTarget, (link.mode >> 12) & 15], ["sh", "/usr/bin/absent", 10]);
  assert.deepEqual([usr.name, usr.mode], ["usr", 0o041755]);
});
