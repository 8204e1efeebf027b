/** Archives for tests, byte by byte: what no tar program would write. */
import { Buffer } from "node:buffer";

const BLOCK = 512;

export interface Member {
  readonly name: string;
  /** ustar's type flag; "0" unless given. */
  readonly type?: string;
  readonly link?: string;
  readonly bytes?: Uint8Array;
  readonly mode?: number;
  /** Of a device: major and minor. */
  readonly device?: readonly [number, number];
}

/** One ustar header with its bytes, padded. The name must fit (100 bytes). */
export function member({ name, type = "0", link = "", bytes = Buffer.alloc(0), mode = 0o644, device }: Member): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 100);
  header.write(mode.toString(8).padStart(7, "0"), 100);
  header.write("0000000", 108);
  header.write("0000000", 116);
  header.write(bytes.length.toString(8).padStart(11, "0"), 124);
  header.write("00000000000", 136);
  header.write("        ", 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write("ustar\x0000", 257);
  for (const [i, number] of (device ?? []).entries()) header.write(number.toString(8).padStart(7, "0"), 329 + 8 * i);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** A pax extended header for the member that follows. */
export function paxRecords(records: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(records).map(([key, value]) => {
    const body = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(body);
    while (String(length).length + Buffer.byteLength(body) !== length) length++;
    return `${length}${body}`;
  });
  return member({ name: "PaxHeaders/x", type: "x", bytes: Buffer.from(text.join("")) });
}

export const tarOf = (...members: readonly Uint8Array[]): Buffer =>
  Buffer.concat([...members, Buffer.alloc(2 * BLOCK)]);
