import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestBody } from "./body.ts";
import type { Input } from "./input.ts";

/** Bytes of a connection that have all come already. */
function received(bytes: Buffer) {
  const chunks = [bytes];
  const given: Buffer[] = [];
  const input = {
    next: async () => chunks.shift(),
    unshift: (chunk: Buffer) => {
      if (chunk.length === 0) return;
      given.push(chunk);
      chunks.unshift(chunk);
    },
    get hasBytes() {
      return chunks.length > 0;
    },
  };
  return { input: input as unknown as Input, given };
}

test("a chunked body of small pieces is decoded without copying what follows them", async () => {
  const piece = `1f4\r\n${"x".repeat(500)}\r\n`;
  const bytes = Buffer.from(`${piece.repeat(300)}0\r\n\r\nGET / HTTP/1.1\r\n`);
  const { input, given } = received(bytes);
  const body = new RequestBody(input, { kind: "chunked" }, () => {});
  let total = 0;
  for await (const part of body) total += part.length;
  assert.equal(total, 150_000);
  assert.ok(given.every((rest) => rest.buffer === bytes.buffer));
  assert.equal(given.at(-1)?.toString(), "GET / HTTP/1.1\r\n");
});

test("a body says whether more of it has come", async () => {
  const { input } = received(Buffer.from("abcdef"));
  const body = new RequestBody(input, { kind: "length", bytes: 4 }, () => {});
  assert.equal(body.hasMore, true);
  assert.equal((await body.read())?.toString(), "abcd");
});
