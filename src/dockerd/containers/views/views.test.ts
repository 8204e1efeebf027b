import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import { parseFilters } from "../../http/filters.ts";
import { type ContainerRecord, noSandbox } from "../record.ts";
import { recordOf as record } from "../record-fixture.ts";
import { type ContainerState, newState, next } from "../state.ts";
import { fromStored, toStored } from "../stored.ts";
import { listFilterNames, selector } from "./filter.ts";
import { humanDuration, statusText } from "./status-text.ts";
import { commandText, portsOf } from "./summary.ts";

test("a record survives being written and read", () => {
  const before = record({
    state: next(newState, { kind: "started", pid: 5, at: "2026-01-01T00:00:01Z" }),
    restartCount: 2,
  });
  assert.deepEqual(fromStored(toStored(before), JSON.stringify(before.hostConfig), "/d"), before);
});

test("a record of a newer version is refused", () => {
  const text = toStored(record()).replace('"schema":1', '"schema":2');
  assert.throws(
    () => fromStored(text, "{}", "/d"),
    (error) => error instanceof HullError && error.code === "failed-precondition",
  );
});

const durations: readonly (readonly [number, string])[] = [
  [500, "Less than a second"],
  [1000, "1 second"],
  [59_000, "59 seconds"],
  [60_000, "About a minute"],
  [120_000, "2 minutes"],
  [3_600_000, "About an hour"],
  [7_200_000, "2 hours"],
  [48 * 3_600_000, "2 days"],
  [15 * 24 * 3_600_000, "2 weeks"],
  [90 * 24 * 3_600_000, "3 months"],
  [800 * 24 * 3_600_000, "2 years"],
];
for (const [ms, text] of durations) test(`${ms} ms is ${text}`, () => assert.equal(humanDuration(ms), text));

test("status sentences are Docker's", () => {
  const at = "2026-01-01T00:00:00Z";
  const now = Date.parse(at) + 5000;
  const running = next(newState, { kind: "started", pid: 5, at });
  const ended = (restarts: boolean): ContainerState =>
    next(running, { kind: "exited", exitCode: 3, at, oomKilled: false, restarts });
  assert.equal(statusText(running, undefined, now), "Up 5 seconds");
  assert.equal(
    statusText(running, { status: "starting", failingStreak: 0, log: [] }, now),
    "Up 5 seconds (health: starting)",
  );
  assert.equal(statusText(running, { status: "healthy", failingStreak: 0, log: [] }, now), "Up 5 seconds (healthy)");
  assert.equal(statusText(next(running, { kind: "paused" }), undefined, now), "Up 5 seconds (Paused)");
  assert.equal(statusText(ended(false), undefined, now), "Exited (3) 5 seconds ago");
  assert.equal(statusText(ended(true), undefined, now), "Restarting (3) 5 seconds ago");
  assert.equal(statusText(newState, undefined, now), "Created");
});

test("ports show published and exposed ones", () => {
  const rows = portsOf({ "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }], "53/udp": null });
  assert.deepEqual(rows, [
    { IP: "0.0.0.0", PrivatePort: 80, Type: "tcp", PublicPort: 8080 },
    { PrivatePort: 53, Type: "udp" },
  ]);
});

test("the command of a row is quoted", () => assert.equal(commandText(record()), `sh -c 'echo it'\\''s'`));

const facts = {
  lookUp: (): ContainerRecord => record({ created: "2026-01-02T00:00:00Z" }),
  imagesOf: (reference: string) => (reference === "busybox" ? ["sha256:1"] : []),
};
const exited = record({ state: { ...newState, kind: "exited", exitCode: 3 } });
const cases: readonly (readonly [Record<string, string[]>, ContainerRecord, boolean])[] = [
  [{ status: ["exited"] }, exited, true],
  [{ status: ["running"] }, exited, false],
  [{ exited: ["3"] }, exited, true],
  [{ exited: ["0"] }, exited, false],
  [{ name: ["we"] }, record(), true],
  [{ name: ["^/web$"] }, record(), true],
  [{ name: ["db"] }, record(), false],
  [{ id: ["aaa"] }, record(), true],
  [{ label: ["a=b"] }, record(), true],
  [{ label: ["a=c"] }, record(), false],
  [{ ancestor: ["busybox"] }, record(), true],
  [{ ancestor: ["alpine"] }, record(), false],
  [{ before: ["x"] }, record(), true],
  [{ since: ["x"] }, record(), false],
  [{ health: ["none"] }, record(), true],
  [{ volume: ["data"] }, record(), false],
  [
    { publish: ["80"] },
    record({ sandbox: { ...noSandbox, ports: { "80/tcp": [{ HostIp: "", HostPort: "1" }] } } }),
    true,
  ],
];
for (const [wanted, subject, kept] of cases)
  test(`filter ${JSON.stringify(wanted)} ${kept ? "keeps" : "drops"} a container that is ${subject.state.kind}`, () =>
    assert.equal(selector(parseFilters(JSON.stringify(wanted), listFilterNames), facts)(subject), kept));

for (const wanted of [{ status: ["up"] }, { exited: ["x"] }, { health: ["fine"] }, { publish: ["a"] }])
  test(`filter ${JSON.stringify(wanted)} is refused`, () =>
    assert.throws(() => selector(parseFilters(JSON.stringify(wanted), listFilterNames), facts), /invalid filter/));
