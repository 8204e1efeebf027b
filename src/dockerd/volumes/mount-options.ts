/** The `o` option of a volume ("ro,noexec,addr=…") as mount(2) wants it. Pure. */
import { HullError } from "../../platform/errors.ts";

/** Flags of mount(2), linux/mount.h. */
const flags: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  noatime: 1024,
  nodiratime: 2048,
  bind: 4096,
  rbind: 4096 | 16384,
  silent: 32768,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
};
const clearing: Readonly<Record<string, number>> = {
  rw: 1,
  suid: 2,
  dev: 4,
  exec: 8,
  async: 16,
  atime: 1024,
  diratime: 2048,
  loud: 32768,
  norelatime: 1 << 21,
  nostrictatime: 1 << 24,
  nolazytime: 1 << 25,
  defaults: 0,
};

export interface MountOptions {
  readonly flags: number;
  /** Comma separated, for the file system. */
  readonly data: string;
}

export function parseMountOptions(text: string): MountOptions {
  let bits = 0;
  const data: string[] = [];
  for (const option of text.split(",").filter((part) => part !== "")) {
    if (option in flags) bits |= flags[option]!;
    else if (option in clearing) bits &= ~clearing[option]!;
    else data.push(option);
  }
  return { flags: bits, data: data.join(",") };
}

const needs: Readonly<Record<string, readonly string[]>> = {
  device: ["type"],
  type: ["device"],
  o: ["device", "type"],
};

/** Throws invalid-argument in Docker's words for options that the local driver does not take. */
export function checkDriverOptions(options: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (name === "size") throw bad("quota size requested but no quota support");
    if (!(name in needs)) throw bad(`invalid option: ${JSON.stringify(name)}`);
    if (value.includes("\0")) throw bad(`invalid value of option ${JSON.stringify(name)}`);
    const missing = needs[name]!.find((other) => !options[other]);
    if (missing !== undefined) throw bad(`missing required option: ${JSON.stringify(missing)}`);
  }
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);
