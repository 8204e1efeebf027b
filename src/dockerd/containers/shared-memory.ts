/**
 * /dev/shm of a container whose ipc namespace others may join: a tmpfs on the host's side that all of them bind. Lifecycle: mounted before
 * the start (there already is fine), unmounted after the final stop and at removal.
 */
import { type Operation, operation } from "../../keel/plan.ts";
import type { Kernel } from "../kernel.ts";
import type { ContainerRecord } from "./record.ts";

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;

export const sharedMemoryPath = (record: ContainerRecord): string => `${record.directory}/mounts/shm`;

const isShared = ({ hostConfig }: ContainerRecord): boolean => hostConfig.IpcMode === "shareable";

export async function mountSharedMemory(kernel: Kernel, record: ContainerRecord): Promise<void> {
  if (!isShared(record)) return;
  const target = sharedMemoryPath(record);
  const data = `mode=1777,size=${record.hostConfig.ShmSize}`;
  const cause = "shared memory";
  await kernel.run("mount shared memory", [
    operation("mkdirAll", { path: target, mode: 0o700 }, { cause }),
    ...unmounting(target), // Of a run that ended unseen.
    operation(
      "mount",
      { flags: MS_NOSUID | MS_NODEV | MS_NOEXEC, source: "shm", target, type: "tmpfs", data },
      { cause },
    ),
  ]);
}

export async function unmountSharedMemory(kernel: Kernel, record: ContainerRecord): Promise<void> {
  if (isShared(record)) await kernel.run("unmount shared memory", unmounting(sharedMemoryPath(record)));
}

/** What is no mount point, or not there, is fine. */
const unmounting = (target: string): Operation[] => [
  operation("umount", { flags: MNT_DETACH, target }, { cause: "shared memory", tolerate: ["EINVAL", "ENOENT"] }),
];
