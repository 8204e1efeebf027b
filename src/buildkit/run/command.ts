/** One command from what it needs to its exit code. Everything it holds is given back before this returns, or `later`. */
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import { StandAlone } from "../../keel/stand-alone.ts";
import { killAll } from "../../runc/cgroup/control.ts";
import { type CgroupPlace, cgroupPlace, isV2Only } from "../../runc/cgroup/place.ts";
import { type CompiledContainer, compileContainer } from "../../runc/compile/container.ts";
import type { HostFacts } from "../../runc/host-facts.ts";
import type { MeasuredStep } from "../../trace/tracer.ts";
import type { RunVertex } from "../graph/vertex.ts";
import type { OpenLayer, Runner, RunOutcome } from "../solver/ports.ts";
import { oomKills } from "./command-cgroup.ts";
import { hostsText, writeEngineFiles } from "./engine-files.ts";
import { startFailure, stillborn } from "./failure.ts";
import { mergedView } from "./merged-view.ts";
import { mountAll } from "./mount-plan.ts";
import { type PreparedMounts, prepareMounts, shortNames } from "./mount-sources.ts";
import type { CommandNetwork } from "./network.ts";
import { type CommandOutput, openOutput } from "./output.ts";
import type { RunDirectory } from "./run-directory.ts";
import type { RunnerOptions } from "./runner.ts";
import { runSpec } from "./spec.ts";

export interface Command {
  readonly layer: OpenLayer;
  readonly vertex: RunVertex;
  readonly options: Parameters<Runner["run"]>[2];
  readonly id: string;
  readonly hostname: string;
  readonly cgroupsPath: string;
  readonly directory: RunDirectory;
  readonly facts: HostFacts;
  /** Everything is mounted and nothing has run. */
  readonly onReady: () => void;
  /** It runs: what its making took. */
  readonly onMeasured: (steps: () => readonly MeasuredStep[]) => void;
  /** Work that the outcome does not wait for. */
  readonly later: (work: () => Promise<void>) => void;
}

export async function runCommand(world: RunnerOptions, command: Command): Promise<RunOutcome> {
  const { signal } = command.options;
  using output = await openOutput(world.keel, command.directory.path);
  const [stdout, stderr] = output.writers;
  // keel gets ready while the plan is being made.
  using keel = new StandAlone({
    mode: { kind: "tied" },
    stdio: ["ignore", stdout, stderr],
    ...(world.keelPath !== undefined && { path: world.keelPath }),
  });
  const letGo = (): void => keel[Symbol.dispose]();
  const end = async (): Promise<void> => {
    letGo();
    await keel.exit;
  };
  signal.addEventListener("abort", letGo, { once: true });
  output.release();
  try {
    await using needs = await gather(world, command);
    // Before what it needs is given back.
    await using _ended = { [Symbol.asyncDispose]: end };
    const plan = compile(command, needs);
    const ran = await execute(command, { keel, output, plan });
    signal.throwIfAborted();
    const outOfMemory = ran.exitCode !== 0 && (await oomKills(plan.place)) > 0;
    return { ...ran, outOfMemory };
  } finally {
    signal.removeEventListener("abort", letGo);
    await end();
  }
}

interface Needs extends AsyncDisposable {
  readonly network: CommandNetwork;
  readonly mounts: PreparedMounts;
}

/** The network is given back later: taking a pair of interfaces down takes the kernel longer than most commands. */
async function gather(world: RunnerOptions, command: Command): Promise<Needs> {
  const { vertex, options, id, hostname, directory, facts, later } = command;
  const needsGateway = vertex.extraHosts.some((entry) => entry.endsWith("host-gateway"));
  const [network, mounts] = await Promise.allSettled([
    world.networks.connect(id, { kind: vertex.network, hostname, needsGateway }, options.signal),
    prepareMounts({
      vertex,
      mounts: options.mounts,
      secrets: options.secrets,
      caches: world.caches,
      directory: directory.path,
      scratch: directory.scratch,
      needsShortNames: needsShortNames(facts),
      signal: options.signal,
    }),
  ]);
  await using undo = new AsyncDisposableStack();
  if (mounts.status === "fulfilled") undo.use(mounts.value);
  if (network.status === "fulfilled") undo.defer(async () => later(async () => network.value[Symbol.asyncDispose]()));
  if (mounts.status === "rejected") throw mounts.reason;
  if (network.status === "rejected") throw network.reason;
  const { addresses, hostGateway, resolvConf } = network.value;
  const hosts = hostsText({ hostname, addresses, hostGateway, extraHosts: vertex.extraHosts });
  writeEngineFiles(directory.path, { hosts, hostname, resolvConf });
  const held = undo.move();
  return { network: network.value, mounts: mounts.value, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** lowerdir+ came with kernel 6.8. */
const needsShortNames = ({ kernel: [major, minor] }: HostFacts): boolean => major < 6 || (major === 6 && minor < 8);

const waitStart = [operation("waitStart", {}, { cause: "start" })];

function compile(command: Command, { network, mounts }: Needs): CompiledContainer {
  const { vertex, id, hostname, cgroupsPath, directory, facts } = command;
  const place: CgroupPlace = cgroupPlace(facts.cgroups, cgroupsPath, id);
  const root = rootOf(command);
  const spec = runSpec({
    vertex,
    hostname,
    env: mounts.env,
    rootPath: root.path,
    cgroupsPath,
    filesDirectory: directory.path,
    network: network.namespace,
    ownCgroupNamespace: isV2Only(place),
    arch: facts.arch,
  });
  return compileContainer({
    facts,
    spec,
    id,
    bundle: dirname(directory.path),
    inherited: new Set(),
    wait: waitStart,
    ground: [...root.operations, ...mounts.ground],
    inside: mountAll(mounts.mounts),
  });
}

/** A layer on nothing is its own root. */
function rootOf({ layer, directory, facts }: Command): {
  readonly path: string;
  readonly operations: readonly Operation[];
} {
  const { lowers, upper, work } = layer;
  if (lowers.length === 0) return { path: upper, operations: [] };
  return mergedView({
    at: `${directory.path}/root`,
    directories: lowers,
    writable: { upper, work },
    cause: "the layer",
    ...(needsShortNames(facts) && { links: shortNames(`${directory.path}/links`, lowers) }),
  });
}

interface Execution {
  readonly keel: StandAlone;
  readonly output: CommandOutput;
  readonly plan: CompiledContainer;
}

type Ran = Omit<RunOutcome, "outOfMemory">;

async function execute(
  { vertex, options, onReady, onMeasured }: Command,
  { keel, output, plan }: Execution,
): Promise<Ran> {
  const { signal, onOutput } = options;
  try {
    signal.throwIfAborted();
    await keel.execute([...plan.host, ...plan.stage]);
    onReady();
    await keel.start();
    onMeasured(() => keel.steps);
  } catch (error) {
    signal.throwIfAborted();
    const end = stillborn(error, vertex.argv[0]!);
    if (end === undefined) throw startFailure(error);
    await onOutput(2, Buffer.from(end.message));
    return { exitCode: end.exitCode, notStarted: end.reason };
  }
  // Whoever killed its supervisor has not killed the command, whose end is what is waited for.
  const orphan = keel.exit.then((code) => (code === KILLED ? killAll(plan.place) : undefined));
  await output.drain(onOutput, signal);
  await orphan;
  return { exitCode: await keel.exit };
}

const KILLED = 137;
