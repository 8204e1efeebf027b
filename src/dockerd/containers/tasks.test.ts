import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerdClient } from "../../containerd/client.ts";
import { Kind } from "../../containerd/gen/containerd/services/snapshots/v1/snapshots_pb.ts";
import { codeOf, type ErrorCode, HullError } from "../../platform/errors.ts";
import { type TaskStart, Tasks } from "./tasks.ts";

/** hull-containerd as far as containers and snapshots go; a call fails before or after it has done its work. */
type Labels = Readonly<Record<string, string>>;

class FakeContainerd {
  /** Their labels. */
  readonly containers = new Map<string, Labels>();
  readonly snapshots = new Map<string, Labels>();
  readonly tasks = new Set<string>();
  readonly calls: string[] = [];
  failing: { readonly call: string; readonly done: boolean; readonly code: ErrorCode } | undefined;

  async #call(name: string, work: () => void): Promise<object> {
    this.calls.push(name);
    const fails = this.failing?.call === name ? this.failing : undefined;
    if (fails) this.failing = undefined;
    if (!fails || fails.done) work();
    if (fails) throw new HullError(fails.code, `${name} is cut off`);
    return { driver: "overlay2", data: {} };
  }

  #drop(from: { delete(id: string): boolean }, id: string): void {
    if (!from.delete(id)) throw new HullError("not-found", `${id}: not found`);
  }

  get client(): ContainerdClient {
    const { containers, snapshots, tasks } = this;
    const services = {
      containers: {
        create: ({ container }: { container: { id: string; labels: Labels } }) =>
          this.#call("containers.create", () => containers.set(container.id, container.labels)),
        delete: ({ id }: { id: string }) =>
          this.#call("containers.delete", () => {
            if (tasks.has(id)) throw new HullError("failed-precondition", `${id} has a task`);
            this.#drop(containers, id);
          }),
        list: async () => ({ containers: [...containers].map(([id, labels]) => ({ id, labels })) }),
      },
      snapshots: {
        remove: ({ key }: { key: string }) => this.#call("snapshots.remove", () => this.#drop(snapshots, key)),
        list: async function* () {
          yield { info: [...snapshots].map(([name, labels]) => ({ name, kind: Kind.ACTIVE, labels })) };
          yield { info: [{ name: "sha256:layer", kind: Kind.COMMITTED, labels: {} }] };
        },
      },
      rootfs: {
        make: ({ key, labels }: { key: string; labels: Labels }) =>
          this.#call("rootfs.make", () => snapshots.set(key, labels)),
      },
      tasks: {
        create: ({ containerId }: { containerId: string }) =>
          this.#call("tasks.create", () => {
            if (tasks.has(containerId)) throw new HullError("already-exists", `task ${containerId}: already exists`);
            tasks.add(containerId);
          }),
      },
      taskExtras: {
        delete: ({ containerId }: { containerId: string }) =>
          this.#call("taskExtras.delete", () => this.#drop(tasks, containerId)),
      },
    };
    return services as unknown as ContainerdClient;
  }
}

const wanted = {
  container: "one",
  imageName: "busybox",
  snapshotter: "overlay2",
  parent: "sha256:layer",
  spec: Buffer.from("{}"),
  directory: "/data/containers/one",
};

const cut = ["containers.create", "rootfs.make"] as const;
for (const call of cut)
  for (const done of [false, true])
    test(`a creation that is refused ${done ? "after" : "before"} ${call} leaves neither record nor snapshot`, async () => {
      const containerd = new FakeContainerd();
      containerd.failing = { call, done, code: "invalid-argument" };
      await assert.rejects(
        new Tasks(containerd.client).createContainer(wanted),
        (error) => codeOf(error) === "invalid-argument",
      );
      assert.deepEqual([containerd.containers.size, containerd.snapshots.size], [0, 0]);
    });

test("what a killed engine made is known again by its label: record, snapshot or both, and no layer", async () => {
  const containerd = new FakeContainerd();
  const tasks = new Tasks(containerd.client);
  for (const container of ["both", "record", "snapshot"]) await tasks.createContainer({ ...wanted, container });
  containerd.snapshots.delete("record");
  containerd.containers.delete("snapshot");
  const directory = wanted.directory;
  assert.deepEqual(
    [...(await tasks.owned("overlay2"))].sort(),
    ["both", "record", "snapshot"].map((id) => [id, directory]),
  );
  assert.deepEqual(containerd.containers.get("both"), { "com.docker/engine.bundle.path": directory });
  assert.deepEqual(containerd.snapshots.get("both"), containerd.containers.get("both"));
});

test("a container that has a task keeps its snapshot when its removal is refused", async () => {
  const containerd = new FakeContainerd();
  const tasks = new Tasks(containerd.client);
  await tasks.createContainer(wanted);
  containerd.tasks.add("one");
  await assert.rejects(tasks.removeContainer("one", "overlay2"), (error) => codeOf(error) === "failed-precondition");
  assert.deepEqual([...containerd.snapshots.keys()], ["one"]);
  containerd.tasks.clear();
  await tasks.removeContainer("one", "overlay2");
  await tasks.removeContainer("one", "overlay2");
  assert.deepEqual([containerd.containers.size, containerd.snapshots.size], [0, 0]);
});

test("a removal that is cut off in the middle is gone through again", async () => {
  const containerd = new FakeContainerd();
  const tasks = new Tasks(containerd.client);
  await tasks.createContainer(wanted);
  containerd.failing = { call: "snapshots.remove", done: false, code: "unavailable" };
  await tasks.removeContainer("one", "overlay2");
  assert.deepEqual([containerd.containers.size, containerd.snapshots.size], [0, 0]);
});

test("an ended task that hull-containerd found again makes room for the next one", async () => {
  const containerd = new FakeContainerd();
  containerd.tasks.add("one");
  const start = {
    terminal: false,
    stdin: false,
    stdinOnce: false,
    rows: 0,
    columns: 0,
    log: undefined,
    spillDirectory: "",
    sockets: [],
  };
  await new Tasks(containerd.client).create("one", start as TaskStart);
  assert.deepEqual(containerd.calls, ["tasks.create", "taskExtras.delete", "tasks.create"]);
});
