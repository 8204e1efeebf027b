import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { TestEngine, until } from "../engine.ts";

let engine: TestEngine;
let archive: Buffer;
before(async () => {
  engine = await TestEngine.start();
  await engine.ok("save", "-o", engine.path("busybox.tar"), "busybox");
  archive = readFileSync(engine.path("busybox.tar"));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Everything of the engine that an upload could have changed. */
async function state(): Promise<readonly string[]> {
  const entries = (path: string) =>
    existsSync(path)
      ? readdirSync(path)
          .sort()
          .map((name) => `${path}/${name}`)
      : [];
  return [
    await engine.ok("images", "-a", "-q", "--no-trunc"),
    await engine.ok("ps", "-a", "-q", "--no-trunc"),
    await engine.ok("volume", "ls", "-q"),
    ...["tmp", "containers", "overlay2", "containerd/content/ingest", "containerd/content/blobs/sha256"].flatMap(
      (name) => entries(join(engine.dataRoot, name)),
    ),
  ];
}

async function assertSame(was: readonly string[], what: string): Promise<void> {
  let is: readonly string[] = [];
  await until("as before", async () => {
    is = await state();
    return is.join("\n") === was.join("\n");
  }).catch(() => undefined);
  assert.deepEqual(is, was, what);
}

/** Sends a request whose body ends early: closed in the middle, or half-closed and answered. */
function cutShort(head: string, body: Buffer, how: "vanishes" | "half-closes"): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: engine.socket, allowHalfOpen: true });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => socket.destroy());
    socket.on("error", reject).on("close", () => resolve(text));
    socket.write(`${head} HTTP/1.1\r\nHost: docker\r\nContent-Length: ${body.length * 2}\r\n`);
    socket.write("Content-Type: application/json\r\n\r\n");
    socket.write(body, () => (how === "vanishes" ? socket.destroy() : socket.end()));
  });
}

for (const how of ["vanishes", "half-closes"] as const) {
  test(`a client that ${how} in the middle of an upload leaves nothing behind`, async () => {
    const target = await engine.ok("create", "--name", `target-${how}`, "busybox");
    const was = await state();
    const body = Buffer.from(JSON.stringify({ Image: "busybox", Cmd: ["true"] }));
    const uploads: readonly (readonly [string, Buffer])[] = [
      ["POST /v1.51/images/load", archive.subarray(0, archive.length / 2)],
      ["POST /v1.51/images/create?fromSrc=-&repo=cut", archive.subarray(0, archive.length / 2)],
      [`PUT /v1.51/containers/${target}/archive?path=/`, archive.subarray(0, 4096)],
      ["POST /v1.51/containers/create?name=cut", body.subarray(0, body.length - 3)],
      ["POST /v1.51/containers/create?name=cut", body],
      ["POST /v1.51/volumes/create", Buffer.from('{"Name": "cut"}')],
    ];
    for (const [head, part] of uploads) {
      const answer = await cutShort(head, part, how);
      assert.doesNotMatch(answer, /HTTP\/1\.1 201/, head);
      await assertSame(was, head);
    }
    assert.match((await engine.docker("inspect", "cut")).stderr, /No such object/);
    await engine.ok("rm", target);
  });
}

test("an upload that hulld's death cuts short leaves nothing for the next one", async () => {
  const was = await state();
  const socket = connect(engine.socket).on("error", () => undefined);
  socket.write(`POST /images/load HTTP/1.1\r\nHost: docker\r\nContent-Length: ${archive.length}\r\n\r\n`);
  socket.write(archive.subarray(0, archive.length / 2));
  await until("the upload has begun", () => readdirSync(join(engine.dataRoot, "tmp")).length > 0);
  await engine.endDaemon("SIGKILL");
  await engine.startDaemon();
  await assertSame(was, "after the next start");
});

/** The good archive, unpacked, changed and packed again by tar with `flags`. */
function altered(name: string, change: (directory: string) => void, flags: readonly string[] = []): string {
  const directory = engine.path(name);
  mkdirSync(directory);
  execFileSync("tar", ["-xf", engine.path("busybox.tar"), "-C", directory]);
  change(directory);
  execFileSync("tar", ["-cf", `${directory}.tar`, ...flags, "-C", directory, "."]);
  return `${directory}.tar`;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
type Entry = { Config: string; Layers: string[]; RepoTags: string[] };

/** Changes manifest.json; without index.json, so that it is the truth. */
function editManifest(directory: string, edit: (entry: Entry) => unknown): void {
  rmSync(join(directory, "index.json"), { force: true });
  const path = join(directory, "manifest.json");
  const entries = JSON.parse(readFileSync(path, "utf8")) as Entry[];
  edit(entries[0]!);
  writeFileSync(path, JSON.stringify(entries));
}

const layerOf = (directory: string): string =>
  join(directory, (JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8")) as Entry[])[0]!.Layers[0]!);

/** An image of one layer that tar makes of `directory` with `flags`: well-formed but for what is in the layer. */
function withLayer(directory: string, flags: readonly string[]): void {
  const content = `${directory}.content`;
  mkdirSync(content);
  writeFileSync(join(content, "evil"), "evil");
  const layer = layerOf(directory);
  execFileSync("tar", ["-cPf", layer, "-C", content, ...flags, "evil"]);
  const configPath = "evil.json";
  editManifest(directory, (entry) => {
    const config = JSON.parse(readFileSync(join(directory, entry.Config), "utf8"));
    config.rootfs.diff_ids = [`sha256:${sha256(readFileSync(layer))}`];
    writeFileSync(join(directory, configPath), JSON.stringify(config));
    entry.Config = configPath;
    entry.RepoTags = ["evil:latest"];
  });
}

const archives: readonly (readonly [string, RegExp, () => string])[] = [
  [
    "whose members are absolute",
    /manifest\.json|absolute/,
    () => altered("absolute", () => undefined, ["-P", `--transform=s,^\\./,${engine.path("escaped")}/,`]),
  ],
  [
    "whose manifest names a layer by ../",
    /leads out of the archive/,
    () => altered("parent", (at) => editManifest(at, (entry) => entry.Layers.splice(0, 1, "../../../../etc/passwd"))),
  ],
  [
    "whose manifest names an absolute config",
    /leads out of the archive/,
    () => altered("config", (at) => editManifest(at, (entry) => Object.assign(entry, { Config: "/etc/passwd" }))),
  ],
  [
    "whose layer is a symbolic link to a file of the host",
    /leads out of the archive|lacks/,
    () =>
      altered("linked", (at) => {
        const layer = layerOf(at);
        editManifest(at, () => undefined);
        rmSync(layer);
        symlinkSync("/etc/passwd", layer);
      }),
  ],
  [
    "whose directory is a symbolic link to the host",
    /leads out of the archive|lacks/,
    () =>
      altered("directory", (at) => {
        editManifest(at, (entry) => entry.Layers.splice(0, 1, "link/passwd"));
        symlinkSync("/etc", join(at, "link"));
      }),
  ],
  [
    "with a layer of another digest",
    /digest|diff ?id/i,
    () =>
      altered("digest", (at) => {
        const layer = layerOf(at);
        editManifest(at, () => undefined);
        const bytes = readFileSync(layer);
        bytes[bytes.indexOf("busybox")]! ^= 1;
        writeFileSync(layer, bytes);
      }),
  ],
  ["with a layer cut short", /./, () => altered("short", (at) => truncateSync(layerOf(at), 100_000))],
  [
    "cut short",
    /unexpected|short|truncated|ends|EOF/i,
    () => {
      const path = engine.path("cut.tar");
      writeFileSync(path, archive.subarray(0, Math.floor(archive.length / 2) + 100));
      return path;
    },
  ],
  [
    "that is no tar",
    /./,
    () => {
      const path = engine.path("noise.tar");
      writeFileSync(path, Buffer.alloc(100_000, "noise"));
      return path;
    },
  ],
];

for (const [what, words, make] of archives) {
  test(`an image archive ${what} is refused and changes nothing`, async () => {
    const path = make();
    const was = await state();
    const ran = await engine.docker("load", "-i", path);
    assert.notEqual(ran.code, 0, ran.stdout);
    assert.match(ran.stderr + ran.stdout, words);
    await assertSame(was, what);
    assert.equal(existsSync(engine.path("escaped")), false);
    assert.equal(existsSync(join(dirname(engine.dataRoot), "manifest.json")), false);
  });
}

for (const [what, flags] of [
  ["by ../", ["--transform=s,^evil,../../../../evil,"]],
  ["absolutely", ["--transform=s,^evil,/evil,"]],
] as const) {
  test(`a layer whose member is named ${what} writes nothing outside of its directory`, async () => {
    const path = altered(what.replaceAll(/\W/g, "x"), (at) => withLayer(at, flags));
    const was = await state();
    const ran = await engine.docker("load", "-i", path);
    const outside = ["/evil", ...["", "..", "../.."].map((up) => join(engine.dataRoot, up, "evil"))];
    for (const place of outside) assert.equal(existsSync(place), false, place);
    if (ran.code === 0) await engine.ok("rmi", "evil");
    await assertSame(was, what);
  });
}

test("members of an image archive that lead out by ../ are held inside, as Docker's chroot holds them", async () => {
  const path = altered("dots", () => undefined, ["-P", "--transform=s,^\\./,../../,S"]);
  const was = await state();
  assert.match(await engine.ok("load", "-i", path), /Loaded image: busybox:latest/);
  await assertSame(was, "the same image again");
  for (const up of ["..", "../..", "../../.."])
    assert.equal(existsSync(join(engine.dataRoot, "tmp", up, "manifest.json")), false, up);
});

for (const program of ["gzip", "xz", "bzip2", "zstd"] as const)
  test(`images are loaded and imported from archives compressed with ${program}`, async () => {
    const was = await state();
    const packed = engine.path(`packed.${program}`);
    writeFileSync(packed, execFileSync(program, ["-c"], { input: archive, maxBuffer: 1 << 28 }));
    assert.match(await engine.ok("load", "-i", packed), /Loaded image: busybox:latest/);
    await assertSame(was, "the same image again");
    const tar = execFileSync("tar", ["c", "-C", "/etc", "hostname"]);
    writeFileSync(packed, execFileSync(program, ["-c"], { input: tar }));
    await engine.ok("import", packed, "imported");
    await engine.ok("save", "-o", engine.path("saved.tar"), "imported");
    await engine.ok("create", "--name", "imported", "imported", "x");
    await engine.ok("cp", "imported:/hostname", engine.path("hostname"));
    assert.equal(readFileSync(engine.path("hostname"), "utf8"), readFileSync("/etc/hostname", "utf8"));
    await engine.ok("rm", "imported");
    await engine.ok("rmi", "imported");
    await assertSame(was, "after the import");
  });
