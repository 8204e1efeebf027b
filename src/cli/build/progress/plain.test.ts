import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type StatusResponse, StatusResponseSchema } from "../../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { PlainDisplay } from "./plain.ts";

type Message = MessageInitShape<typeof StatusResponseSchema>;
const at = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 });
const log = (vertex: string, ms: number, text: string) => ({
  vertex,
  timestamp: at(ms),
  stream: 1n,
  msg: Buffer.from(text),
});

async function shown(messages: readonly Message[]): Promise<string> {
  let text = "";
  const write = async (more: string) => {
    text += more;
  };
  const display = new PlainDisplay(write, () => 2000);
  for (const message of messages) await display.take(create(StatusResponseSchema, message) as StatusResponse);
  await display.end();
  return text;
}

const a = { digest: "a", name: "[1/2] RUN a", started: at(1000) };
const b = { digest: "b", name: "[2/2] RUN b", started: at(1100) };
const cases: readonly (readonly [string, readonly Message[], string])[] = [
  [
    "a step, its output and its end",
    [
      { vertexes: [a], logs: [log("a", 1250, "one\ntw")] },
      { logs: [log("a", 1300, "o\n")] },
      { vertexes: [{ ...a, completed: at(2500) }] },
    ],
    "#1 [1/2] RUN a\n#1 0.250 one\n#1 0.250 two\n#1 DONE 1.5s\n",
  ],
  [
    "steps that end in turn, numbered as they are shown; one that never began is not",
    [
      { vertexes: [{ digest: "c", name: "never" }, b, a] },
      { vertexes: [{ ...a, completed: at(1100), cached: true }] },
      { vertexes: [{ ...b, completed: at(1200), error: "failed" }] },
    ],
    "#1 [2/2] RUN b\n#1 ...\n\n#2 [1/2] RUN a\n#2 CACHED\n\n#1 [2/2] RUN b\n#1 ERROR: failed\n",
  ],
  [
    "bytes that travel",
    [
      {
        vertexes: [a],
        statuses: [{ ID: "transferring context:", vertex: "a", current: 2_100_000n, started: at(1000) }],
      },
      {
        vertexes: [{ ...a, completed: at(1500) }],
        statuses: [
          { ID: "transferring context:", vertex: "a", current: 3_000_000n, started: at(1000), completed: at(1500) },
        ],
      },
    ],
    "#1 [1/2] RUN a\n#1 transferring context: 2.10MB 1.0s\n#1 transferring context: 3.00MB 0.5s done\n#1 DONE 0.5s\n",
  ],
];
for (const [what, messages, text] of cases)
  test(`plain progress shows ${what}`, async () => {
    assert.equal(await shown(messages), text);
  });
