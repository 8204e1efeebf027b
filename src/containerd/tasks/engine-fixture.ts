/** For tests: a hull-containerd of its own in this process, with an image of the machine's busybox. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { digestOf, hexOf } from "../../oci/digest.ts";
import { openLog } from "../../platform/log.ts";
import { keelPath } from "../../platform/paths.ts";
import { type ContainerdClient, connectContainerd, decodeEvent } from "../client.ts";
import { startDaemon } from "../daemon.ts";
import { TaskOptionsSchema } from "../gen/hull/containerd/v1/tasks_pb.ts";
import { rootsOf, type TaskPaths, taskPaths } from "../roots.ts";

export const NS = "moby";
const IMAGE = "docker.io/library/busybox:latest";

export interface Engine extends AsyncDisposable {
  readonly client: ContainerdClient;
  readonly directory: string;
  /** Topics with ids and exit codes, as they come. */
  readonly seen: string[];
  paths(id: string): TaskPaths;
  /** Ends the daemon and starts another on the same roots. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function openEngine(): Promise<Engine> {
  const directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hc-"));
  const roots = rootsOf(join(directory, "data"), join(directory, "exec"));
  const log = openLog({ name: "test", level: "error" });
  const options = {
    dataRoot: roots.dataRoot,
    execRoot: roots.execRoot,
    keel: keelPath(),
    logLevel: "error" as const,
    registries: "",
  };
  const seen: string[] = [];
  let daemon = await startDaemon(options, log);
  let client = connectContainerd({ socketPath: roots.socket, namespace: NS });
  let follower = follow(client, seen);
  await loadBusybox(client, roots.dataRoot);
  const stop = async (): Promise<void> => {
    follower.abort();
    await client[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  };
  const start = async (): Promise<void> => {
    daemon = await startDaemon(options, log);
    client = connectContainerd({ socketPath: roots.socket, namespace: NS });
    follower = follow(client, seen);
  };
  return {
    get client() {
      return client;
    },
    directory,
    seen,
    paths: (id) => taskPaths(roots, NS, id),
    stop,
    start,
    restart: async () => {
      await stop();
      await start();
    },
    async [Symbol.asyncDispose]() {
      await endAll(client);
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function follow(client: ContainerdClient, seen: string[]): AbortController {
  const abort = new AbortController();
  void (async () => {
    try {
      for await (const envelope of client.events.subscribe(
        { filters: ["topic~=|^/tasks/|"] },
        { signal: abort.signal },
      )) {
        const decoded = decodeEvent(envelope);
        const event = decoded?.event as
          | { containerId?: string; id?: string; execId?: string; exitStatus?: number }
          | undefined;
        const who = event?.execId || (event?.id && event.id !== event.containerId ? event.id : "");
        const status = event?.exitStatus === undefined ? "" : `=${event.exitStatus}`;
        seen.push(`${envelope.topic.slice("/tasks/".length)}${who ? ` ${who}` : ""}${status}`);
      }
    } catch {
      // The daemon went: the next one is followed anew.
    }
  })();
  return abort;
}

async function endAll(client: ContainerdClient): Promise<void> {
  const { tasks } = await client.taskExtras.list({});
  for (const { containerId, state } of tasks) {
    if (state !== "stopped") await client.tasks.kill({ containerId, signal: 9, all: true }).catch(() => undefined);
    await client.tasks.wait({ containerId }).catch(() => undefined);
    await client.taskExtras.delete({ containerId }).catch(() => undefined);
  }
}

async function loadBusybox(client: ContainerdClient, dataRoot: string): Promise<void> {
  const directory = join(dataRoot, "spool");
  const root = join(directory, "root");
  for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  const libraries =
    execFileSync("ldd", ["/bin/busybox"])
      .toString()
      .match(/\/[^\s]+/g) ?? [];
  for (const file of ["/bin/busybox", ...libraries]) {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    cpSync(file, join(root, file), { dereference: true });
  }
  for (const name of ["sh", "true", "false", "sleep", "cat", "echo", "id", "readlink"])
    cpSync("/bin/busybox", join(root, "bin", name));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  mkdirSync(join(directory, "layer"));
  execFileSync("tar", ["-C", root, "-cf", join(directory, "layer/layer.tar"), "."]);
  rmSync(root, { recursive: true });
  const diffId = digestOf(readFileSync(join(directory, "layer/layer.tar")));
  const config = JSON.stringify({
    os: "linux",
    architecture: "amd64",
    config: {},
    rootfs: { type: "layers", diff_ids: [diffId] },
  });
  const name = `${hexOf(digestOf(config))}.json`;
  writeFileSync(join(directory, name), config);
  writeFileSync(
    join(directory, "manifest.json"),
    JSON.stringify([{ Config: name, RepoTags: [IMAGE], Layers: ["layer/layer.tar"] }]),
  );
  for await (const _ of client.imageStore.load({ directory }));
  rmSync(directory, { recursive: true });
}

export interface ContainerWish {
  readonly args: readonly string[];
  readonly terminal?: boolean;
  readonly memoryBytes?: number;
}

/** A container record with its snapshot. Answers its id. */
export async function makeContainer(engine: Engine, wish: ContainerWish): Promise<string> {
  const { client } = engine;
  const id = `t${randomBytes(6).toString("hex")}`;
  const { chainId } = await client.imageStore.get({ name: IMAGE });
  const typeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
  const spec = { typeUrl, value: Buffer.from(JSON.stringify(specOf(id, wish))) };
  await client.snapshots.prepare({ snapshotter: "overlay2", key: id, parent: chainId });
  await client.containers.create({
    container: { id, runtime: { name: "io.containerd.runc.v2" }, spec, snapshotter: "overlay2", snapshotKey: id },
  });
  return id;
}

const capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"];

function specOf(id: string, { args, terminal = false, memoryBytes }: ContainerWish): object {
  return {
    ociVersion: "1.2.0",
    process: {
      terminal,
      user: { uid: 0, gid: 0 },
      args,
      env: ["PATH=/bin"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: "rootfs" },
    hostname: "test",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
      },
    ],
    linux: {
      cgroupsPath: `/hull-test/${id}`,
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      ...(memoryBytes !== undefined && { resources: { memory: { limit: memoryBytes } } }),
    },
  };
}

/** As Tasks.Create with our own pipes. */
export function createTask(engine: Engine, id: string, logPath = ""): Promise<unknown> {
  const log = logPath === "" ? {} : { log: { path: logPath, maxBytes: 1_000_000n, maxFiles: 2 } };
  const value = toBinary(TaskOptionsSchema, create(TaskOptionsSchema, log));
  const options = { typeUrl: TaskOptionsSchema.typeName, value };
  return engine.client.tasks.create({ containerId: id, stdout: "pipe:", stderr: "pipe:", options });
}

/** As hulld creates a task while its network is made: goes on once ProvideNetwork was called. */
export function createTaskAhead(engine: Engine, id: string, timeoutMs = 10_000): Promise<unknown> {
  const value = toBinary(TaskOptionsSchema, create(TaskOptionsSchema, { networkPending: true }));
  const options = { typeUrl: TaskOptionsSchema.typeName, value };
  return engine.client.tasks.create({ containerId: id, stdout: "pipe:", options }, { timeoutMs });
}

/** Runs to its end: create, start, wait. Answers the exit code. */
export async function runTask(engine: Engine, id: string, logPath = ""): Promise<number> {
  await createTask(engine, id, logPath);
  await engine.client.tasks.start({ containerId: id });
  return (await engine.client.tasks.wait({ containerId: id })).exitStatus;
}

/** Polls until `holds`; throws after five seconds with what it was. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within five seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
