/** Whether the kernel has somebody to run programs of another architecture: binfmt_misc (Documentation/admin-guide/binfmt-misc.rst). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** e_machine and whether addresses are of 64 bits and the low byte comes first (elf.h), by Go's names. */
const machines: Readonly<Record<string, { readonly machine: number; readonly bits: 32 | 64; readonly big?: true }>> = {
  "386": { machine: 3, bits: 32 },
  amd64: { machine: 62, bits: 64 },
  arm: { machine: 40, bits: 32 },
  arm64: { machine: 183, bits: 64 },
  loong64: { machine: 258, bits: 64 },
  mips64le: { machine: 8, bits: 64 },
  ppc64le: { machine: 21, bits: 64 },
  riscv64: { machine: 243, bits: 64 },
  s390x: { machine: 22, bits: 64, big: true },
};

/** The kernel runs these itself. */
const native: Readonly<Record<string, readonly string[]>> = { amd64: ["386"], arm64: ["arm"] };

export type Emulation = "native" | "emulated" | "unfixed" | "none";

const MISC = "/proc/sys/fs/binfmt_misc";

/**
 * How this machine (`host`, Go's name) runs programs of `architecture`. "unfixed": an emulator is registered without the flag F, so that it would have to be in the
 * root file system of the program. `directory`: where the kernel lists what is registered.
 */
export function emulationOf(host: string, architecture: string, directory = MISC): Emulation {
  if (host === architecture || native[host]?.includes(architecture)) return "native";
  const header = headerOf(architecture);
  if (header === undefined) return "none";
  const found = entriesIn(directory).filter((entry) => entry.enabled && recognizes(entry, header));
  if (found.length === 0) return "none";
  return found.some(({ flags }) => flags.includes("F")) ? "emulated" : "unfixed";
}

/** The first bytes of a program. */
function headerOf(architecture: string): Buffer | undefined {
  const facts = machines[architecture];
  if (facts === undefined) return undefined;
  const header = Buffer.alloc(20);
  header.write("\x7fELF", "latin1");
  header[4] = facts.bits === 64 ? 2 : 1;
  header[5] = facts.big ? 2 : 1;
  header[6] = 1;
  const [EXECUTABLE, at] = [2, 16];
  if (facts.big) header.writeUInt16BE(EXECUTABLE, at);
  else header.writeUInt16LE(EXECUTABLE, at);
  if (facts.big) header.writeUInt16BE(facts.machine, 18);
  else header.writeUInt16LE(facts.machine, 18);
  return header;
}

interface Registered {
  readonly enabled: boolean;
  readonly flags: string;
  readonly offset: number;
  readonly magic: Buffer;
  readonly mask: Buffer;
}

function entriesIn(directory: string): Registered[] {
  try {
    return readdirSync(directory)
      .filter((name) => name !== "register" && name !== "status")
      .map((name) => parseEntry(readFileSync(join(directory, name), "utf8")));
  } catch (error) {
    // Not mounted, or an entry that went meanwhile: nobody is there.
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES") return [];
    throw error;
  }
}

function parseEntry(text: string): Registered {
  const field = (name: string): string => new RegExp(`^${name}:? (.*)$`, "m").exec(text)?.[1] ?? "";
  const magic = Buffer.from(field("magic"), "hex");
  const mask = field("mask") === "" ? Buffer.alloc(magic.length, 0xff) : Buffer.from(field("mask"), "hex");
  return { enabled: /^enabled$/m.test(text), flags: field("flags"), offset: Number(field("offset") || 0), magic, mask };
}

const recognizes = ({ offset, magic, mask }: Registered, header: Buffer): boolean =>
  magic.length > 0 &&
  offset + magic.length <= header.length &&
  magic.every((byte, index) => (header[offset + index]! & mask[index]!) === (byte & mask[index]!));
