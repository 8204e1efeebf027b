/** A task of hull-containerd from the first byte of Tasks.Create to the last of Tasks.Delete, over gRPC. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ContainerdClient, call, connectContainerd } from "../../src/containerd/client.ts";
import { median, RUNS, settle } from "../measure.ts";
import { ms, type Row } from "../row.ts";

const NAMESPACE = "bench";
const SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const TARGET_MS = 12;
/** Calls that can be given up go over gRPC, others over ttrpc. */
const overGrpc = call({ signal: new AbortController().signal });

/** `bundle`: of `runc spec`, with `true` as its process, and a root file system that becomes the overlay's lower directory. */
export async function containerdRow(execRoot: string, bundle: string): Promise<Row> {
  const client = connectContainerd({ socketPath: join(execRoot, "containerd/containerd.sock"), namespace: NAMESPACE });
  const spec = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as { linux: object };
  const figures: number[] = [];
  try {
    for (let i = 0; i <= RUNS; i++) {
      await settle();
      figures.push(await oneTask(client, { id: `task-${i}`, bundle, spec }));
    }
  } finally {
    await client[Symbol.asyncDispose]();
  }
  const figure = median(figures.slice(1));
  return {
    what: "create to delete of `true` in hull-containerd, first byte to last byte over gRPC",
    figure: ms(figure),
    peer: "",
    target: `under ${TARGET_MS} ms`,
    met: figure < TARGET_MS,
    must: false,
  };
}

interface OneTask {
  readonly id: string;
  readonly bundle: string;
  readonly spec: { readonly linux: object };
}

async function oneTask(client: ContainerdClient, { id, bundle, spec }: OneTask): Promise<number> {
  const document = { ...spec, linux: { ...spec.linux, cgroupsPath: `/hull/${NAMESPACE}-${id}` } };
  const value = Buffer.from(JSON.stringify(document));
  const runtime = { name: "io.containerd.runc.v2" };
  await client.containers.create({ container: { id, runtime, spec: { typeUrl: SPEC_TYPE, value } } }, overGrpc);
  const [upper, work] = ["upper", "work"].map((name) => join(bundle, `${id}-${name}`)) as [string, string];
  for (const path of [upper, work]) mkdirSync(path);
  const options = [`lowerdir=${join(bundle, "rootfs")}`, `upperdir=${upper}`, `workdir=${work}`];
  const started = performance.now();
  await client.tasks.create({ containerId: id, rootfs: [{ type: "overlay", source: "overlay", options }] }, overGrpc);
  const ended = client.tasks.wait({ containerId: id }, overGrpc);
  await client.tasks.start({ containerId: id }, overGrpc);
  const { exitStatus } = await ended;
  await client.tasks.delete({ containerId: id }, overGrpc);
  const took = performance.now() - started;
  if (exitStatus !== 0) throw new Error(`true ended with ${exitStatus}`);
  await client.containers.delete({ id }, overGrpc);
  return took;
}
