/**
 * Files as a tar that is read while it is written: members have numbers for names, 0 first, and carry the attributes that an object of the store
 * has. A writer waits for the reader once a little has gathered.
 */
import type { FileEntry } from "../files/entry.ts";

const BLOCK = 512;
const GATHERED_BYTES = 256 * 1024;

/** Lifecycle: `begin`, `write`..., `end` for each file -> `finish` or `fail`; read once, meanwhile. */
export class FileTar implements AsyncIterable<Uint8Array> {
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #count = 0;
  #left = 0;
  #size = 0;
  #over = false;
  #failure: Error | undefined;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  get count(): number {
    return this.#count;
  }

  begin(entry: FileEntry): Promise<void> {
    const name = String(this.#count++);
    this.#size = this.#left = entry.size;
    return this.#put(fileTarHead({ ...entry, name }));
  }

  /** Throws when it is more than the file was said to have. */
  write(data: Uint8Array): Promise<void> {
    this.#left -= data.length;
    if (this.#left < 0) throw changed();
    return this.#put(data);
  }

  /** Throws when it was less. */
  end(): Promise<void> {
    if (this.#left !== 0) throw changed();
    return this.#put(padding(this.#size));
  }

  async finish(): Promise<void> {
    await this.#put(Buffer.alloc(2 * BLOCK));
    this.#over = true;
    this.#wakeReader();
  }

  /** The reader is told. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wakeReader();
    this.#wakeWriter();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#failure) throw this.#failure;
        const pieces = this.#pieces;
        if (pieces.length > 0) {
          this.#pieces = [];
          this.#bytes = 0;
          this.#wakeWriter();
          yield pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
        } else if (this.#over) return;
        else
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
      }
    } finally {
      this.fail(new Error("the files are not taken any more"));
    }
  }

  async #put(data: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (data.length === 0) return;
    this.#pieces.push(data);
    this.#bytes += data.length;
    this.#wakeReader();
    while (this.#bytes >= GATHERED_BYTES && !this.#failure)
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
  }
}

export interface FileTarPlace extends Pick<FileEntry, "mode" | "uid" | "gid" | "mtimeNs" | "size"> {
  readonly name: string;
}

/** What stands before a member's bytes, whatever its attributes. */
export const TAR_HEAD_BYTES = 3 * BLOCK;

export function fileTarHead({ name, mtimeNs, size, ...attributes }: FileTarPlace): Buffer {
  const time = paxRecord("mtime", `${mtimeNs / 1_000_000_000n}.${nanoseconds(mtimeNs)}`);
  const records = Buffer.from(time + (size > MAX_OCTAL ? paxRecord("size", String(size)) : ""));
  const pax = header({ name: "pax", type: "x", mode: 0o600, uid: 0, gid: 0, size: records.length });
  const own = header({ name, type: "0", ...attributes, size: Math.min(size, MAX_OCTAL) });
  return Buffer.concat([pax, records, padding(records.length), own]);
}

/** What stands behind the bytes of an archive's last member. */
export const fileTarEnd = (size: number): Buffer => Buffer.concat([padding(size), Buffer.alloc(2 * BLOCK)]);

const changed = (): Error => new Error("a file changed while the client was reading it: run the build again");

const MAX_OCTAL = 0o77777777777;

const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

const nanoseconds = (ns: bigint): string => String(ns % 1_000_000_000n).padStart(9, "0");

/** Its length counts itself. */
function paxRecord(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`;
  const length = Buffer.byteLength(rest);
  const digits = String(length + String(length + String(length).length).length).length;
  return `${length + digits}${rest}`;
}

interface Member {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}

/** POSIX ustar. */
function header({ name, type, mode, uid, gid, size }: Member): Buffer {
  const head = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    head.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  head.write(name, 0, "latin1");
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  head.write("        ", 148, "latin1");
  head.write(type, 156, "latin1");
  head.write("ustar\x0000", 257, "latin1");
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return head;
}
