import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { member, paxRecords, tarOf } from "../../keel/tar-harness.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { descriptorOf, readOn, stopReading } from "../../platform/paused-socket.ts";
import { type FileEntry, isImplied } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { decodeIndex } from "../files/tree-index.ts";
import { ingestArchive, ingestUpload } from "./apply-archive.ts";

const never = new AbortController().signal;
let root: string;
let runs = 0;

before(() => {
  root = mkdtempSync(join(tmpdir(), "hull-ingest-"));
});
after(() => rmSync(root, { recursive: true, force: true }));

interface Store {
  readonly objects: string;
  take(tar: Buffer): Promise<FileEntry[]>;
}

function newStore(): Store {
  const directory = join(root, `store-${runs++}`);
  const objects = join(directory, "objects");
  mkdirSync(objects, { recursive: true });
  return {
    objects,
    take: async (tar) => {
      const [path, index] = [join(directory, `tar-${runs++}`), join(directory, `index-${runs++}`)];
      writeFileSync(path, tar);
      try {
        await ingestArchive(path, { objects, index, signal: never });
        return decodeIndex(readFileSync(index));
      } catch (error) {
        assert.equal(existsSync(index), false, "no index of a context that was refused");
        throw error;
      }
    },
  };
}

const objectPath = (objects: string, entry: FileEntry): string => {
  const name = objectName(entry);
  return join(objects, name.slice(0, 2), name);
};

const incoming = (objects: string): string[] => readdirSync(objects).filter((name) => name.startsWith("incoming-"));

test("a tree that tar packed is in the index as it was, its files in the store with their attributes", async () => {
  const tree = join(root, "tree");
  mkdirSync(tree);
  const script = `mkdir -p a/b a.b; echo hi > a/f; ln a/f a/b/other; ln -s ../x a/l; mkfifo a/p; mknod a/dev c 1 3; : > empty
    truncate -s 3M sparse; echo end >> sparse; head -c 2500000 /dev/urandom > large; setfattr -n user.k -v "v v" large
    echo z > a.b/z; echo ü > "a/ü \\$x"; chown 7:8 a/f; chmod 4755 a/f; chmod 700 a; touch -d "2020-01-02 03:04:05.678901234" a/f a`;
  execFileSync("/bin/bash", ["-ec", script], { cwd: tree });
  const tar = execFileSync("tar", ["-C", tree, "--format=pax", "--xattrs", "--sparse", "-cf", "-", "."], {
    maxBuffer: 1 << 30,
  });
  const { objects, take } = newStore();
  const entries = await take(tar);
  assert.deepEqual(
    entries.map(({ path, kind }) => `${kind} ${path}`),
    [
      ...[
        "directory a",
        "directory a/b",
        "file a/b/other",
        "character a/dev",
        "file a/f",
        "symlink a/l",
        "fifo a/p",
        "file a/ü $x",
      ],
      ...["directory a.b", "file a.b/z", "file empty", "file large", "file sparse"],
    ],
  );
  const by = new Map(entries.map((entry) => [entry.path, entry]));
  for (const entry of entries.filter(({ kind }) => kind === "file")) {
    const bytes = readFileSync(join(tree, entry.path));
    assert.equal(entry.sha256, createHash("sha256").update(bytes).digest("hex"), entry.path);
    const object = lstatSync(objectPath(objects, entry), { bigint: true });
    assert.ok(readFileSync(objectPath(objects, entry)).equals(bytes));
    assert.deepEqual(
      [Number(object.mode & 0o7777n), Number(object.uid), Number(object.gid), object.mtimeNs],
      [entry.mode, entry.uid, entry.gid, entry.mtimeNs],
    );
  }
  const f = by.get("a/f")!;
  assert.deepEqual(
    [f.mode, f.uid, f.gid, f.mtimeNs, f.hardLinkTo],
    [0o4755, 7, 8, 1_577_934_245_678_901_234n, "a/b/other"],
  );
  assert.equal(by.get("a/b/other")!.hardLinkTo, "");
  assert.equal(by.get("a/l")!.linkTarget, "../x");
  assert.deepEqual([by.get("a/dev")!.deviceMajor, by.get("a/dev")!.deviceMinor], [1, 3]);
  assert.deepEqual(by.get("large")!.xattrs, [["user.k", "v v"]]);
  assert.ok(lstatSync(objectPath(objects, by.get("sparse")!)).blocks * 512 < 1_000_000, "holes stay holes");
  assert.deepEqual(incoming(objects), []);
});

for (const [program, from] of [
  ["xz", "xz-utils"],
  ["bzip2", "bzip2"],
] as const)
  test(`an archive that ${program} packed is read by that program; damage and its absence are told`, async () => {
    const { take } = newStore();
    const tar = tarOf(member({ name: "a", bytes: Buffer.alloc(300_000, "packed ") }));
    const packed = execFileSync(program, ["-c"], { input: tar });
    assert.deepEqual(
      (await take(packed)).map(({ path, size }) => [path, size]),
      [["a", 300_000]],
    );
    const damaged = Buffer.from(packed);
    damaged.fill(0x55, packed.length / 2);
    await assert.rejects(take(damaged), (error) => {
      assert.equal(codeOf(error), "invalid-argument");
      assert.match(messageOf(error), new RegExp(`^Error processing tar file: ${program}: `));
      return true;
    });
    const path = process.env.PATH;
    process.env.PATH = "/nonexistent";
    try {
      await assert.rejects(take(packed), new RegExp(`install the package ${from} there`));
    } finally {
      process.env.PATH = path;
    }
  });

test("what is there already is not written again", async () => {
  const { objects, take } = newStore();
  const tar = tarOf(
    member({ name: "a", bytes: Buffer.from("x") }),
    member({ name: "b", bytes: Buffer.alloc(3_000_000, "y") }),
  );
  const first = await take(tar);
  const inodes = first.map((entry) => lstatSync(objectPath(objects, entry)).ino);
  const second = await take(tar);
  assert.deepEqual(
    second.map((entry) => lstatSync(objectPath(objects, entry)).ino),
    inodes,
  );
});

test("directories that the archive left out are made, of entries of one name the last one counts", async () => {
  const { take } = newStore();
  const entries = await take(
    tarOf(
      member({ name: "./x/y/z", bytes: Buffer.from("1") }),
      member({ name: "x/y/z", bytes: Buffer.from("22") }),
      member({ name: "x-y", bytes: Buffer.from("3") }),
    ),
  );
  assert.deepEqual(
    entries.map(({ path, kind, size }) => [path, kind, size]),
    [
      ["x", "directory", 0],
      ["x/y", "directory", 0],
      ["x/y/z", "file", 2],
      ["x-y", "file", 1],
    ],
  );
  assert.deepEqual(entries.map(isImplied), [true, true, false, false]);
});

const refused: readonly (readonly [what: string, tar: () => Buffer, message: RegExp])[] = [
  [
    "a name that climbs",
    () => tarOf(member({ name: "a/../../b", bytes: Buffer.from("x") })),
    /"a\/..\/..\/b": its name leads out of the context/,
  ],
  [
    "a hard link that climbs",
    () => tarOf(member({ name: "a", type: "1", link: "../b" })),
    /hard link out of the context/,
  ],
  [
    "a hard link to nothing",
    () => tarOf(member({ name: "a", type: "1", link: "b" })),
    /"a": it is a hard link to nothing/,
  ],
  [
    "hard links in a circle",
    () => tarOf(member({ name: "a", type: "1", link: "b" }), member({ name: "b", type: "1", link: "a" })),
    /hard link to nothing/,
  ],
  [
    "a file below a file",
    () => tarOf(member({ name: "a", bytes: Buffer.from("x") }), member({ name: "a/b", bytes: Buffer.from("x") })),
    /"a\/b": it is below something that is no directory/,
  ],
  [
    "a file below a link",
    () => tarOf(member({ name: "a", type: "2", link: "/etc" }), member({ name: "a/b", bytes: Buffer.from("x") })),
    /below something that is no directory/,
  ],
  [
    "an archive that is cut short",
    () => tarOf(member({ name: "a", bytes: Buffer.alloc(100_000, "x") })).subarray(0, 50_000),
    /./,
  ],
  ["bytes that are no archive", () => Buffer.alloc(2000, "nonsense"), /./],
];

for (const [what, tar, message] of refused)
  test(`${what} is refused, and no file of it is left half`, async () => {
    const { objects, take } = newStore();
    await assert.rejects(
      take(tar()),
      (error) => codeOf(error) === "invalid-argument" && message.test(messageOf(error)),
    );
    assert.deepEqual(incoming(objects), []);
  });

test("absolute names are the context's own; long names and pax times are read", async () => {
  const { take } = newStore();
  const long = `${"n".repeat(120)}/${"m".repeat(120)}`;
  const entries = await take(
    tarOf(
      member({ name: "/etc/passwd", bytes: Buffer.from("x") }),
      paxRecords({ path: long, mtime: "1500000000.5" }),
      member({ name: "short", bytes: Buffer.from("y") }),
    ),
  );
  const found = entries.find(({ path }) => path === long);
  assert.equal(found?.mtimeNs, 1_500_000_000_500_000_000n);
  assert.ok(entries.some(({ path }) => path === "etc/passwd"));
});

test("an aborted one leaves no half file under an object's name", async () => {
  const { objects } = newStore();
  const path = join(root, `big-${runs++}`);
  writeFileSync(path, tarOf(member({ name: "a", bytes: Buffer.alloc(64 << 20, "x") })));
  const abort = new AbortController();
  const taking = ingestArchive(path, { objects, index: join(root, `index-${runs++}`), signal: abort.signal });
  setTimeout(() => abort.abort(new Error("given up")), 15);
  await taking.catch(() => undefined);
  for (const shelf of readdirSync(objects).filter((name) => name.length === 2))
    for (const name of readdirSync(join(objects, shelf)))
      assert.equal(
        createHash("sha256")
          .update(readFileSync(join(objects, shelf, name)))
          .digest("hex"),
        name.slice(0, 64),
      );
});

test("a time that no clock shows is refused", async () => {
  const { take } = newStore();
  const tar = tarOf(paxRecords({ mtime: "9999999999999" }), member({ name: "a", bytes: Buffer.from("x") }));
  await assert.rejects(take(tar), /its time is out of range/);
});

test("a body on a connection of ours is read by keel: what we had received first, then the rest, and nothing of the next request is lost", async () => {
  const store = newStore();
  const bytes = Buffer.alloc(700_000, "b");
  const body = tarOf(member({ name: "a", bytes }));
  const socketPath = join(root, "socket");
  const accepted = Promise.withResolvers<Socket>();
  using server = new DisposableServer(accepted.resolve, socketPath);
  await server.listening;
  const client = connect(socketPath);
  client.write(body.subarray(0, 300_000));
  const socket = await accepted.promise;
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  const index = join(root, "index-of-upload");
  const at = { pid: process.pid, fd: descriptorOf(socket)!, framing: String(body.length) };
  async function* taken(): AsyncGenerator<Buffer> {
    await stopReading(socket);
    client.write(Buffer.concat([body.subarray(300_000), Buffer.from("next")]));
    yield* received.splice(0);
  }
  let rest = -1;
  const whole = async (bytesBehind: number) => {
    rest = bytesBehind;
    readOn(socket);
  };
  assert.equal(await ingestUpload({ at, taken, whole }, { objects: store.objects, index, signal: never }), true);
  assert.deepEqual(
    decodeIndex(readFileSync(index)).map(({ path, size }) => [path, size]),
    [["a", bytes.length]],
  );
  assert.equal(rest, 4);
  const after = new Promise((resolve) => socket.once("data", (chunk: Buffer) => resolve(chunk.toString())));
  client.write("more");
  assert.equal(await after, "more");
  client.destroy();
});

test("a connection that can't be had is left as it is", async () => {
  const { objects } = newStore();
  const at = { pid: process.pid, fd: 999_999, framing: "chunked" };
  const upload = { at, taken: () => assert.fail("taken"), whole: () => assert.fail("whole") };
  assert.equal(await ingestUpload(upload, { objects, index: join(root, "none"), signal: never }), false);
});

class DisposableServer implements Disposable {
  readonly #server: Server;
  readonly listening: Promise<void>;

  constructor(onConnection: (socket: Socket) => void, path: string) {
    this.#server = createServer(onConnection);
    this.listening = new Promise((resolve) => this.#server.listen(path, resolve));
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}
