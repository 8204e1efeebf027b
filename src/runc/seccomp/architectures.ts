/** Architectures that a filter can speak of: how the kernel names them (linux/audit.h) and their system calls by name. */
import { syscallsArm } from "./syscalls-arm.ts";
import { syscallsArm64 } from "./syscalls-arm64.ts";
import { syscallsI386 } from "./syscalls-i386.ts";
import { syscallsX32 } from "./syscalls-x32.ts";
import { syscallsX86 } from "./syscalls-x86_64.ts";

export interface Architecture {
  readonly name: string;
  /** seccomp_data.arch */
  readonly audit: number;
  /** Bits that all of its numbers carry: x32 shares x86-64's audit number. */
  readonly base: number;
  readonly numbers: ReadonlyMap<string, number>;
}

/** "read write =10 mprotect": names in the order of their numbers, "=N" where the count goes on from. */
function parseTable(table: string): Map<string, number> {
  const numbers = new Map<string, number>();
  let next = 0;
  for (const word of table.split(" ")) {
    if (word.startsWith("=")) next = Number(word.slice(1));
    else numbers.set(word, next++);
  }
  return numbers;
}

export const X32_BIT = 0x40000000;

const definitions: Readonly<
  Record<string, { readonly audit: number; readonly base?: number; readonly table: string }>
> = {
  SCMP_ARCH_X86_64: { audit: 0xc000003e, table: syscallsX86 },
  SCMP_ARCH_X32: { audit: 0xc000003e, base: X32_BIT, table: syscallsX32 },
  SCMP_ARCH_X86: { audit: 0x40000003, table: syscallsI386 },
  SCMP_ARCH_AARCH64: { audit: 0xc00000b7, table: syscallsArm64 },
  SCMP_ARCH_ARM: { audit: 0x40000028, table: syscallsArm },
};

const known = new Map<string, Architecture>();

/** Undefined for one that this machine can't run. */
export function architecture(name: string): Architecture | undefined {
  const definition = definitions[name];
  if (!definition) return undefined;
  let found = known.get(name);
  if (!found) {
    const { audit, base = 0, table } = definition;
    found = { name, audit, base, numbers: parseTable(table) };
    known.set(name, found);
  }
  return found;
}

/** Names of libseccomp, whether or not there is a table. */
export const isArchitectureName = (name: string): boolean => /^SCMP_ARCH_[A-Z0-9_]+$/.test(name);
