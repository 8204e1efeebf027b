/**
 * The embedded base image: busybox with its C library, taken from this machine's Debian packages and packed as a
 * docker-archive. Reproducible: the same packages give the same bytes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { HullError } from "../platform/errors.ts";

const EPOCH = "1970-01-01T00:00:00Z";
const directories = [
  "bin",
  "sbin",
  "usr/bin",
  "usr/sbin",
  "lib",
  "lib64",
  "etc",
  "dev",
  "proc",
  "sys",
  "run",
  "root",
  "home",
  "mnt",
  "var/log",
  "var/run",
  "var/spool",
  "var/www",
];

const files: Readonly<Record<string, string>> = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
  "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  "etc/shadow": "root:*:::::::\n",
};

/** Makes the archive and returns its path in a temporary directory that the result disposes of. */
export function makeBaseImage(reference: string): { readonly archive: string } & Disposable {
  const work = mkdtempSync(join(tmpdir(), "hull-base-"));
  try {
    const rootfs = join(work, "rootfs");
    fillRootfs(rootfs);
    const image = join(work, "image");
    mkdirSync(image);
    writeImage(rootfs, image, reference);
    const archive = join(work, "busybox.tar");
    pack(image, archive);
    return { archive, [Symbol.dispose]: () => rmSync(work, { recursive: true, force: true }) };
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    throw error;
  }
}

function fillRootfs(rootfs: string): void {
  const busybox = findBusybox();
  for (const directory of directories) mkdirSync(join(rootfs, directory), { recursive: true, mode: 0o755 });
  for (const [path, mode] of [
    ["tmp", 0o1777],
    ["var/tmp", 0o1777],
    ["root", 0o700],
  ] as const) {
    mkdirSync(join(rootfs, path), { recursive: true });
    chmodSync(join(rootfs, path), mode);
  }
  for (const [path, text] of Object.entries(files))
    writeFileSync(join(rootfs, path), text, { mode: path === "etc/shadow" ? 0o640 : 0o644 });
  copyFileSync(busybox, join(rootfs, "bin/busybox"));
  chmodSync(join(rootfs, "bin/busybox"), 0o755);
  for (const library of librariesOf(busybox)) {
    mkdirSync(join(rootfs, dirname(library)), { recursive: true });
    copyFileSync(realpathSync(library), join(rootfs, library));
    chmodSync(join(rootfs, library), 0o755);
  }
  for (const applet of execFileSync(busybox, ["--list"]).toString().trim().split("\n")) {
    if (applet !== "busybox" && !applet.includes("/")) symlinkSync("/bin/busybox", join(rootfs, "bin", applet));
  }
  symlinkSync("/bin/busybox", join(rootfs, "usr/bin/env"));
}

function findBusybox(): string {
  const found = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
  if (!found) throw new HullError("failed-precondition", "busybox is not on this machine: apt-get install busybox");
  return found;
}

/** The dynamic loader and libraries, by the names under which the program asks for them. None when it is static. */
function librariesOf(program: string): string[] {
  const { error, status, stdout } = spawnSync("ldd", [program]);
  if (error) throw new HullError("failed-precondition", "ldd can't be run: apt-get install libc-bin", { cause: error });
  if (status !== 0) return [];
  return [...stdout.toString().matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!);
}

function pack(directory: string, archive: string): void {
  execFileSync("tar", [
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "-C",
    directory,
    "-cf",
    archive,
    ".",
  ]);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function writeImage(rootfs: string, image: string, reference: string): void {
  const layer = join(image, "layer.tar");
  pack(rootfs, layer);
  const diffId = sha256(readFileSync(layer));
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    config: {
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      Cmd: ["sh"],
      WorkingDir: "/",
    },
    created: EPOCH,
    history: [{ created: EPOCH, created_by: "hull image make-base", comment: "busybox from Debian's packages" }],
    os: "linux",
    rootfs: { type: "layers", diff_ids: [`sha256:${diffId}`] },
  };
  const configBytes = Buffer.from(JSON.stringify(config));
  const configName = `${sha256(configBytes)}.json`;
  writeFileSync(join(image, configName), configBytes);
  const manifest = [{ Config: configName, RepoTags: [reference], Layers: [basename(layer)] }];
  writeFileSync(join(image, "manifest.json"), JSON.stringify(manifest));
}
