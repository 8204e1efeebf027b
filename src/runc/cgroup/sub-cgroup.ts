/** `runc exec --cgroup`: existing cgroups below the container's that a process is put into, "[controller[,controller]:]path". Pure. */
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { CgroupPlace } from "./place.ts";

const bad = (message: string): HullError => new HullError("invalid-argument", message);

/** Throws invalid-argument in runc's words. Without arguments the place as it is. */
export function subCgroup(place: CgroupPlace, args: readonly string[]): CgroupPlace {
  const wanted = parse(args);
  const everywhere = wanted.get("");
  for (const controller of wanted.keys())
    if (controller !== "" && place.paths[controller] === undefined)
      throw bad(`unknown controller ${controller} in SubCgroupPaths`);
  const paths = Object.entries(place.paths).map(([controller, path]) => {
    const sub = everywhere ?? (controller === "" ? undefined : wanted.get(controller));
    return [controller, sub === undefined ? path : below(path, sub)];
  });
  return { ...place, paths: Object.fromEntries(paths) };
}

function parse(args: readonly string[]): Map<string, string> {
  const paths = new Map<string, string>();
  for (const arg of args) {
    const [head = "", path, ...rest] = arg.split(":");
    if (rest.length > 0) throw bad(`invalid --cgroup argument: ${arg}`);
    if (path === undefined) {
      if (args.length !== 1) throw bad(`invalid --cgroup argument: ${arg} (missing <controller>: prefix)`);
      return paths.set("", head);
    }
    for (const controller of head.split(",")) {
      if (controller === "") throw bad(`invalid --cgroup argument: ${arg} (empty <controller> prefix)`);
      if (paths.has(controller))
        throw bad(`invalid --cgroup argument(s): controller ${controller} specified multiple times`);
      paths.set(controller, path);
    }
  }
  return paths;
}

function below(path: string, sub: string): string {
  const joined = join(path, sub);
  if (joined !== path && !joined.startsWith(`${path}/`)) throw bad(`bad sub cgroup path: ${joined}`);
  return joined;
}
