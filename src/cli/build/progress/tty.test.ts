import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { StatusResponseSchema } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { TtyDisplay } from "./tty.ts";

function displayed(nowMs: () => number): { readonly display: TtyDisplay; readonly written: string[] } {
  const written: string[] = [];
  const write = async (text: string): Promise<void> => void written.push(text);
  const display = new TtyDisplay({
    write,
    size: () => ({ rows: 24, columns: 60 }),
    nowMs,
    place: "docker:default",
    colors: false,
  });
  return { display, written };
}

const status = (vertexes: object[], logs: object[] = []) => create(StatusResponseSchema, { vertexes, logs } as never);

test("steps have their times; of one that has ended its output is gone", async () => {
  let now = 1000;
  const { display, written } = displayed(() => now);
  const step = { digest: "a", name: "[1/1] RUN make", started: timestampFromMs(1000) };
  now = 2500;
  await display.take(
    status([step], [{ vertex: "a", timestamp: timestampFromMs(1500), msg: Buffer.from("working\n") }]),
  );
  assert.match(written.at(-1)!, /\[\+\] Building 1\.5s \(0\/1\) +docker:default\n/);
  assert.match(written.at(-1)!, /=> \[1\/1\] RUN make +1\.5s\n/);
  assert.match(written.at(-1)!, /=> => # working\n/);
  now = 4000;
  await display.take(status([{ ...step, completed: timestampFromMs(3000) }]));
  await display.end();
  assert.match(written.at(-1)!, /\(1\/1\) FINISHED/);
  assert.match(written.at(-1)!, /=> \[1\/1\] RUN make +2\.0s\n/);
  assert.doesNotMatch(written.at(-1)!, /working/);
});

test("what the command says itself stands above the steps, which are drawn again below it", async () => {
  const { display, written } = displayed(() => 2000);
  await display.take(status([{ digest: "a", name: "[1/1] RUN make", started: timestampFromMs(1000) }]));
  await display.say("a large context\n");
  const [drawn, said, again] = written.slice(-3);
  const lines = drawn!.split("\n").length - 1;
  assert.equal(said, `\x1b[${lines}A\r\x1b[0Ja large context\n`);
  assert.doesNotMatch(again!, /\x1b\[\d+A/);
  const before = written.length;
  await display.say("");
  assert.equal(written.length, before);
  await display.end();
});
