import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type OurPacket, receiveTree } from "../../buildkit/files/transfer/receive-tree.ts";
import { type Packet, PacketSchema } from "../../buildkit/gen/fsutil/types_pb.ts";
import { MessageReader } from "../../platform/grpc/frames.ts";
import { sendTree, type TreeRequest } from "./send-tree.ts";
import { Listings } from "./tree-walk.ts";

let root: string;
before(() => {
  root = mkdtempSync(join(tmpdir(), "hull-send-"));
  const files: Readonly<Record<string, string | Buffer>> = {
    Dockerfile: "FROM busybox",
    "a.txt": "text",
    "a/inner": "",
    "a/log.log": "log",
    "a/deep/er": "deeper",
    large: Buffer.alloc(3_000_001, "x"),
    "é/ü": "names",
    "odd [name]*": "odd",
  };
  for (const [path, data] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), data);
  }
  linkSync(join(root, "a.txt"), join(root, "second.txt"));
  symlinkSync("a", join(root, "link"));
  symlinkSync("link/deep", join(root, "chain"));
  symlinkSync("../../outside", join(root, "out"));
  symlinkSync("circle", join(root, "circle"));
  utimesSync(join(root, "a.txt"), 1_700_000_000, 1_700_000_000.5);
});
after(() => rmSync(root, { recursive: true, force: true }));

/** What the daemon's receiver has in the end: entries, and contents by path. */
async function received(request: Partial<TreeRequest>, { known = false, told = [] as string[] } = {}) {
  const contents = new Map<string, string>();
  let parts: Uint8Array[] = [];
  let path = "";
  const entries = await receiveTree({
    open: (ours) =>
      opened(ours, { listings: new Listings(root), follow: [], include: [], exclude: [], ...request }, told),
    isKnown: () => known,
    onBytes: () => {},
    sink: {
      begin: (entry) => {
        path = entry.path;
        parts = [];
      },
      write: (data) => void parts.push(Buffer.from(data)),
      end: () => void contents.set(path, Buffer.concat(parts).toString()),
    },
  });
  return { entries, contents };
}

async function* opened(ours: AsyncIterable<OurPacket>, request: TreeRequest, told: string[]): AsyncGenerator<Packet> {
  const theirs = (async function* () {
    for await (const packet of ours)
      yield fromBinary(PacketSchema, toBinary(PacketSchema, create(PacketSchema, packet)));
  })();
  const watcher = {
    onListed: ({ path }: { readonly path: string }) => void told.push(path),
    onAsked: async () => void told.push("asked"),
  };
  const reader = new MessageReader();
  for await (const { bytes } of sendTree(request, theirs, watcher))
    for (const message of reader.push(Buffer.from(bytes))) yield fromBinary(PacketSchema, message);
}

test("a tree arrives as it is: kinds, modes, times, links, contents", async () => {
  const { entries, contents } = await received({});
  const facts = entries.map(({ path, kind, size, linkTarget, hardLinkTo }) => [
    path,
    kind,
    size,
    linkTarget || hardLinkTo,
  ]);
  assert.deepEqual(facts, [
    ["Dockerfile", "file", 12, ""],
    ["a", "directory", 0, ""],
    ["a/deep", "directory", 0, ""],
    ["a/deep/er", "file", 6, ""],
    ["a/inner", "file", 0, ""],
    ["a/log.log", "file", 3, ""],
    ["a.txt", "file", 4, ""],
    ["chain", "symlink", 0, "link/deep"],
    ["circle", "symlink", 0, "circle"],
    ["large", "file", 3_000_001, ""],
    ["link", "symlink", 0, "a"],
    ["odd [name]*", "file", 3, ""],
    ["out", "symlink", 0, "../../outside"],
    ["second.txt", "file", 0, "a.txt"],
    ["é", "directory", 0, ""],
    ["é/ü", "file", 5, ""],
  ]);
  const text = entries.find(({ path }) => path === "a.txt")!;
  assert.deepEqual([text.uid, text.gid, text.mode & 0o600, text.mtimeNs], [0, 0, 0o600, 1_700_000_000_500_000_000n]);
  assert.equal(contents.get("a/deep/er"), "deeper");
  assert.equal(contents.get("é/ü"), "names");
  assert.equal(contents.get("large"), "x".repeat(3_000_001));
});

test("whoever watches hears once that files are to be sent, when all are listed; not when none are", async () => {
  const told: string[] = [];
  await received({ follow: ["a"] }, { told });
  assert.deepEqual(told, ["a", "a/deep", "a/deep/er", "a/inner", "a/log.log", "asked"]);
  const again: string[] = [];
  await received({ follow: ["a"] }, { told: again, known: true });
  assert.ok(!again.includes("asked"));
});

describe("only what is asked for is listed", () => {
  const cases: readonly (readonly [string, Partial<TreeRequest>, readonly string[]])[] = [
    ["a file, with its directories", { follow: ["a/deep/er"] }, ["a", "a/deep", "a/deep/er"]],
    ["what a link leads to", { follow: ["link/inner"] }, ["a", "a/inner", "link"]],
    ["links to links", { follow: ["chain"] }, ["a", "a/deep", "a/deep/er", "chain", "link"]],
    ["a link in a circle", { follow: ["circle"] }, ["circle"]],
    ["wildcards", { follow: ["*.txt"] }, ["a.txt", "second.txt"]],
    ["wildcards behind links", { follow: ["link/*.log"] }, ["a", "a/log.log", "link"]],
    ["a name with wildcards in it", { follow: ["odd \\[name\\]\\*"] }, ["odd [name]*"]],
    ["what is not ignored", { follow: ["a"], exclude: ["**/*.log"] }, ["a", "a/deep", "a/deep/er", "a/inner"]],
    ["exceptions", { follow: ["a"], exclude: ["a", "!a/deep/er"] }, ["a", "a/deep", "a/deep/er"]],
    ["nothing that is there", { follow: ["missing"] }, []],
  ];
  for (const [what, request, paths] of cases)
    test(what, async () => {
      const { entries } = await received(request);
      assert.deepEqual(
        entries.map(({ path }) => path),
        paths,
      );
    });
});

test("a file that has gone since it was listed fails the transfer", async () => {
  writeFileSync(join(root, "brief"), "brief");
  const listings = new Listings(root);
  listings.list("");
  rmSync(join(root, "brief"));
  await assert.rejects(received({ listings, follow: ["brief"] }), /no such file/);
});
