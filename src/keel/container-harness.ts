/** For tests: a root file system of Debian's busybox, and the operations of a container in it, as the runtime compiles them. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NO_SLOT } from "./operations.ts";
import { type Operation, operation } from "./plan.ts";
import { StandAlone } from "./stand-alone.ts";

const O_PATH_DIRECTORY = 0o10200000;
const CLONE = {
  NEWNS: 0x20000,
  NEWIPC: 0x8000000,
  NEWPID: 0x20000000,
  NEWUTS: 0x4000000,
  NEWCGROUP: 0x2000000,
} as const;
const ATTR = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
const MS_BIND_REC = 0x5000;
const MS_REC_SLAVE = 0x84000;
const ROOT = 10;
const programs = [
  "sh",
  "true",
  "id",
  "mount",
  "ls",
  "cat",
  "grep",
  "ps",
  "hostname",
  "mkdir",
  "sleep",
  "env",
  "stat",
  "touch",
];
export const envp = ["PATH=/bin"];

export class TestRoot implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "keel-root-"));
  readonly path = join(this.directory, "rootfs");

  constructor() {
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp"])
      mkdirSync(join(this.path, name), { recursive: true });
    copyFileSync("/bin/busybox", join(this.path, "bin/busybox"));
    chmodSync(join(this.path, "bin/busybox"), 0o755);
    for (const name of programs) symlinkSync("busybox", join(this.path, "bin", name));
    for (const library of execFileSync("ldd", ["/bin/busybox"])
      .toString()
      .match(/\/lib\S+/g) ?? []) {
      mkdirSync(join(this.path, dirname(library)), { recursive: true });
      copyFileSync(library, join(this.path, library));
      chmodSync(join(this.path, library), 0o755);
    }
    writeFileSync(
      join(this.path, "etc/passwd"),
      "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n1000:x:0:0::/:/bin/sh\n",
    );
    writeFileSync(join(this.path, "etc/group"), "root:x:0:\nwheel:x:10:bob\nbob:x:1000:\n");
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Shape {
  readonly argv: readonly string[];
  /** Instead of capabilities and user of root. */
  readonly process?: readonly Operation[];
  readonly beforePivot?: readonly Operation[];
  readonly wait?: readonly Operation[];
  readonly beforeClone?: readonly Operation[];
  readonly cloneFlags?: number;
  readonly idMap?: string;
}

const mounted = (
  type: string,
  path: string,
  how: { attr: number; options?: readonly string[]; flags?: number },
): Operation[] => [
  operation("fsmount", { slot: 1, attr: how.attr, type, source: type, options: how.options ?? [] }, { cause: path }),
  operation("moveMountIn", { slot: 1, rootSlot: ROOT, create: 2, mode: 0o755, flags: how.flags ?? 0, path }),
  operation("close", { slot: 1 }),
];

const restricted = ATTR.nosuid | ATTR.nodev | ATTR.noexec;
const ORDINARY_DIRECTORY = 1;

export const standardMounts: readonly Operation[] = [
  ...mounted("proc", "/proc", { attr: restricted, flags: ORDINARY_DIRECTORY }),
  ...mounted("tmpfs", "/dev", { attr: ATTR.nosuid, options: ["mode", "755", "size", "65536k"] }),
  ...mounted("devpts", "/dev/pts", {
    attr: ATTR.nosuid | ATTR.noexec,
    options: ["newinstance", "", "ptmxmode", "0666", "mode", "0620", "gid", "5"],
  }),
  ...mounted("tmpfs", "/dev/shm", { attr: restricted, options: ["mode", "1777", "size", "64m"] }),
  ...mounted("mqueue", "/dev/mqueue", { attr: restricted }),
  ...mounted("sysfs", "/sys", { attr: restricted | ATTR.rdonly, flags: ORDINARY_DIRECTORY }),
  ...["null:3", "zero:5", "full:7", "random:8", "urandom:9"].map((device) => {
    const [name, minor] = device.split(":");
    return operation("mknodIn", {
      rootSlot: ROOT,
      mode: 0o20666,
      major: 1,
      minor: Number(minor),
      path: `/dev/${name}`,
    });
  }),
  operation("symlinkIn", { rootSlot: ROOT, target: "pts/ptmx", path: "/dev/ptmx" }),
];

const hidden = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/acpi"];
const frozen = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
export const DEFAULT_CAPABILITIES = 0xa80425fbn;

export const asRoot: readonly Operation[] = [
  operation("setUser", { uid: 0, gid: 0, umask: 0o22, groups: new Uint8Array(4) }),
  operation("capabilities", {
    bounding: DEFAULT_CAPABILITIES,
    effective: DEFAULT_CAPABILITIES,
    permitted: DEFAULT_CAPABILITIES,
  }),
];

export function containerOperations(root: TestRoot, shape: Shape): Operation[] {
  const flags = shape.cloneFlags ?? CLONE.NEWNS | CLONE.NEWIPC | CLONE.NEWPID | CLONE.NEWUTS;
  const idMap = shape.idMap ?? "";
  return [
    ...(shape.beforeClone ?? []),
    operation("clone", { flags, cgroupSlot: NO_SLOT, uidMap: idMap, gidMap: idMap }),
    operation("unshare", { flags: CLONE.NEWCGROUP }),
    operation("propagation", { flags: MS_REC_SLAVE, path: "/" }),
    operation("mount", { flags: MS_BIND_REC, source: root.path, target: root.path }),
    operation("open", { slot: ROOT, flags: O_PATH_DIRECTORY, path: root.path }),
    ...(shape.beforePivot ?? standardMounts),
    operation("pivotRoot", { rootSlot: ROOT }),
    operation("sethostname", { name: "box" }),
    operation("maskPaths", { paths: hidden }),
    operation("readonlyPaths", { paths: frozen }),
    ...(shape.process ?? asRoot),
    operation("cwd", { create: 1, path: "/" }),
    operation("lookPath", { argv0: shape.argv[0]!, envp }),
    ...(shape.wait ?? [operation("waitStart", {})]),
    operation("execve", { argv: shape.argv, envp }, { subject: shape.argv[0]! }),
  ];
}

/** Runs it to its end in the foreground: what it wrote and its exit code. */
export async function runToEnd(
  root: TestRoot,
  shape: Shape,
): Promise<{ code: number; output: string; keel: StandAlone }> {
  const path = join(root.directory, "output");
  const file = openSync(path, "w");
  try {
    const operations = containerOperations(root, shape);
    const keel = await StandAlone.begin({ operations, mode: { kind: "run" }, stdio: ["ignore", file, file] });
    await keel.start();
    return { code: await keel.exit, output: readFileSync(path, "utf8"), keel };
  } finally {
    closeSync(file);
  }
}

export const shell = (script: string): readonly string[] => ["sh", "-c", script];
