/** The worker process for file trees: answers requests in turn until its input ends. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { Placer } from "./worker-place.ts";
import { entryOf, type PlacingText, type WorkerAnswer, type WorkerRequest } from "./worker-protocol.ts";
import { readIn, resolveIn, walk, writeIndex } from "./worker-tree.ts";

export async function workOnFiles(): Promise<number> {
  const say = (answer: WorkerAnswer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, ...request } = JSON.parse(line) as WorkerRequest & { readonly id: number };
    try {
      say({ id, value: answer(request) ?? null });
    } catch (error) {
      say({ id, code: codeOf(error), message: messageOf(error) });
    }
  }
  return 0;
}

function answer(request: WorkerRequest): unknown {
  switch (request.kind) {
    case "index":
      return writeIndex(request.index, walk(request.root, request.path));
    case "resolve":
      return resolveIn(request.root, request.path);
    case "read":
      return readIn(request.root, request.path, request.maxBytes)?.toString("base64");
    case "place":
      return place(request);
  }
}

function place(request: Extract<WorkerRequest, { readonly kind: "place" }>): void {
  const placings = JSON.parse(readFileSync(request.placings, "utf8")) as PlacingText[];
  const placer = new Placer(request);
  for (const { entry, original } of placings) placer.place({ entry: entryOf(entry), original: entryOf(original) });
  placer.finish();
}
