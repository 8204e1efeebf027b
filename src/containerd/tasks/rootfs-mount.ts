/** Mount values of a snapshot as operations at a root path. Pure. */
import { isAbsolute, join, relative } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import { linkOf } from "../snapshots/overlay2.ts";
import type { Mount } from "../snapshots/snapshotter.ts";

const MS_RDONLY = 1;
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MS_REC = 16384;
const MNT_DETACH = 2;

/** `overlayHome`: the overlay2 directory, whose short links keep mount options small. */
export function mountOperations(mounts: readonly Mount[], target: string, overlayHome: string): Operation[] {
  return mounts.flatMap((mount) => mountOne(mount, target, overlayHome));
}

/** Takes the mount at `target` away; none there is fine. */
export const unmountOperation = (target: string): Operation =>
  operation("umount", { target, flags: MNT_DETACH }, { tolerate: ["EINVAL", "ENOENT"], cause: "rootfs" });

function mountOne(mount: Mount, target: string, overlayHome: string): Operation[] {
  const cause = "rootfs";
  const readOnly = mount.options.includes("ro");
  if (mount.type === "bind" || mount.options.some((option) => option === "bind" || option === "rbind")) {
    const bind = operation(
      "mount",
      { source: mount.source, target, flags: MS_BIND | MS_REC },
      { cause, subject: target },
    );
    const remount = operation("mount", { target, flags: MS_BIND | MS_REMOUNT | MS_RDONLY }, { cause, subject: target });
    return readOnly ? [bind, remount] : [bind];
  }
  const links = mount.type === "overlay" ? linksOf(mount, overlayHome) : undefined;
  if (links === undefined) {
    const data = mount.options.filter((option) => option !== "ro" && option !== "rw").join(",");
    const flags = readOnly ? MS_RDONLY : 0;
    return [
      operation("mount", { source: mount.source, target, type: mount.type, data, flags }, { cause, subject: target }),
    ];
  }
  const [upper, work] = [optionOf(mount, "upperdir"), optionOf(mount, "workdir")];
  const flags = upper === "" ? 1 : 0;
  return [
    operation(
      "overlay",
      { target, upper, work, lowers: lowersOf(mount), base: overlayHome, links, flags },
      { cause, subject: target },
    ),
  ];
}

const optionOf = (mount: Mount, key: string): string =>
  mount.options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";

const lowersOf = (mount: Mount): string[] => optionOf(mount, "lowerdir").split(":");

/** Short links of the lower directories; undefined when one is not a layer of ours or an option is unknown to `overlay`. */
function linksOf(mount: Mount, overlayHome: string): string[] | undefined {
  const plain = /^(index=off|ro|rw|(upperdir|workdir|lowerdir)=.*)$/;
  if (!mount.options.every((option) => plain.test(option))) return undefined;
  const links = lowersOf(mount).map((lower) => {
    const id = /^([0-9a-f]{64})\/diff$/.exec(relative(overlayHome, lower))?.[1];
    return id === undefined ? "" : join("l", linkOf(id));
  });
  return links.every((link) => link !== "" && !isAbsolute(link)) ? links : undefined;
}
