/** /containers/*: from creation to removal, and what is read. */
import { during, HullError } from "../../platform/errors.ts";
import { parseFilters } from "../http/filters.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { untilMs } from "../images/list-filters.ts";
import type { Container, WaitCondition } from "./container.ts";
import { createContainer } from "./create/create.ts";
import type { ContainerDeps } from "./deps.ts";
import { pauseContainer, renameContainer, unpauseContainer, updateContainer } from "./lifecycle/change.ts";
import { removeContainer } from "./lifecycle/remove.ts";
import { startOnce } from "./lifecycle/start-once.ts";
import { type KillOptions, killContainer, restartContainer, stopContainer } from "./lifecycle/stop.ts";
import { pruneContainers, pruneFilterNames } from "./prune.ts";
import { createShape, updateShape } from "./shapes.ts";
import { parseSignal } from "./signals.ts";
import { isActive } from "./state.ts";
import { emptySample, type Sample, type SampleOptions, sample } from "./stats.ts";
import { top } from "./top.ts";
import { listFilterNames } from "./views/filter.ts";
import { inspect } from "./views/inspect.ts";
import { listContainers, sizesOf } from "./views/list.ts";

type Answer = (deps: ContainerDeps, request: ApiRequest, response: ApiResponse) => Promise<void> | void;

export function lifecycleRoutes(deps: ContainerDeps): readonly Route[] {
  const route = (method: Route["method"], path: string, answer: Answer): Route => ({
    method,
    path,
    handler: (request, response) => answer(deps, request, response),
  });
  return [
    route("GET", "/containers/json", list),
    route("POST", "/containers/create", create),
    route("POST", "/containers/prune", prune),
    route("GET", "/containers/{id}/json", show),
    route("GET", "/containers/{id}/top", processes),
    route("GET", "/containers/{id}/stats", stats),
    route("POST", "/containers/{id}/start", start),
    route("POST", "/containers/{id}/stop", stop),
    route("POST", "/containers/{id}/restart", restart),
    route("POST", "/containers/{id}/kill", kill),
    route("POST", "/containers/{id}/pause", (_, request, response) =>
      changed(response, pauseContainer(deps, found(deps, request), { briefly: false })),
    ),
    route("POST", "/containers/{id}/unpause", (_, request, response) =>
      changed(response, unpauseContainer(deps, found(deps, request))),
    ),
    route("POST", "/containers/{id}/rename", rename),
    route("POST", "/containers/{id}/update", update),
    route("POST", "/containers/{id}/wait", wait),
    route("DELETE", "/containers/{id}", remove),
  ];
}

/** The container a path names; its id is noted in the request's span. Throws not-found. */
export function found(deps: ContainerDeps, request: ApiRequest): Container {
  const container = deps.registry.get(request.param("id"));
  request.span.set({ container: container.id });
  return container;
}

async function changed(response: ApiResponse, work: Promise<void>): Promise<void> {
  await work;
  response.empty(204);
}

async function list(deps: ContainerDeps, { query, signal }: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = parseFilters(query.text("filters"), listFilterNames);
  const wish = { all: query.bool("all"), limit: query.integer("limit"), size: query.bool("size"), filters, signal };
  response.json(200, await listContainers(deps, wish));
}

async function create(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  if (request.body.isEmpty) throw new HullError("invalid-argument", "invalid JSON: got EOF while reading request body");
  const body = await request.json(createShape);
  const { query, span } = request;
  const made = await createContainer(deps, {
    body,
    name: query.text("name"),
    platform: query.text("platform"),
    parent: span.context,
  });
  span.set({ container: made.id });
  response.json(201, { Id: made.id, Warnings: made.warnings });
}

async function show(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const { record } = container;
  const sizes = request.query.bool("size") ? await sizesOf(deps, [record], request.signal) : undefined;
  const facts = {
    execIds: [...container.execIds],
    size: sizes?.get(record.id),
    image: deps.images.find(record.imageId),
  };
  response.json(200, inspect(record, facts));
}

async function start(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  if (request.query.text("checkpoint") !== "")
    throw new HullError("unimplemented", "starting from a checkpoint is not supported yet");
  container.restartTimer?.cancel();
  await changed(
    response,
    container.queue.run(() => startOnce(deps, container, { parent: request.span.context, byPolicy: false })),
  );
}

async function stop(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  await changed(response, stopContainer(deps, found(deps, request), stopOptions(request)));
}

const stopOptions = ({ query }: ApiRequest) => ({
  timeoutSeconds: query.integer("t"),
  signal: query.text("signal"),
  // A client that goes away does not call the stop off: what was begun is finished.
  abort: new AbortController().signal,
});

async function restart(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  await changed(
    response,
    restartContainer(deps, found(deps, request), { ...stopOptions(request), parent: request.span.context }),
  );
}

async function kill(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const options = { signal: request.query.text("signal"), abort: new AbortController().signal };
  await changed(response, killed(deps, request, options));
}

/** Docker names what it could not do, whatever the reason. */
async function killed(deps: ContainerDeps, request: ApiRequest, options: KillOptions): Promise<void> {
  try {
    if (options.signal !== "") parseSignal(options.signal); // Refused whether there is such a container or not.
    await killContainer(deps, found(deps, request), options);
  } catch (error) {
    throw during(`cannot kill container: ${request.param("id")}`, error);
  }
}

async function rename(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  await changed(response, renameContainer(deps, found(deps, request), request.query.text("name")));
}

async function update(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  response.json(200, { Warnings: await updateContainer(deps, container, await request.json(updateShape)) });
}

async function remove(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  if (query.bool("link"))
    throw new HullError(
      "invalid-argument",
      "removing a link: links are fixed at creation here; remove the container instead",
    );
  const options = { force: query.bool("force"), volumes: query.bool("v"), abort: new AbortController().signal };
  await changed(response, removeContainer(deps, found(deps, request), options));
}

const conditions: readonly string[] = ["not-running", "next-exit", "removed"] satisfies WaitCondition[];

/** The head goes out at once: clients wait before they start. */
async function wait(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const condition = request.query.text("condition") || "not-running";
  if (!conditions.includes(condition)) throw new HullError("invalid-argument", `invalid condition: "${condition}"`);
  const ended = found(deps, request).wait(condition as WaitCondition, request.signal);
  ended.catch(() => undefined); // Reported where it is awaited.
  const stream = response.stream(200, "application/json");
  const { exitCode, error } = await ended;
  await stream.line({ StatusCode: exitCode, ...(error !== "" && { Error: { Message: error } }) });
}

async function processes(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { record } = found(deps, request);
  if (record.state.kind === "restarting")
    throw new HullError("conflict", `Container ${record.id} is restarting, wait until the container is running`);
  if (!isActive(record.state)) throw new HullError("conflict", `container ${record.id} is not running`);
  response.json(200, await top(await deps.tasks.pids(record.id), request.query.text("ps_args")));
}

const SAMPLE_MS = 1000;

async function stats(deps: ContainerDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const container = found(deps, request);
  const { query, signal } = request;
  const streams = query.bool("stream", true);
  if (!streams) {
    const first = isActive(container.state)
      ? await sample(deps, container, { before: undefined, signal })
      : emptySample(container);
    if (query.bool("one-shot") || !isActive(container.state)) return response.json(200, first);
    await pause(SAMPLE_MS, signal);
    return response.json(200, await sample(deps, container, { before: first, signal }));
  }
  const stream = response.stream(200, "application/json");
  for (let before: Sample | undefined; deps.registry.byId(container.id) === container; ) {
    before = await currentSample(deps, container, { before, signal });
    await stream.line(before);
    await pause(SAMPLE_MS, signal);
  }
}

/** A container that ends meanwhile shows nothing rather than an error. */
async function currentSample(deps: ContainerDeps, container: Container, options: SampleOptions): Promise<Sample> {
  try {
    return await sample(deps, container, options);
  } catch (error) {
    if (options.signal.aborted || isActive(container.state)) throw error;
    return emptySample(container);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

async function prune(deps: ContainerDeps, { query, signal }: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = parseFilters(query.text("filters"), pruneFilterNames);
  response.json(200, await pruneContainers(deps, filters, { untilMs: untilMs(filters), signal }));
}
