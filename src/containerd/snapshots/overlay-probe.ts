/** Whether overlayfs works below the data root: one is mounted and unmounted to know. */
import { existsSync, readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { again } from "../../keel/again.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { HullError, messageOf } from "../../platform/errors.ts";
import { isNoSpace } from "../../platform/reserve.ts";
import type { Kernel } from "../kernel.ts";
import type { SnapshotDriver } from "./snapshot-driver.ts";

export const OVERLAYFS_MAGIC = 0x794c7630;
const MNT_DETACH = 2;
const cause = "overlayfs probe";

export interface ProbeRequest {
  readonly driver: SnapshotDriver;
  readonly dataRoot: string;
  /** Where things may be made that are deleted afterwards. */
  readonly trash: string;
  readonly kernel: Kernel;
}

/**
 * Why it does not work; empty when it does. Throws when that could not be found out, and when it does not although the layers that are
 * there need it: they must not be taken for absent.
 */
export async function overlayRefusal(request: ProbeRequest): Promise<string> {
  const { dataRoot, driver } = request;
  const refusal =
    statfsSync(dataRoot).type === OVERLAYFS_MAGIC ? "the data root is on overlayfs itself" : await probe(request);
  if (refusal !== "" && hasLayers(driver))
    throw new HullError(
      "failed-precondition",
      `the layers in ${driver.home} are overlay2's, and overlayfs can't be used on ${dataRoot} any more: ${refusal}`,
    );
  return refusal;
}

const hasLayers = ({ home, keep }: SnapshotDriver): boolean =>
  existsSync(home) && readdirSync(home).some((name) => !keep.includes(name));

async function probe({ trash, kernel }: ProbeRequest): Promise<string> {
  const base = join(trash, "probe");
  const at = (name: string): string => join(base, name);
  const target = at("merged");
  const directories = ["", "lower", "upper", "work", "merged"].map((name) =>
    operation("mkdirAll", { path: at(name), mode: 0o700 }, { cause }),
  );
  const overlay = { target, upper: at("upper"), work: at("work"), lowers: [at("lower")], base, links: ["lower"] };
  const away = [
    operation("umount", { target, flags: MNT_DETACH }, { tolerate: ["EINVAL", "ENOENT"], cause }),
    operation("removeTree", { path: base }, { cause }),
  ];
  await again(() => kernel.run(away)); // A process that was killed over it left it mounted.
  try {
    return await again(() => refusalOf(kernel, [...directories, operation("overlay", overlay, { cause })]));
  } finally {
    await again(() => kernel.run(away));
  }
}

/** What the kernel said: a plan that it never got to see says nothing about overlayfs, and neither does a full disk. */
async function refusalOf(kernel: Kernel, plan: readonly Operation[]): Promise<string> {
  try {
    await kernel.run(plan);
    return "";
  } catch (error) {
    if (isNoSpace(error)) return "";
    if (error instanceof HullError && error.facts.errno !== undefined) return messageOf(error);
    throw error;
  }
}
