/** POST /containers/create: decides everything, makes it, or undoes it all. */
import { randomBytes } from "node:crypto";
import { digestOf } from "../../../oci/digest.ts";
import { codeOf, HullError, messageOf } from "../../../platform/errors.ts";
import type { SpanContext } from "../../../trace/context.ts";
import type { ResolvedImage } from "../../images/api.ts";
import { timeNow } from "../../time.ts";
import type { EndpointSettings } from "../config.ts";
import { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { writeInitialFiles } from "../files.ts";
import { resolveInRoot } from "../in-root.ts";
import { parseLink } from "../links.ts";
import { logFileOf, verifyLogConfig } from "../log-config.ts";
import { type ContainerRecord, DRIVER, noSandbox } from "../record.ts";
import { buildSpec } from "../spec/spec.ts";
import { newState } from "../state.ts";
import { readMachine } from "./machine.ts";
import { type MadeMounts, makeMounts, planMounts } from "./mounts.ts";
import { parseName, randomName } from "./names.ts";
import { invalid } from "./refusal.ts";
import { runtimeProgram, verifyRuntime } from "./runtime.ts";
import { type CreateBody, configOf, endpointOf, hostConfigOf, imageDefaults } from "./settings.ts";
import { verify } from "./verify.ts";
import { containerOf } from "./verify-modes.ts";

export interface CreateRequest {
  readonly body: CreateBody;
  readonly name: string;
  readonly platform: string;
  readonly parent: SpanContext;
}

export interface Created {
  readonly id: string;
  readonly warnings: readonly string[];
}

export async function createContainer(deps: ContainerDeps, request: CreateRequest): Promise<Created> {
  const { body } = request;
  if (body.Image === "" && isEmpty(body)) throw invalid("config cannot be empty in order to create a container");
  const id = randomBytes(32).toString("hex");
  const named = request.name === "" ? undefined : parseName(request.name);
  const image = await deps.images.resolve(body.Image, request.platform === "" ? undefined : request.platform);
  const wanted = draftOf(deps, { request, image, id });
  const { kept, warnings } = verify(wanted, readMachine());
  const draft = { ...wanted, hostConfig: kept };
  verifyLogConfig(draft.hostConfig.LogConfig);
  verifyRuntime(deps.config, draft.hostConfig.Runtime);
  for (const link of draft.hostConfig.Links ?? []) verifyLink(deps, parseLink(link).reference);
  const plan = planMounts({ ...draft, lookUp: (reference) => namedContainer(deps, reference) });
  const name = named ?? randomName((taken) => deps.registry.isTaken(taken));
  await using undo = new AsyncDisposableStack();
  undo.use(deps.registry.reserve(name, id));
  const made = await makeMounts(plan, { volumes: deps.volumes, id, undo });
  const record: ContainerRecord = { ...draft, config: withSharedName(deps, draft), name, mounts: made.mounts };
  const container = await make(deps, { record, image, made, undo, parent: request.parent }).catch(ownFault);
  undo.move();
  deps.registry.add(container);
  deps.events.container(container.record, "create");
  return { id, warnings };
}

/** What is missing while it is being made, the engine has lost: a 404 would tell the client that the image is to be pulled. */
function ownFault(error: unknown): never {
  if (codeOf(error) !== "not-found") throw error;
  throw new HullError("internal", `create container: ${messageOf(error)}`, { cause: error });
}

/** In another container's network it has that one's host name too. */
function withSharedName(deps: ContainerDeps, { config, hostConfig }: ContainerRecord): ContainerRecord["config"] {
  const joined = containerOf(hostConfig.NetworkMode);
  if (joined === undefined) return config;
  const { Hostname, Domainname } = namedContainer(deps, joined).config;
  return { ...config, Hostname, Domainname };
}

/** A container that the request names. Not found is the request's fault here: a 404 would tell the client that the image is missing. */
function namedContainer(deps: ContainerDeps, reference: string): ContainerRecord {
  const container = deps.registry.find(reference);
  if (!container) throw invalid(`No such container: ${reference}`);
  return container.record;
}

function verifyLink(deps: ContainerDeps, reference: string): void {
  if (!deps.registry.find(reference))
    throw invalid(`could not get container for ${reference}: No such container: ${reference}`);
}

const isEmpty = (body: CreateBody): boolean =>
  body.Cmd === undefined && body.Entrypoint === undefined && body.HostConfig === undefined;

interface DraftParts {
  readonly request: CreateRequest;
  readonly image: ResolvedImage;
  readonly id: string;
}

function draftOf(deps: ContainerDeps, { request, image, id }: DraftParts): ContainerRecord {
  const { body } = request;
  const defaults = imageDefaults(image.config.document);
  const config = configOf(body, defaults, id);
  const hostConfig = joinedIds(deps, hostConfigOf(body.HostConfig, deps.defaults));
  const [path = "", ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  return {
    id,
    name: "",
    created: timeNow(),
    path,
    args,
    config,
    hostConfig,
    imageId: image.id,
    platform: "linux",
    driver: DRIVER,
    graph: {},
    state: newState,
    restartCount: 0,
    manuallyStopped: false,
    startedBefore: false,
    mounts: [],
    endpoints: endpointsOf(deps, body, hostConfig.NetworkMode),
    sandbox: noSandbox,
    directory: deps.store.directoryOf(id),
  };
}

/** "container:name" becomes "container:<id>": a rename of the other changes nothing. */
function joinedIds(deps: ContainerDeps, host: ContainerRecord["hostConfig"]): ContainerRecord["hostConfig"] {
  const joined = (mode: string): string => {
    const reference = containerOf(mode);
    return reference === undefined || reference === "" ? mode : `container:${namedContainer(deps, reference).id}`;
  };
  return {
    ...host,
    NetworkMode: joined(host.NetworkMode),
    PidMode: joined(host.PidMode),
    IpcMode: joined(host.IpcMode),
  };
}

/** One attachment per named network; the mode's own network always is among them. Names, never ids, are the keys. */
function endpointsOf(deps: ContainerDeps, body: CreateBody, mode: string): Record<string, EndpointSettings> {
  if (containerOf(mode) !== undefined || body.NetworkDisabled) return {};
  const given = body.NetworkingConfig?.EndpointsConfig ?? {};
  const endpoints: Record<string, EndpointSettings> = {};
  const primary = networkName(deps, mode);
  endpoints[primary] = endpointOf(given[mode] ?? given[primary] ?? (mode === "bridge" ? given.default : undefined));
  for (const [name, settings] of Object.entries(given)) {
    const known = name === "default" && mode === "bridge" ? primary : networkName(deps, name);
    endpoints[known] ??= endpointOf(settings);
  }
  if (body.MacAddress !== "" && endpoints[primary]!.MacAddress === "")
    endpoints[primary] = { ...endpoints[primary]!, MacAddress: body.MacAddress };
  verifyEndpoints(endpoints, primary);
  const known = Object.entries(endpoints).map(([name, one]) => [
    name,
    { ...one, NetworkID: deps.networks.get(name).id },
  ]);
  return Object.fromEntries(known);
}

/** By name or id. Throws invalid-argument (see `namedContainer`). */
function networkName(deps: ContainerDeps, reference: string): string {
  const network = deps.networks.find(reference);
  if (!network) throw invalid(`network ${reference} not found`);
  return network.name;
}

function verifyEndpoints(endpoints: Readonly<Record<string, EndpointSettings>>, primary: string): void {
  for (const [name, { IPAMConfig: ipam, Aliases: aliases }] of Object.entries(endpoints)) {
    const isUserDefined = !["bridge", "host", "none"].includes(name);
    if (!isUserDefined && (ipam?.IPv4Address || ipam?.IPv6Address))
      throw invalid("user specified IP address is supported on user defined networks only");
    if (!isUserDefined && (aliases?.length ?? 0) > 0)
      throw invalid("network-scoped aliases are only supported for user-defined networks");
  }
  if (["host", "none"].includes(primary) && Object.keys(endpoints).length > 1)
    throw invalid(
      primary === "host"
        ? "cannot attach both user-defined and non-user-defined network-modes"
        : "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
}

interface Making {
  readonly record: ContainerRecord;
  readonly image: ResolvedImage;
  readonly made: MadeMounts;
  readonly undo: AsyncDisposableStack;
  readonly parent: SpanContext;
}

async function make(deps: ContainerDeps, { record, image, made, undo, parent }: Making): Promise<Container> {
  const { id } = record;
  const spec = JSON.stringify(buildSpec(deps, record));
  undo.defer(() => deps.sandboxes.forget(record));
  const reserved = needsReservation(record) ? deps.sandboxes.reserve(record) : Promise.resolve();
  const store = deps.tasks.createContainer(
    {
      container: id,
      imageName: image.recordName,
      snapshotter: record.driver,
      parent: image.chainId,
      spec: Buffer.from(spec),
      directory: record.directory,
      runtime: runtimeProgram(deps.config, record.hostConfig.Runtime),
    },
    parent,
  );
  undo.defer(() => deps.tasks.removeContainer(id, record.driver));
  undo.defer(() => deps.store.remove(record));
  // All have ended before a failure is undone.
  const files = deps.store.begin(record).then(() => writeInitialFiles(record, logFileOf(record)));
  const [{ driver, graph }] = await allOf(store, reserved, files);
  const complete: ContainerRecord = { ...record, driver: driver === "overlayfs" ? DRIVER : driver, graph };
  if (made.copies.length > 0) await fillVolumes(deps, complete, made);
  // Last: whoever finds the record finds everything.
  await deps.store.create(complete);
  const container = new Container(complete, deps.store);
  container.lastSpecDigest = digestOf(spec);
  return container;
}

async function allOf<T>(first: Promise<T>, ...others: Promise<unknown>[]): Promise<[T]> {
  await Promise.allSettled([first, ...others]);
  await Promise.all(others);
  return [await first];
}

const needsReservation = (record: ContainerRecord): boolean =>
  Object.values(record.endpoints).some(
    ({ IPAMConfig: ipam, MacAddress }) => ipam?.IPv4Address || ipam?.IPv6Address || MacAddress !== "",
  ) || Object.keys(record.endpoints).some((name) => !["bridge", "host", "none"].includes(name));

/** What the image has where a new volume is mounted goes into the volume. */
async function fillVolumes(deps: ContainerDeps, record: ContainerRecord, made: MadeMounts): Promise<void> {
  await using rootfs = await deps.tasks.mounted(record.id, record.driver, "create");
  for (const { volume, path } of made.copies) {
    const directory = await resolveInRoot(rootfs.path, path);
    if (directory !== undefined) await deps.volumes.copyUp(volume, directory);
  }
}
