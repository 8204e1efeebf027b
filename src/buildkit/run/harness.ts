/** For tests: a runner on plain directories, without hull-containerd and hull-netd. The root file system is Debian's busybox. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { TestRoot } from "../../keel/container-harness.ts";
import { KeelServe } from "../../keel/serve.ts";
import type { MeasuredStep } from "../../trace/tracer.ts";
import type { RunMount, RunVertex } from "../graph/vertex.ts";
import type { LayerStack, OpenLayer, ReadyMount, RunOutcome, Secrets } from "../solver/ports.ts";
import { CacheMounts } from "./cache-mounts.ts";
import { type NetworkRequest, type Networks, plainNetwork } from "./network.ts";
import { CommandRunner } from "./runner.ts";

export const base = {
  name: "RUN",
  location: undefined,
  ignoreCache: false,
  platform: "linux/amd64",
} as const;

export const noLimits = {
  shmBytes: 0,
  memoryBytes: 0,
  memorySwapBytes: 0,
  cpuShares: 0,
  cpuPeriodUs: 0,
  cpuQuotaUs: 0,
  cpusetCpus: "",
  cpusetMems: "",
  cgroupParent: "",
  ulimits: [],
} as const;

export const scratch = { ...base, kind: "scratch" } as const;

export function runVertex(script: string, more: Partial<RunVertex> = {}): RunVertex {
  return {
    ...base,
    kind: "run",
    base: scratch,
    argv: ["/bin/sh", "-c", script],
    env: ["PATH=/bin"],
    uncachedEnv: [],
    workingDirectory: "/",
    user: "",
    mounts: [],
    network: "none",
    security: "sandbox",
    hostname: "buildkitsandbox",
    extraHosts: [],
    limits: noLimits,
    pipes: [],
    ...more,
  };
}

export const noSecrets: Secrets = { secret: async () => undefined, sshAgent: async () => undefined };

const span = { traceId: "0".repeat(32), spanId: "0".repeat(16) };

const nothing: LayerStack = { chainId: "", layers: [] };

/** Answers "default" with a namespace of its own; what was connected and not given back is in `connected`. */
export class FakeNetworks implements Networks {
  readonly connected = new Set<string>();
  readonly forgotten: string[] = [];

  async connect(id: string, { kind }: NetworkRequest) {
    const network = await plainNetwork(kind === "host" ? "host" : "none", ["192.0.2.1"]);
    this.connected.add(id);
    return { ...network, [Symbol.asyncDispose]: async () => void this.connected.delete(id) };
  }

  async forget(id: string): Promise<void> {
    this.forgotten.push(id);
  }
}

export interface Ran extends RunOutcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly layer: TestLayer;
}

export interface TestLayer extends OpenLayer {
  /** Of the layer's files. */
  readonly directory: string;
}

export interface HowToRun {
  readonly layer?: TestLayer;
  readonly mounts?: readonly ReadyMount[];
  readonly secrets?: Secrets;
  readonly signal?: AbortSignal;
  readonly onOutput?: (stream: 1 | 2, data: Uint8Array) => void | Promise<void>;
}

export interface TestBuilderOptions {
  /** A new temporary one by default, whose name the cgroups' parent has. */
  readonly directory?: string;
  readonly cgroupParent?: string;
  readonly networks?: Networks;
}

export class TestBuilder implements AsyncDisposable {
  readonly directory: string;
  readonly root = new TestRoot();
  readonly networks = new FakeNetworks();
  readonly warnings: string[] = [];
  /** What keel has measured. */
  readonly steps: MeasuredStep[] = [];
  readonly cgroupParent: string;
  readonly caches: CacheMounts;
  readonly runner: CommandRunner;
  #layers = 0;

  private constructor(
    readonly keel: KeelServe,
    { directory, cgroupParent, networks }: TestBuilderOptions,
  ) {
    this.directory = directory ?? mkdtempSync(join(tmpdir(), "hull-run-"));
    this.cgroupParent = cgroupParent ?? `/${basename(this.directory)}`;
    this.caches = new CacheMounts(join(this.directory, "data/buildkit/cache-mounts"), keel);
    this.runner = this.newRunner(networks);
  }

  static async open(options: TestBuilderOptions = {}): Promise<TestBuilder> {
    return new TestBuilder(await KeelServe.open(), options);
  }

  /** As the builder's next process has it. */
  newRunner(networks: Networks = this.networks, directory = this.directory): CommandRunner {
    const { keel, caches, cgroupParent } = this;
    const roots = { dataRoot: join(directory, "data"), execRoot: join(directory, "exec") };
    return new CommandRunner({
      ...{ ...roots, keel, caches, networks, cgroupParent },
      warn: (message) => this.warnings.push(message),
      tracer: { steps: (_, measured) => void this.steps.push(...measured()) },
    });
  }

  /** On the busybox root, or on the directories given, top first. */
  layer(lowers: readonly string[] = [this.root.path]): TestLayer {
    const directory = join(this.directory, `layer${this.#layers++}`);
    const [upper, work] = [join(directory, "upper"), join(directory, "work")];
    for (const path of [upper, work]) mkdirSync(path, { recursive: true });
    return {
      ...{ key: directory, base: nothing, directory, upper, work, lowers },
      commit: async () => nothing,
      [Symbol.asyncDispose]: async () => {},
    };
  }

  /** A layer whose own files are these, on nothing. */
  layerOfRoot(): TestLayer {
    const layer = this.layer([]);
    cpSync(this.root.path, layer.upper, { recursive: true, verbatimSymlinks: true });
    return layer;
  }

  async run(script: string | RunVertex, how: HowToRun = {}): Promise<Ran> {
    const vertex = typeof script === "string" ? runVertex(script) : script;
    const { layer = this.layer(), mounts = [], secrets = noSecrets, signal = new AbortController().signal } = how;
    const texts = { 1: "", 2: "" };
    const collect = (stream: 1 | 2, data: Uint8Array): void => {
      texts[stream] += Buffer.from(data).toString("latin1");
    };
    const onOutput = how.onOutput ?? collect;
    const outcome = await this.runner.run(layer, vertex, { mounts, secrets, signal, onOutput, span });
    return { ...outcome, stdout: texts[1], stderr: texts[2], layer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner.settled();
    await this.keel[Symbol.asyncDispose]();
    this.root[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export const ready = (mount: RunMount, directories: readonly string[] = []): ReadyMount => ({ mount, directories });

/** Runs a command and tells when it has begun; for a process that is killed then. */
export async function doomed(options: TestBuilderOptions, script: string): Promise<void> {
  const builder = await TestBuilder.open(options);
  const onOutput = (): void => void process.stdout.write("begun\n");
  await builder.run(script, { onOutput });
}
