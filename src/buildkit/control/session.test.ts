import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { openLog } from "../../platform/log.ts";
import type { FileEntry } from "../files/entry.ts";
import { goMode } from "../files/transfer/go-mode.ts";
import { Outgoing } from "../files/transfer/outgoing.ts";
import { type Packet, PacketSchema, type Stat, StatSchema, Packet_PacketType as Type } from "../gen/fsutil/types_pb.ts";
import { FileSync } from "../gen/moby/filesync/v1/filesync_pb.ts";
import { Secrets } from "../gen/moby/secrets/secrets_pb.ts";
import { readDockerfile, receiveDirectory } from "./client-files.ts";
import { clientSecrets } from "./client-secrets.ts";
import { GrpcConnections } from "./grpc-connections.ts";
import { type Session, Sessions } from "./session.ts";

const never = new AbortController().signal;
let directory: string;
let server: Server;
let waiting: ((socket: Socket) => void) | undefined;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hull-session-"));
  server = createServer((socket) => waiting?.(socket));
  await new Promise<void>((resolve) => server.listen(join(directory, "s"), resolve));
});
after(() => {
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Two ends of one connection. */
async function pair(): Promise<[Socket, Socket]> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  waiting = resolve;
  const near = connect({ path: join(directory, "s") });
  await new Promise<void>((connected) => near.once("connect", connected));
  return [near, await promise];
}

interface SentFile {
  readonly path: string;
  readonly kind?: FileEntry["kind"];
  readonly data?: Buffer;
  readonly link?: string;
}

const statOf = ({ path, kind = "file", data, link = "" }: SentFile): Stat =>
  create(StatSchema, {
    path,
    mode: goMode(kind, kind === "directory" ? 0o755 : 0o4644),
    size: BigInt(data?.length ?? 0),
    modTime: 1_700_000_000_123_456_789n,
    linkname: link,
  });

const asked: string[] = [];

/** A client's sending half, as fsutil has it: what is asked for comes in pieces, several files at once. */
async function* send(files: readonly SentFile[], theirs: AsyncIterable<Packet>): AsyncGenerator<Packet> {
  for (const file of files) yield create(PacketSchema, { type: Type.PACKET_STAT, stat: statOf(file) });
  yield create(PacketSchema, { type: Type.PACKET_STAT });
  const requests = new Outgoing<number>();
  const listening = (async () => {
    for await (const { type, ID } of theirs) {
      if (type === Type.PACKET_FIN) break;
      asked.push(files[ID]!.path);
      requests.push(ID);
    }
    requests.end();
  })();
  const turns: Packet[][] = [];
  for await (const id of requests) {
    turns.push(pieces(id, files[id]!.data!));
    // As many as were asked for at once are sent in turn.
    if (requests.length > 0) continue;
    while (turns.length > 0) {
      const turn = turns.shift()!;
      yield turn.shift()!;
      if (turn.length > 0) turns.push(turn);
    }
  }
  await listening;
  yield create(PacketSchema, { type: Type.PACKET_FIN });
}

function pieces(ID: number, data: Buffer): Packet[] {
  const list: Packet[] = [];
  for (let at = 0; at < data.length; at += 32_768)
    list.push(create(PacketSchema, { type: Type.PACKET_DATA, ID, data: data.subarray(at, at + 32_768) }));
  return [...list, create(PacketSchema, { type: Type.PACKET_DATA, ID })];
}

interface Client extends AsyncDisposable {
  readonly session: Session;
  readonly metadata: Record<string, string>;
}

/** A session whose client has these files and secrets. */
async function sessionWith(
  files: readonly SentFile[],
  secrets: Readonly<Record<string, string>> = {},
): Promise<Client> {
  const [near, far] = await pair();
  const metadata: Record<string, string> = {};
  const grpc = new GrpcConnections(openLog({ name: "test", level: "fatal" }));
  grpc.routes.service(FileSync, {
    diffCopy: (packets, context) => {
      const header = (context as unknown as { header: (name: string) => string | undefined }).header;
      for (const name of ["dir-name", "followpaths", "followpaths-encoded"]) metadata[name] = header(name) ?? "";
      const follow = (header("followpaths") ?? "").split(/,\s*/).filter((path) => path !== "");
      const chosen = follow.length === 0 ? files : files.filter(({ path }) => follow.includes(path));
      return send(chosen, packets);
    },
  });
  grpc.routes.service(Secrets, {
    getSecret: ({ ID }) => {
      const found = secrets[ID];
      if (found === undefined) throw Object.assign(new Error(`secret ${ID} not found`), { code: "not-found" });
      return { data: Buffer.from(found) };
    },
  });
  grpc.accept(far, Buffer.alloc(0));
  const methods = "/moby.filesync.v1.FileSync/DiffCopy,/moby.buildkit.secrets.v1.Secrets/GetSecret";
  const headers = { "x-docker-expose-session-uuid": "s1", "x-docker-expose-session-grpc-method": methods };
  const sessions = new Sessions();
  const coming = sessions.get("s1", never);
  sessions.accept(headers, near);
  const session = await coming;
  return {
    session,
    metadata,
    [Symbol.asyncDispose]: async () => {
      near.destroy();
      far.destroy();
    },
  };
}

const large = Buffer.alloc(3 * 1024 * 1024 + 5, "large ");
const tree: readonly SentFile[] = [
  { path: "a", data: Buffer.from("alpha") },
  { path: "big", data: large },
  { path: "d", kind: "directory" },
  { path: "d/empty", data: Buffer.alloc(0) },
  { path: "d/x", data: Buffer.alloc(100_000, "x") },
  { path: "link", kind: "symlink", link: "a" },
  { path: "z", data: Buffer.from("zeta") },
];

async function receive(client: Client, isKnown: (entry: FileEntry) => boolean = () => false) {
  const got = new Map<string, Buffer>();
  let at: { path: string; parts: Uint8Array[] } | undefined;
  const entries = await receiveDirectory(
    { session: client.session, directory: "context", follow: [], exclude: [], signal: never },
    {
      isKnown,
      onBytes: () => {},
      sink: {
        begin: ({ path }) => {
          assert.equal(at, undefined, "one file at a time");
          at = { path, parts: [] };
        },
        write: (data) => void at!.parts.push(data),
        end: () => {
          got.set(at!.path, Buffer.concat(at!.parts));
          at = undefined;
        },
      },
    },
  );
  return { entries, got };
}

test("a client's directory arrives whole, large files too, and empty ones are not asked for", async () => {
  await using client = await sessionWith(tree);
  asked.length = 0;
  const { entries, got } = await receive(client);
  assert.deepEqual(
    entries.map(({ path, kind }) => `${kind} ${path}`),
    ["file a", "file big", "directory d", "file d/empty", "file d/x", "symlink link", "file z"],
  );
  assert.deepEqual(asked, ["a", "big", "d/x", "z"]);
  for (const { path, data } of tree) if (data && data.length > 0) assert.ok(got.get(path)!.equals(data), path);
  assert.equal(entries[0]!.mode, 0o4644);
  assert.equal(entries[0]!.mtimeNs, 1_700_000_000_123_456_789n);
  assert.equal(entries[5]!.linkTarget, "a");
});

test("what is known does not travel", async () => {
  await using client = await sessionWith(tree);
  asked.length = 0;
  const { got } = await receive(client, ({ path }) => path !== "z");
  assert.deepEqual(asked, ["z"]);
  assert.deepEqual([...got.keys()], ["z"]);
});

const wrong: readonly (readonly [what: string, files: readonly SentFile[]])[] = [
  ["a path that leads out", [{ path: "../x", data: Buffer.from("x") }]],
  ["a path with an empty part", [{ path: "a//b", data: Buffer.from("x") }]],
  [
    "paths out of order",
    [
      { path: "b", data: Buffer.from("x") },
      { path: "a", data: Buffer.from("x") },
    ],
  ],
];

for (const [what, files] of wrong)
  test(`${what} is refused`, async () => {
    await using client = await sessionWith(files);
    await assert.rejects(receive(client), (error) => codeOf(error) === "invalid-argument");
  });

test("the Dockerfile and the ignore file beside it are read; names beyond ASCII are escaped on their way", async () => {
  const files = [
    { path: "Dockerfile", data: Buffer.from("FROM scratch\n") },
    { path: "Dockerfile.dockerignore", data: Buffer.from("*.md\n") },
  ];
  await using client = await sessionWith(files);
  const found = await readDockerfile({ session: client.session, signal: never }, "Dockerfile");
  assert.equal(found.data.toString(), "FROM scratch\n");
  assert.deepEqual(found.ignore, ["*.md"]);
  await assert.rejects(
    readDockerfile({ session: client.session, signal: never }, "bäder"),
    (error) => codeOf(error) === "not-found" && /open bäder: no such file/.test(messageOf(error)),
  );
  assert.equal(client.metadata["followpaths-encoded"], "1");
});

test("secrets come from the client, one that it has not is none", async () => {
  await using client = await sessionWith([], { token: "s3cret" });
  const secrets = clientSecrets(client.session, directory);
  assert.equal((await secrets.secret("token", never))?.toString(), "s3cret");
  assert.equal(await secrets.sshAgent("default", never), undefined);
});

test("calls of a session fail when its client has gone", async () => {
  const client = await sessionWith(tree);
  await client[Symbol.asyncDispose]();
  await assert.rejects(receive(client), (error) => codeOf(error) === "unavailable" || codeOf(error) === "cancelled");
  const { signal } = client.session;
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
});
