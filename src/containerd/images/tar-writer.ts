/** Heads and ends of a tar of plain files and directories (POSIX ustar; sizes beyond 8 GiB in base 256). Pure. */
const BLOCK = 512;
const MAX_OCTAL = 0o77777777777;

export interface TarEntry {
  /** At most 100 bytes; a directory ends in "/". */
  readonly name: string;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
}

export function tarHead({ name, size, mtime }: TarEntry): Buffer {
  const head = Buffer.alloc(BLOCK);
  const isDirectory = name.endsWith("/");
  const octal = (value: number, at: number, length: number): void => {
    head.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  if (Buffer.byteLength(name) > 100) throw new RangeError(`tar entry name of more than 100 bytes: ${name}`);
  head.write(name, 0, "utf8");
  octal(isDirectory ? 0o755 : 0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (size <= MAX_OCTAL) octal(size, 124, 12);
  else {
    head[124] = 0x80;
    head.writeBigUInt64BE(BigInt(size), 128);
  }
  octal(mtime, 136, 12);
  head.write("        ", 148, "latin1");
  head.write(isDirectory ? "5" : "0", 156, "latin1");
  head.write("ustar\x0000", 257, "latin1");
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return head;
}

/** Zeros that follow `size` bytes of content. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** Two empty blocks. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * BLOCK);
