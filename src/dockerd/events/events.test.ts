import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import type { EngineEvent } from "./api.ts";
import { EventRing } from "./bus.ts";
import { formatEvent, includesEvent, parseEventFilters } from "./format.ts";

const start: EngineEvent = {
  type: "container",
  action: "start",
  id: "abcdef012345",
  attributes: { image: "busybox:latest", name: "web", tier: "front" },
  timeNano: 1_700_000_000_123_456_789n,
};

test("an event keeps its nanoseconds and carries the fields of older clients", () => {
  const text = formatEvent(start, "1.51");
  assert.ok(text.endsWith('"scope":"local","time":1700000000,"timeNano":1700000000123456789}\n'));
  assert.ok(text.startsWith('{"status":"start","id":"abcdef012345","from":"busybox:latest","Type":"container"'));
  assert.ok(formatEvent(start, "1.52").startsWith('{"Type"'));
});

const cases: readonly (readonly [object, boolean])[] = [
  [{}, true],
  [{ type: ["container"] }, true],
  [{ type: ["image"] }, false],
  [{ event: ["start", "stop"] }, true],
  [{ event: ["sta"] }, false],
  [{ container: ["web"] }, true],
  [{ container: ["abcdef"] }, true],
  [{ container: ["other"] }, false],
  [{ image: ["busybox"] }, true],
  [{ image: { "busybox:latest": true } }, true],
  [{ label: ["tier=front"] }, true],
  [{ label: ["tier=back"] }, false],
  [{ volume: ["v"] }, false],
];
for (const [filters, included] of cases) {
  test(`the filter ${JSON.stringify(filters)} ${included ? "lets the event through" : "holds it back"}`, () => {
    assert.equal(includesEvent(parseEventFilters(JSON.stringify(filters)), start), included);
  });
}

test("an exec event is found without its command", () => {
  const filters = parseEventFilters('{"event":{"exec_create":true}}');
  assert.ok(includesEvent(filters, { ...start, action: "exec_create: sh -c x" }));
});

test("an unknown filter is refused", () => {
  assert.throws(
    () => parseEventFilters('{"nope":["x"]}'),
    (error) => error instanceof HullError && error.message === "invalid filter 'nope'",
  );
});

test("the ring keeps the latest 256 events with rising times", () => {
  const bus = new EventRing();
  const seen: EngineEvent[] = [];
  using _ = bus.subscribe((event) => seen.push(event));
  for (let i = 0; i < 300; i++) bus.publish({ type: "volume", action: "create", id: `v${i}` });
  assert.equal(seen.length, 300);
  assert.equal(bus.past().length, 256);
  assert.equal(bus.past()[0]!.id, "v44");
  assert.ok(seen.every((event, i) => i === 0 || event.timeNano > seen[i - 1]!.timeNano));
});
