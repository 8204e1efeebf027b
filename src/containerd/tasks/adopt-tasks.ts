/**
 * At start: finds the tasks that run, connects to their shims, collects the exits of those that ended meanwhile, clears
 * what no container has. Shims that don't answer any more are declared dead by their pids.
 */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { operation } from "../../keel/plan.ts";
import { readExitRecord } from "../../keel/shim-client.ts";
import { dockerExitCode } from "../../keel/shim-records.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { taskPaths } from "../roots.ts";
import { listBundles, readShimFile, readTaskFile, wasReported } from "./bundle.ts";
import { removeCgroups } from "./delete-task.ts";
import { endSupervisors } from "./end-supervisors.ts";
import { foreignDelete, foreignOf } from "./foreign/runtime.ts";
import { unmountOperation } from "./rootfs-mount.ts";
import { ShimLink } from "./shim-link.ts";
import { Task } from "./task.ts";
import type { TaskHost } from "./task-host.ts";

const KILLED = 137;

/** Resolves when every task is in the table with its state. */
export async function adoptTasks(host: TaskHost): Promise<void> {
  const bundles = await listBundles(host.roots.bundles);
  await Promise.all(
    bundles.map(([namespace, id]) =>
      adoptOne(host, namespace, id).catch((error) => host.warn(`adopt ${namespace}/${id}: ${messageOf(error)}`)),
    ),
  );
  await endStraySupervisors(host);
}

async function adoptOne(host: TaskHost, namespace: string, id: string): Promise<void> {
  const paths = taskPaths(host.roots, namespace, id);
  const [file, shim] = await Promise.all([readTaskFile(paths.bundle), readShimFile(paths.bundle)]);
  if (file) host.cgroupParents.note(file.cgroup);
  const known = host.stores.containers.find(namespace, id) !== undefined;
  if (file === undefined || shim === undefined || !known) return clear(host, namespace, id);
  const task = new Task({ namespace, id, paths, file, events: host.events }, shim.initPid);
  task.shimPid = shim.pid;
  task.pausePid = shim.pausePid;
  task.reported = await wasReported(paths.bundle);
  host.tasks.add(task);
  const link = await openLink(host, task);
  if (link === undefined) return buryTask(host, task);
  task.link = link;
  const state = await link.call((client, options) => client.state(options));
  task.shimPid = state.shimPid;
  task.pausePid = state.pausePid;
  for (const process of state.processes) task.restore(process);
  await followFreezer(host, task);
}

/** Undefined when no shim answers. */
async function openLink(host: TaskHost, task: Task): Promise<ShimLink | undefined> {
  try {
    return await ShimLink.open({
      path: task.identity.paths.shimSocket,
      onEvent: (event) => task.onShimEvent(event),
      mayReturn: () => task.hasPause(),
      onReturned: (shimPid) => task.supervisedBy(shimPid),
      onLost: () => void buryTask(host, task).catch((error) => host.warn(messageOf(error))),
    });
  } catch (error) {
    if (["unavailable", "not-found"].includes(codeOf(error))) return undefined;
    throw error;
  }
}

/** Neither shim nor pause are there: the record on disk tells the exit, else what still runs is killed and counted as that. */
export async function buryTask(host: TaskHost, task: Task): Promise<void> {
  if (task.init.state.kind === "stopped") return;
  const { paths, file } = task.identity;
  const record = await readExitRecord(paths.bundle);
  if (record) {
    const exitedAt = Number(record.exitedAtNs / 1000n) / 1000;
    return task.declareDead({ exitStatus: dockerExitCode(record.status), exitedAt, oomKilled: record.oomKilled });
  }
  host.warn(`container ${task.id}: its shim and pause are dead, so what is left of it is killed`);
  await host.plans.killAll(file.cgroup);
  await task.declareDead({ exitStatus: KILLED, exitedAt: Date.now(), oomKilled: false });
}

async function followFreezer(host: TaskHost, task: Task): Promise<void> {
  if (task.init.state.kind === "running" && (await host.plans.isFrozen(task.identity.file.cgroup)))
    task.move("", { kind: "pause" });
}

/** A bundle that belongs to no container, or that was being made when the process died. */
async function clear(host: TaskHost, namespace: string, id: string): Promise<void> {
  const paths = taskPaths(host.roots, namespace, id);
  const file = await readTaskFile(paths.bundle);
  if (file) await host.plans.killAll(file.cgroup);
  const runtime = file && foreignOf(host.roots, { namespace, id, identity: { file } });
  if (runtime) await host.launcher.run([foreignDelete(runtime)]).catch((error) => host.warn(messageOf(error)));
  await endSupervisors(paths).catch((error) => host.warn(messageOf(error)));
  const unmount = file === undefined || file.mountedRoot === "" ? [] : [unmountOperation(file.mountedRoot)];
  await host.launcher.run([...unmount, unmountOperation(join(paths.bundle, "rootfs"))]);
  if (file) await removeCgroups(host, file.cgroup);
  await host.launcher.run([operation("removeTree", { path: paths.bundle }, { cause: "leftover" })]);
}

/** Pauses and shims of containers that are gone. Those of stopped containers are kept for their next start. */
async function endStraySupervisors(host: TaskHost): Promise<void> {
  const { stores, roots, warn } = host;
  const { containers } = stores;
  const wanted = new Set(
    containers
      .namespaces()
      .flatMap((space) => containers.list(space).map(({ id }) => basename(taskPaths(roots, space, id).pauseSocket))),
  );
  const directories = [roots.pauseSockets, roots.shimSockets];
  const names = await Promise.all(directories.map((path) => readdir(path).catch(() => [])));
  const stray = [...new Set(names.flat())].filter((name) => !wanted.has(name));
  const end = async (name: string): Promise<void> => {
    const [pauseSocket, shimSocket] = [join(roots.pauseSockets, name), join(roots.shimSockets, name)];
    await endSupervisors({ pauseSocket, shimSocket });
    for (const path of [pauseSocket, shimSocket]) await rm(path, { force: true }); // Killed ones leave them behind.
  };
  await Promise.all(
    stray.map((name) => end(name).catch((error) => warn(`end a stray supervisor: ${messageOf(error)}`))),
  );
}
