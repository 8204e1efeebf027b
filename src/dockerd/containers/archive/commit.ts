/** POST /commit: a container's changes become a layer of a new image. */
import { call } from "../../../containerd/client.ts";
import { formatReference, parseReference, withDefaultTag } from "../../../oci/reference.ts";
import { HullError } from "../../../platform/errors.ts";
import type { EngineParts } from "../../engine.ts";
import type { ApiRequest } from "../../http/request.ts";
import type { ApiResponse } from "../../http/response.ts";
import { struct } from "../../http/shape.ts";
import { timeNow } from "../../time.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { pauseContainer, unpauseContainer } from "../lifecycle/change.ts";
import { configFields } from "../shapes.ts";
import { applyChanges } from "./dockerfile-changes.ts";

const configShape = struct("Config", configFields);

export interface CommitPorts {
  readonly deps: ContainerDeps;
  readonly parts: EngineParts;
}

export async function commit({ deps, parts }: CommitPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query, signal, span } = request;
  const container = deps.registry.get(query.text("container"));
  const name = nameOf(query.text("repo"), query.text("tag"));
  const given = request.body.isEmpty ? undefined : await request.json(configShape);
  const { record } = container;
  if (record.state.kind === "removing" || record.state.kind === "dead")
    throw new HullError("conflict", `You cannot commit container ${record.id} which is Dead or being removed`);
  const base = given ? withoutZeros(given) : {};
  const config = applyChanges({ ...imageConfigOf(container), ...base }, query.list("changes"));
  await using _paused = await pausedWhile(deps, container, query.bool("pause", true));
  const parent = deps.images.find(record.imageId);
  const document = {
    ...parent?.config.document,
    created: timeNow(),
    author: query.text("author"),
    comment: undefined,
    container: record.id,
    docker_version: "28.2.2",
    config,
    history: [
      ...historyOf(parent?.config.document),
      {
        created: timeNow(),
        created_by: record.args.length > 0 ? `${record.path} ${record.args.join(" ")}` : record.path,
        ...(query.text("author") !== "" && { author: query.text("author") }),
        ...(query.text("comment") !== "" && { comment: query.text("comment") }),
      },
    ],
  };
  const made = await parts.containerd.imageStore.addLayer(
    {
      source: { case: "snapshot", value: record.id },
      parent: record.imageId,
      config: Buffer.from(JSON.stringify(document)),
      name: name ?? "",
      snapshotter: record.driver,
      keepReplaced: true,
    },
    call({ parent: span.context, signal }),
  );
  const image = await deps.images.refresh(made.name);
  deps.events.container(record, "commit", { comment: query.text("comment"), imageID: image.id, imageRef: name ?? "" });
  response.json(201, { Id: image.id });
}

/** undefined: none is given. Throws invalid-argument. */
function nameOf(repository: string, tag: string): string | undefined {
  if (repository === "") return undefined;
  return formatReference(withDefaultTag(parseReference(tag === "" ? repository : `${repository}:${tag}`)));
}

const historyOf = (document: Readonly<Record<string, unknown>> | undefined): readonly unknown[] =>
  Array.isArray(document?.history) ? document.history : [];

/** What an image keeps of a container's configuration. */
function imageConfigOf({ record: { config } }: Container): Record<string, unknown> {
  const {
    User,
    ExposedPorts,
    Env,
    Entrypoint,
    Cmd,
    Volumes,
    WorkingDir,
    Labels,
    StopSignal,
    Healthcheck,
    Shell,
    OnBuild,
  } = config;
  return {
    User,
    ...(ExposedPorts && { ExposedPorts }),
    Env,
    Entrypoint,
    Cmd,
    Volumes,
    WorkingDir,
    Labels,
    OnBuild,
    ...(StopSignal && { StopSignal }),
    ...(Healthcheck && { Healthcheck }),
    ...(Shell && { Shell }),
  };
}

const withoutZeros = (config: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config).filter(([, value]) => {
      if (value === undefined || value === null || value === "" || value === false) return false;
      return typeof value !== "object" || Object.keys(value).length > 0;
    }),
  );

/** A running container stands still while its files are read. */
async function pausedWhile(deps: ContainerDeps, container: Container, wanted: boolean): Promise<AsyncDisposable> {
  if (!wanted || container.state.kind !== "running") return { [Symbol.asyncDispose]: async () => undefined };
  await pauseContainer(deps, container, { briefly: true });
  return {
    [Symbol.asyncDispose]: async () => {
      // It may have been ended, or let go on, by somebody else meanwhile.
      if (container.state.kind === "paused" && container.state.briefly) await unpauseContainer(deps, container);
    },
  };
}
