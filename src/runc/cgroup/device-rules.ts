/** Device rules: the list of the spec (and the defaults of every container) as v1 writes or as a v2 program. Pure. */
import { type Operation, operation } from "../../keel/plan.ts";
import { defaultDeviceRules } from "../../oci/default-spec.ts";
import type { SpecLinux } from "../../oci/runtime-spec.ts";
import { HullError } from "../../platform/errors.ts";
import { deviceProgram } from "./device-program.ts";
import { type CgroupPlace, isV2Only, unifiedDirectory } from "./place.ts";

type SpecRule = SpecLinux["resources"]["devices"][number];

/** `major` and `minor` -1: any. `access` is some of r, w, m. */
export interface DeviceRule {
  readonly allow: boolean;
  readonly type: "a" | "b" | "c";
  readonly major: number;
  readonly minor: number;
  readonly access: string;
}

function parseRule(rule: SpecRule, pointer: string): DeviceRule {
  const access = rule.access || "rwm";
  if (/[^rwm]/.test(access))
    throw new HullError("invalid-argument", `${pointer}/access: "${access}" has more than r, w and m`);
  const { allow, type, major = -1, minor = -1 } = rule;
  return { allow, type: type === "u" ? "c" : type, major, minor, access };
}

const defaults: readonly DeviceRule[] = defaultDeviceRules.map((rule) => ({ major: -1, minor: -1, ...rule }));

/** Those of the spec, then what every container may do. */
export const deviceRules = (rules: readonly SpecRule[], at: string): DeviceRule[] => [
  ...rules.map((rule, i) => parseRule(rule, `${at}/${i}`)),
  ...defaults,
];

/** What a list comes to: everything is allowed or denied but for exceptions, as the kernel's v1 controller keeps it. */
export interface DevicePolicy {
  readonly defaultAllow: boolean;
  readonly exceptions: readonly DeviceRule[];
}

const keyOf = ({ type, major, minor }: DeviceRule): string => `${type} ${major}:${minor}`;

/** Plays the rules in order (security/device_cgroup.c has the same two states). */
export function resolveRules(rules: readonly DeviceRule[]): DevicePolicy {
  let defaultAllow = false;
  const exceptions = new Map<string, DeviceRule>();
  for (const rule of rules) {
    if (rule.type === "a") {
      defaultAllow = rule.allow;
      exceptions.clear();
      continue;
    }
    const key = keyOf(rule);
    const known = exceptions.get(key)?.access ?? "";
    const adds = rule.allow !== defaultAllow;
    const access = [..."rwm"].filter((one) =>
      adds ? (known + rule.access).includes(one) : known.includes(one) && !rule.access.includes(one),
    );
    if (access.length > 0) exceptions.set(key, { ...rule, allow: !defaultAllow, access: access.join("") });
    else exceptions.delete(key);
  }
  return { defaultAllow, exceptions: [...exceptions.values()] };
}

const number = (value: number): string => (value < 0 ? "*" : String(value));

/** "c 1:3 rwm"; everything is "a". */
const v1Line = ({ type, major, minor, access }: DeviceRule): string =>
  type === "a" ? "a" : `${type} ${number(major)}:${number(minor)} ${access}`;

/** Slot that is free while cgroups are being made. */
const SLOT = 0;
const O_DIRECTORY = 0o200000;
const O_WRONLY = 1;

export interface DeviceContext {
  readonly place: CgroupPlace;
  readonly at: string;
}

/** Operations that make the rules hold for the container's cgroup. */
export function deviceOperations({ place, at }: DeviceContext, rules: readonly SpecRule[]): Operation[] {
  const list = deviceRules(rules, at);
  const directory = place.paths.devices;
  if (directory !== undefined) return v1Operations(directory, resolveRules(list), at);
  const unified = unifiedDirectory(place);
  if (unified === undefined || !isV2Only(place)) return [];
  return [
    operation("open", { slot: SLOT, flags: O_DIRECTORY, path: unified }, { cause: at }),
    operation(
      "cgroupDevices",
      { slot: SLOT, program: deviceProgram(resolveRules(list)) },
      { cause: at, subject: unified },
    ),
    operation("close", { slot: SLOT }, { cause: at }),
  ];
}

/** Everything first, then what differs; each list is one open file and a write per line. */
function v1Operations(directory: string, policy: DevicePolicy, at: string): Operation[] {
  const file = (allow: boolean): string => `${directory}/${allow ? "devices.allow" : "devices.deny"}`;
  const exceptions = file(!policy.defaultAllow);
  return [
    operation("writeFile", { path: file(policy.defaultAllow), data: "a", flags: O_WRONLY }, { cause: at }),
    operation("open", { slot: SLOT, flags: O_WRONLY, path: exceptions }, { cause: at }),
    ...policy.exceptions.map((rule) =>
      operation(
        "writeSlot",
        { slot: SLOT, data: v1Line(rule) },
        { cause: at, subject: `${exceptions} ${v1Line(rule)}` },
      ),
    ),
    operation("close", { slot: SLOT }, { cause: at }),
  ];
}
