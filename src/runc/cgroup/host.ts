/** Where this machine's cgroup hierarchies are mounted: v1, hybrid (v1 and a unified tree beside it) or v2. Pure. */

/** A mounted v1 hierarchy: one controller, several that share it, or a named one ("name=systemd"). */
export interface V1Hierarchy {
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** Directory of our own cgroup below the mount point, "/" at its root. */
  readonly own: string;
}

export interface UnifiedHierarchy {
  readonly mountPoint: string;
  readonly own: string;
  /** What cgroup.controllers of the root names. */
  readonly controllers: readonly string[];
}

export interface CgroupHost {
  readonly mode: "none" | "v1" | "hybrid" | "v2";
  readonly v1: readonly V1Hierarchy[];
  readonly unified: UnifiedHierarchy | undefined;
}

interface Mounted {
  readonly root: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly options: readonly string[];
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** proc(5), mountinfo: the fields before and after " - ". */
function parseMount(line: string): Mounted | undefined {
  const [before, after] = line.split(" - ");
  const [, , , root, mountPoint] = before?.split(" ") ?? [];
  const [type, , options] = after?.split(" ") ?? [];
  if (root === undefined || mountPoint === undefined || type === undefined) return undefined;
  return { root: unescaped(root), mountPoint: unescaped(mountPoint), type, options: options?.split(",") ?? [] };
}

/** proc(5), /proc/self/cgroup: controllers (joined by commas; "" is the unified tree) to path. */
function parseMembership(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [, controllers = "", ...path] = line.split(":");
      return [controllers, path.join(":")];
    }),
  );
}

/** Our cgroup as a path below a mount that may show only a part of the hierarchy. */
function below(root: string, path: string): string {
  if (root === "/" || !path.startsWith(root)) return path;
  return path.slice(root.length) || "/";
}

export interface CgroupTexts {
  readonly mountinfo: string;
  /** /proc/self/cgroup */
  readonly membership: string;
  readonly readText: (path: string) => string | undefined;
}

export function parseCgroupHost({ mountinfo, membership, readText }: CgroupTexts): CgroupHost {
  const mounts = mountinfo.split("\n").flatMap((line) => parseMount(line) ?? []);
  const own = parseMembership(membership);
  const v1: V1Hierarchy[] = [];
  for (const [names, path] of own) {
    if (names === "") continue;
    const controllers = names.split(",");
    const mount = mounts.find(({ type, options }) => type === "cgroup" && options.includes(controllers[0]!));
    if (mount) v1.push({ controllers, mountPoint: mount.mountPoint, own: below(mount.root, path) });
  }
  const mount = mounts.find(({ type }) => type === "cgroup2");
  const unified = mount && {
    mountPoint: mount.mountPoint,
    own: below(mount.root, own.get("") ?? "/"),
    controllers: (readText(`${mount.mountPoint}/cgroup.controllers`) ?? "").split(" ").filter((name) => name !== ""),
  };
  const mode = v1.length > 0 ? (unified ? "hybrid" : "v1") : unified ? "v2" : "none";
  return { mode, v1, unified };
}
