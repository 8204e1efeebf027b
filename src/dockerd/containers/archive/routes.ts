/** /containers/{id}/{archive,export,changes} and /commit: a container's files. */
import { posix } from "node:path";
import { HullError } from "../../../platform/errors.ts";
import type { ApiRequest } from "../../http/request.ts";
import type { ApiResponse } from "../../http/response.ts";
import type { Route } from "../../http/route.ts";
import { applyTar } from "../../keel-stream.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { found } from "../routes.ts";
import { type CommitPorts, commit } from "./commit.ts";
import { withoutEngineFiles } from "./engine-files.ts";
import { keelOutput, openRoot, openRootfs, statPath } from "./keel-archive.ts";
import { encodePathStat } from "./stat.ts";

const STAT_HEADER = "X-Docker-Container-Path-Stat";

export const archiveRoutes = ({ deps, parts }: CommitPorts): readonly Route[] => [
  { method: "HEAD", path: "/containers/{id}/archive", handler: (request, response) => stat(deps, request, response) },
  { method: "GET", path: "/containers/{id}/archive", handler: (request, response) => copyOut(deps, request, response) },
  { method: "PUT", path: "/containers/{id}/archive", handler: (request, response) => copyIn(deps, request, response) },
  {
    method: "GET",
    path: "/containers/{id}/export",
    handler: (request, response) => exportFiles(deps, request, response),
  },
  { method: "GET", path: "/containers/{id}/changes", handler: (request, response) => changes(deps, request, response) },
  { method: "POST", path: "/commit", handler: (request, response) => commit({ deps, parts }, request, response) },
];

/** The `path` of the query, absolute. Throws invalid-argument when it is missing. */
function pathOf({ query }: ApiRequest): string {
  const path = query.text("path");
  if (path === "") throw new HullError("invalid-argument", "bad parameter: path cannot be empty");
  return path.startsWith("/") ? path : `/${path}`;
}

/** keel's words as Docker's. */
function said(container: Container, path: string, error: unknown): unknown {
  if (!(error instanceof HullError)) return error;
  const { keel } = error.facts;
  const options = { cause: error };
  if (keel === "not-found")
    return new HullError("not-found", `Could not find the file ${path} in container ${container.record.name}`, options);
  if (keel === "read-only")
    return new HullError(
      "permission-denied",
      container.record.hostConfig.ReadonlyRootfs
        ? "container rootfs is marked read-only"
        : "mounted volume is marked read-only",
      options,
    );
  if (keel === "not-a-directory")
    return new HullError("invalid-argument", "extraction point is not a directory", options);
  return error;
}

async function stat(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const path = pathOf(request);
  await using root = await openRoot(deps, container, "stat");
  try {
    const about = await statPath(deps.keelPath, root, { path, signal: request.signal });
    response.header(STAT_HEADER, encodePathStat(about));
  } catch (error) {
    throw said(container, path, error);
  }
  response.empty(200);
}

async function copyOut(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const path = pathOf(request);
  await using root = await openRoot(deps, container, "copy");
  try {
    const about = await statPath(deps.keelPath, root, { path, signal: request.signal });
    response.header(STAT_HEADER, encodePathStat(about));
  } catch (error) {
    throw said(container, path, error);
  }
  const stream = response.stream(200, "application/x-tar");
  const args = ["archive", ...root.args, "--path", path, "--name", entryName(path)];
  for await (const chunk of keelOutput({ keelPath: deps.keelPath, args, signal: request.signal }))
    await stream.write(chunk);
}

/** The name of the first entry: the last part of the path, "." for what ends in "/.", "/" for the root: clients replace it in every name. */
const entryName = (path: string): string => (path.endsWith("/.") ? "." : posix.basename(posix.normalize(path)) || "/");

async function copyIn(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const path = pathOf(request);
  const { query } = request;
  await using root = await openRoot(deps, container, "copy");
  const options = [
    ...(query.bool("noOverwriteDirNonDir") ? ["--no-overwrite-dir-non-dir"] : []),
    ...(query.bool("copyUIDGID") ? ["--copy-uidgid"] : []),
  ];
  try {
    await applyTar({ args: [...root.args, "--path", path, ...options], body: request.body, signal: request.signal });
  } catch (error) {
    throw said(container, path, error);
  }
  response.empty(200);
}

async function exportFiles(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  await using root = await openRootfs(deps, container, "export");
  const output = keelOutput({
    keelPath: deps.keelPath,
    args: ["archive", ...root.args, "--path", "/", "--name", ""],
    signal: request.signal,
  });
  const first = await output.next();
  const stream = response.stream(200, "application/octet-stream");
  deps.events.container(container.record, "export");
  if (!first.done) await stream.write(first.value);
  for await (const chunk of output) await stream.write(chunk);
}

const kinds: Readonly<Record<string, number>> = { C: 0, A: 1, D: 2 };

async function changes(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { record } = found(deps, request);
  const list = withoutEngineFiles(await deps.tasks.changes(record.id, record.driver, request.signal));
  response.json(200, list.length === 0 ? null : list.map(({ kind, path }) => ({ Path: path, Kind: kinds[kind] ?? 0 })));
}
