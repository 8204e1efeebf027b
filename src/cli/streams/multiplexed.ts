/** Docker's multiplexed stream: frames of `type, 0, 0, 0, length (u32 big endian), payload`. */

export interface OutputChunk {
  /** 1 stdout, 2 stderr, 3 an error of the engine. */
  readonly stream: number;
  readonly bytes: Buffer;
}

const HEADER_BYTES = 8;

/** Splits received bytes into pieces of one stream each; a payload may come in several pieces. */
export class Demultiplexer {
  #header: Buffer = Buffer.alloc(0);
  #stream = 1;
  #left = 0;

  *push(received: Buffer): Generator<OutputChunk> {
    let bytes = received;
    while (bytes.length > 0) {
      if (this.#left === 0) {
        const missing = HEADER_BYTES - this.#header.length;
        this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
        bytes = bytes.subarray(missing);
        if (this.#header.length < HEADER_BYTES) return;
        this.#stream = this.#header[0]!;
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
        continue;
      }
      const piece = bytes.subarray(0, this.#left);
      this.#left -= piece.length;
      bytes = bytes.subarray(piece.length);
      yield { stream: this.#stream, bytes: piece };
    }
  }
}
