/**
 * `keel serve` in a user, mount, pid, network and ipc namespace of an unprivileged user, whose root is a tmpfs: whatever a message is turned
 * into, it can do no harm. The sanitizers write to /w/asan.PID there.
 */
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const script = `
  mount -t tmpfs none "$1" && cd "$1" && mkdir usr proc tmp w dev run old
  ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/lib64 lib64; ln -s w/nowhere w/link
  mount --rbind /usr usr && mount -t proc proc proc && cp "$2" keel && cp /etc/ld.so.cache w/
  : > dev/null; mount --bind /dev/null dev/null; ip link set lo up
  mkdir etc && mv w/ld.so.cache etc/ && cd "$1" && /usr/sbin/pivot_root . old && umount -l /old && exec /keel serve`;

export const SANDBOX_USER = 100_000;

export interface SandboxPlace {
  readonly root: string;
  readonly keel: string;
}

/** Where sandboxes are made below `directory`, with a copy of keel that their user may read. */
export function sandboxPlace(directory: string, keel: string): SandboxPlace {
  const place = { root: join(directory, "root"), keel: join(directory, "keel") };
  mkdirSync(place.root, { mode: 0o777, recursive: true });
  chmodSync(place.root, 0o777);
  chmodSync(directory, 0o755);
  copyFileSync(keel, place.keel);
  chmodSync(place.keel, 0o755);
  return place;
}

/** `logs`: the sanitizers' words go to files, for processes that have no stderr; else to stderr. */
export function spawnSandbox({ root, keel }: SandboxPlace, logs = false) {
  const identity = [`--reuid=${SANDBOX_USER}`, `--regid=${SANDBOX_USER}`, "--clear-groups"];
  const sandbox = [...identity, "unshare", "-rmpnuif", "--kill-child", "bash", "-c", script, "sandbox", root, keel];
  const where = logs ? ":log_path=/w/asan" : "";
  return spawn("setpriv", sandbox, {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      ASAN_OPTIONS: `detect_leaks=0:allocator_may_return_null=1${where}`,
      UBSAN_OPTIONS: `print_stacktrace=1${where}`,
    },
  });
}

/** What the sanitizers wrote in the sandbox whose root is `root`; empty: nothing. */
export function sanitizerWords(root: string): string {
  const logs = readdirSync(join(root, "w")).filter((name) => name.startsWith("asan."));
  return logs.map((name) => readFileSync(join(root, "w", name), "utf8")).join("\n");
}
