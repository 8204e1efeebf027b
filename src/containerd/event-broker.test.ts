import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../platform/errors.ts";
import { EventBroker } from "./event-broker.ts";
import { decodeEvent } from "./events.ts";
import type { Envelope } from "./gen/containerd/types/event_pb.ts";

async function collect(events: AsyncIterable<Envelope>): Promise<Envelope[]> {
  const found: Envelope[] = [];
  for await (const event of events) found.push(event);
  return found;
}

test("a subscriber gets what matches its filter, from the subscription on, in order", async () => {
  const broker = new EventBroker();
  const abort = new AbortController();
  broker.publish("moby", "/tasks/start", { containerId: "before", pid: 1 });
  const subscription = broker.subscribe(["namespace==moby,topic~=|^/tasks/|"], abort.signal);
  broker.publish("moby", "/tasks/start", { containerId: "a", pid: 7 });
  broker.publish("moby", "/containers/delete", { id: "a" });
  broker.publish("other", "/tasks/start", { containerId: "b", pid: 8 });
  broker.publish("moby", "/tasks/exit", { containerId: "a", id: "a", pid: 7, exitStatus: 3 });
  setTimeout(() => abort.abort(), 5);
  const events = (await collect(subscription)).map((envelope) => decodeEvent(envelope)!);
  assert.deepEqual(
    events.map(({ topic }) => topic),
    ["/tasks/start", "/tasks/exit"],
  );
  const [start, exit] = events;
  assert.ok(start?.topic === "/tasks/start" && start.event.containerId === "a" && start.event.pid === 7);
  assert.ok(exit?.topic === "/tasks/exit" && exit.event.exitStatus === 3);
});

test("a subscriber that does not read loses its subscription and delays nobody", async () => {
  const broker = new EventBroker();
  const abort = new AbortController();
  const slow = broker.subscribe([], abort.signal);
  for (let i = 0; i < 20_000; i++) broker.publish("moby", "/containers/delete", { id: `${i}` });
  await assert.rejects(collect(slow), (error) => codeOf(error) === "resource-exhausted");
  abort.abort();
});

test("malformed filters are refused at the subscription", () => {
  assert.throws(() => new EventBroker().subscribe(["topic~=("], new AbortController().signal));
});
