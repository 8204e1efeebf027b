/** What the command serves while its build runs: directories, secrets, agents, credentials, places for results. */
import { constants, fstatSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { basename } from "node:path";
import type { HandlerContext } from "@connectrpc/connect";
import { Directories } from "../../buildkit/gen/hull/build/v1/directories_pb.ts";
import { Auth, FileSend, FileSync } from "../../buildkit/gen/moby/filesync/v1/filesync_pb.ts";
import { Secrets } from "../../buildkit/gen/moby/secrets/secrets_pb.ts";
import { SSH } from "../../buildkit/gen/moby/sshforward/v1/ssh_pb.ts";
import { Upload } from "../../buildkit/gen/moby/upload/v1/upload_pb.ts";
import { Content } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import { HullError } from "../../platform/errors.ts";
import type { GrpcRoutes } from "../../platform/grpc/server.ts";
import { placeOfProcess } from "../../platform/process-place.ts";
import { findAuth } from "../credentials/credentials.ts";
import { bytesMessages } from "./bytes-messages.ts";
import { blobBytes, readBlob } from "./oci-layouts.ts";
import type { Destination } from "./outputs.ts";
import type { SecretSource } from "./secret-flags.ts";
import { sendTree } from "./send-tree.ts";
import { callOf } from "./served.ts";
import { addResultService } from "./take-results.ts";
import type { ListedFile, Listings } from "./tree-walk.ts";

/** Under the names that the daemon asks for. */
export interface SessionContents {
  readonly directories: ReadonlyMap<string, Listings>;
  /** What is sent as it comes, once, by its id. */
  readonly sent: ReadonlyMap<string, AsyncIterable<Uint8Array>>;
  /** Directories of OCI layouts by id. */
  readonly layouts: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, SecretSource>;
  /** Sockets of agents by id. */
  readonly agents: ReadonlyMap<string, string>;
  /** Of a result that is sent; undefined: none is. */
  readonly destination: Destination | undefined;
  readonly configDirectory: string;
  /** The engine is on this machine, as far as can be told: it may read the directories itself. */
  readonly isLocal: boolean;
  readonly onListed: (directory: string, file: ListedFile) => void;
  /** Files of it are to be sent; all are listed. */
  readonly onAsked: (directory: string) => void | Promise<void>;
}

/** "/moby.filesync.v1.FileSync/DiffCopy": what is said to be there when the session begins. */
export function offeredMethods(contents: SessionContents): string[] {
  const { sent, layouts, secrets, agents, isLocal, destination } = contents;
  const services = [
    FileSync,
    Auth,
    ...(sent.size > 0 ? [Upload] : []),
    ...(isLocal ? [Directories] : []),
    ...(destination ? [FileSend] : []),
    ...(secrets.size > 0 ? [Secrets] : []),
    ...(agents.size > 0 ? [SSH] : []),
  ];
  const absent = new Set(["TarStream", "FetchToken", "GetTokenAuthority", "VerifyTokenAuthority"]);
  const offered = services.flatMap(({ typeName, methods }) =>
    methods.filter(({ name }) => !absent.has(name)).map(({ name }) => `/${typeName}/${name}`),
  );
  return layouts.size === 0 ? offered : [...offered, ...["Info", "Read"].map((name) => `/${Content.typeName}/${name}`)];
}

export function addSessionServices(routes: GrpcRoutes, contents: SessionContents): void {
  routes.service(FileSync, {
    diffCopy: (packets, context) => {
      const { values } = callOf(context);
      const name = values("dir-name")[0] ?? "";
      const listings = contents.directories.get(name);
      if (!listings) throw noAccess(name);
      const [follow, include, exclude] = ["followpaths", "include-patterns", "exclude-patterns"].map(values);
      const request = { listings, follow: follow!, include: include!, exclude: exclude! };
      // The ignore file alone says nothing of what the build uses.
      const isListing = !(follow!.length === 1 && follow![0] === ".dockerignore");
      // Messages that are encoded already stand for those of the interface.
      const onListed = (file: ListedFile): void => {
        if (isListing) contents.onListed(name, file);
      };
      return sendTree(request, packets, { onListed, onAsked: async () => contents.onAsked(name) }) as never;
    },
  });
  if (contents.destination) addResultService(routes, contents.destination);
  routes.service(Directories, { open: async ({ name }) => openDirectory(contents, name) });
  routes.service(Auth, {
    credentials: async ({ Host }) => {
      const { username = "", password = "", identitytoken = "" } = findAuth(contents.configDirectory, Host) ?? {};
      return identitytoken === "" ? { Username: username, Secret: password } : { Username: "", Secret: identitytoken };
    },
  });
  const unsent = new Map(contents.sent);
  routes.service(Upload, {
    pull: (_, context) => {
      const id = basename(callOf(context).values("urlpath")[0] ?? "");
      const body = unsent.get(id);
      if (!body) throw new HullError("not-found", `no http response from session for ${id}`);
      unsent.delete(id);
      // Messages that are encoded already stand for those of the interface.
      return bytesMessages(body) as never;
    },
  });
  const layoutFor = (context: HandlerContext): string => {
    const id = callOf(context).values("buildkit-attachable-store-id")[0] ?? "";
    const path = contents.layouts.get(id.replace(/^oci:/, ""));
    if (path === undefined) throw new HullError("not-found", `unknown store ${id}`);
    return path;
  };
  routes.service(Content, {
    info: ({ digest }, context) => ({ info: { digest, size: BigInt(blobBytes(layoutFor(context), digest)) } }),
    read: ({ digest, offset, size }, context) =>
      readBlob(layoutFor(context), { digest, offset: Number(offset), size: Number(size) }),
  });
  routes.service(Secrets, { getSecret: async ({ ID }) => ({ data: secretOf(contents, ID) }) });
  routes.service(SSH, {
    checkAgent: async ({ ID }) => {
      agentOf(contents, ID);
      return {};
    },
    forwardAgent: (messages, context) =>
      relay(agentOf(contents, callOf(context).values("buildkit.ssh.id")[0] ?? ""), messages),
  });
}

/** Stays open until the command ends. */
function openDirectory({ directories }: SessionContents, name: string) {
  const listings = directories.get(name);
  if (!listings) throw noAccess(name);
  const descriptor = openSync(listings.root, constants.O_RDONLY | constants.O_DIRECTORY);
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return { pid: process.pid, descriptor, device: dev, inode: ino, ...placeOfProcess() };
}

const noAccess = (name: string): HullError =>
  new HullError("not-found", `no access allowed to dir ${JSON.stringify(name)}`);

const MAX_SECRET_BYTES = 500 * 1024;

function secretOf({ secrets }: SessionContents, id: string): Uint8Array {
  const source = secrets.get(id);
  if (!source) throw new HullError("not-found", `secret ${id} not found`);
  const data = source.kind === "env" ? Buffer.from(process.env[source.name] ?? "") : readFileSync(source.path);
  if (data.length > MAX_SECRET_BYTES)
    throw new HullError("invalid-argument", `invalid secret size ${data.length}: at most 500 KiB`);
  return data;
}

function agentOf({ agents }: SessionContents, id: string): string {
  const path = agents.get(id || "default");
  if (path === undefined) throw new HullError("not-found", `unset ssh forward key ${id || "default"}`);
  return path;
}

/** One connection to the agent. */
async function* relay(
  path: string,
  messages: AsyncIterable<{ readonly data: Uint8Array }>,
): AsyncGenerator<{ data: Uint8Array }> {
  const socket = connect({ path, allowHalfOpen: true });
  const sending = (async () => {
    for await (const { data } of messages) socket.write(data);
    socket.end();
  })();
  sending.catch(() => socket.destroy());
  try {
    for await (const data of socket as AsyncIterable<Buffer>) yield { data };
  } finally {
    socket.destroy();
  }
}
