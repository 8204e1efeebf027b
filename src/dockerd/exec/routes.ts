/** /containers/{id}/exec and /exec/* */
import { HullError } from "../../platform/errors.ts";
import type { ContainerDeps } from "../containers/deps.ts";
import { found } from "../containers/routes.ts";
import { sizeOf } from "../containers/stream-routes.ts";
import { streamType } from "../containers/streams/multiplex.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { boolean, integer, list, struct, text } from "../http/shape.ts";
import { inspectExec } from "./exec.ts";
import type { ExecService } from "./service.ts";

const createShape = struct("ExecOptions", {
  User: text,
  Privileged: boolean,
  Tty: boolean,
  ConsoleSize: list(integer("uint16")),
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  DetachKeys: text,
  Env: list(text),
  WorkingDir: text,
  Cmd: list(text),
});

const startShape = struct("ExecStartOptions", { Detach: boolean, Tty: boolean, ConsoleSize: list(integer("uint16")) });

interface Ports {
  readonly deps: ContainerDeps;
  readonly execs: ExecService;
}

export const execRoutes = (ports: Ports): readonly Route[] => [
  {
    method: "POST",
    path: "/containers/{id}/exec",
    handler: (request, response) => create(ports, request, response),
  },
  { method: "POST", path: "/exec/{id}/start", handler: (request, response) => start(ports, request, response) },
  { method: "POST", path: "/exec/{id}/resize", handler: (request, response) => resize(ports, request, response) },
  {
    method: "GET",
    path: "/exec/{id}/json",
    handler: (request, response) => response.json(200, inspectExec(ports.execs.get(request.param("id")))),
  },
];

/** A terminal's size: [rows, columns], or nothing. */
const pair = (size: readonly number[]): readonly [number, number] => [size[0] ?? 0, size[1] ?? 0];

async function create({ deps, execs }: Ports, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const body = await request.json(createShape);
  if (body.WorkingDir !== "" && !body.WorkingDir.startsWith("/"))
    throw new HullError(
      "invalid-argument",
      `the working directory '${body.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  const exec = execs.create(container, {
    attachStdin: body.AttachStdin,
    attachStdout: body.AttachStdout,
    attachStderr: body.AttachStderr,
    tty: body.Tty,
    detachKeys: body.DetachKeys,
    env: body.Env,
    workingDir: body.WorkingDir,
    user: body.User,
    privileged: body.Privileged,
    command: body.Cmd,
    consoleSize: pair(body.ConsoleSize),
  });
  response.json(201, { Id: exec.id });
}

async function start({ execs }: Ports, request: ApiRequest, response: ApiResponse): Promise<void> {
  const exec = execs.get(request.param("id"));
  const body = await request.json(startShape);
  const parent = request.span.context;
  if (body.ConsoleSize.length > 0) exec.resizeBeforeStart(pair(body.ConsoleSize));
  const container = execs.claim(exec);
  request.span.set({ container: container.id, exec: exec.id });
  if (body.Detach) {
    await execs.startDetached(exec, container, parent);
    response.empty(200);
    return;
  }
  const client = response.hijack(streamType(exec.settings.tty, request.atLeast("1.42")));
  await execs.startAttached(exec, container, { client, parent });
}

async function resize({ deps, execs }: Ports, request: ApiRequest, response: ApiResponse): Promise<void> {
  const exec = execs.get(request.param("id"));
  const size = sizeOf(request);
  if (exec.state.kind !== "running") throw new HullError("conflict", `exec ${exec.id} is not running`);
  await deps.shims.resize(exec.containerId, { execId: exec.id, ...size });
  response.empty(200);
}
