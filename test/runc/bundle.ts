/** Bundles of Debian's busybox, and `hull-runc` on them, each in a directory of its own that goes with its containers. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { exampleSpec } from "../../src/runc/cli/commands/spec.ts";

const entry = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const programs =
  "sh cat echo id ls mount true false sleep stat touch wc head grep hostname ps tty stty mknod mkdir env kill pwd dd seq".split(
    " ",
  );

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** config.json as loose JSON. */
export type Config = { process: Record<string, unknown>; linux: Record<string, unknown>; mounts: object[] } & Record<
  string,
  unknown
>;

const TIMEOUT_MS = 20_000;
let count = 0;

export class TestBundle implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-runc-test-"));
  readonly bundle = join(this.directory, "bundle");
  readonly rootfs = join(this.bundle, "rootfs");
  readonly state = join(this.directory, "state");
  /** Unique among all that run on this machine. */
  readonly id = `hullrunc${process.pid}x${count++}`;

  constructor(args: readonly string[], change: (config: Config) => void = () => undefined) {
    // The root of a user namespace is another user here.
    chmodSync(this.directory, 0o711);
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp"])
      mkdirSync(join(this.rootfs, name), { recursive: true });
    copyFileSync("/bin/busybox", join(this.rootfs, "bin/busybox"));
    chmodSync(join(this.rootfs, "bin/busybox"), 0o755);
    for (const library of execFileSync("ldd", ["/bin/busybox"], { encoding: "utf8" }).match(/\/\S+/g) ?? []) {
      mkdirSync(join(this.rootfs, dirname(library)), { recursive: true });
      copyFileSync(library, join(this.rootfs, library));
    }
    for (const name of programs) symlinkSync("busybox", join(this.rootfs, "bin", name));
    writeFileSync(
      join(this.rootfs, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
    );
    writeFileSync(join(this.rootfs, "etc/group"), "root:x:0:\nweb:x:1001:\nvideo:x:44:app\n");
    this.configure(args, change);
  }

  configure(args: readonly string[], change: (config: Config) => void = () => undefined): void {
    const config = structuredClone(exampleSpec()) as Config;
    config.process = { ...config.process, terminal: false, args };
    config.linux = { ...config.linux, cgroupsPath: `/hullrunctest/${this.id}` };
    change(config);
    writeFileSync(join(this.bundle, "config.json"), JSON.stringify(config));
  }

  command(args: readonly string[]): readonly [string, readonly string[]] {
    return [process.execPath, [entry, "hull-runc", "--root", this.state, ...args]];
  }

  /** Runs `hull-runc` in the bundle. */
  runc(...args: readonly string[]): Ended {
    return this.with({}, ...args);
  }

  with(options: { readonly input?: string; readonly cwd?: string }, ...args: readonly string[]): Ended {
    const [file, words] = this.command(args);
    const { status, stdout, stderr } = spawnSync(file, words, {
      cwd: this.bundle,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      input: "",
      ...options,
    });
    return { code: status, stdout, stderr };
  }

  /** Made and started, on its own. Its output would hold our pipes. */
  start(...flags: readonly string[]): void {
    const [file, words] = this.command(["run", "--detach", ...flags, this.id]);
    const { status } = spawnSync(file, words, {
      cwd: this.bundle,
      stdio: ["ignore", "ignore", "inherit"],
      timeout: TIMEOUT_MS,
    });
    if (status !== 0) throw new Error(`run --detach ended with ${status}`);
  }

  spawn(...args: readonly string[]) {
    const [file, words] = this.command(args);
    return spawn(file, words, { cwd: this.bundle, stdio: ["pipe", "pipe", "pipe"] });
  }

  get status(): string {
    return (JSON.parse(this.runc("state", this.id).stdout) as { status: string }).status;
  }

  get pid(): number {
    return (JSON.parse(this.runc("state", this.id).stdout) as { pid: number }).pid;
  }

  [Symbol.dispose](): void {
    if (existsSync(join(this.state, this.id))) this.runc("delete", "--force", this.id);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Directories of cgroups that carry this name, in any hierarchy. */
export function cgroupsNamed(name: string): string[] {
  const roots = readdirSync("/sys/fs/cgroup").map((hierarchy) =>
    join("/sys/fs/cgroup", hierarchy, "hullrunctest", name),
  );
  return [...roots, join("/sys/fs/cgroup/hullrunctest", name)].filter(existsSync);
}

/** Polls a condition; fails after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const mountsBelow = (directory: string): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${directory}`));

/** The parent directories that all tests share; one in use by another run stays. */
export function removeSharedCgroups(): void {
  for (const path of cgroupsNamed("")) spawnSync("rmdir", [path]);
}
