/** The reading end of a FIFO or pipe as bytes, as they come: what is not asked for stays in the pipe, so its writer waits. */

/** What is used of Bun's API. */
declare const Bun: { file(fd: number): { stream(): AsyncIterable<Uint8Array> } };

/** Until the last writer has closed it. The descriptor stays the caller's. */
export const descriptorStream = (fd: number): AsyncIterable<Uint8Array> => Bun.file(fd).stream();
