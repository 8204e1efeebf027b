import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { Reserve } from "../../platform/reserve.ts";
import { EventRing } from "../events/bus.ts";
import type { Kernel } from "../kernel.ts";
import { VolumeDisk } from "./disk.ts";
import { parseMountOptions } from "./mount-options.ts";
import { LocalVolumes } from "./service.ts";
import { VolumeStore } from "./store.ts";

let root: string;
let events: EventRing;
const ran: string[] = [];
/** Deletes as keel does; everything else is only noted. */
const kernel: Kernel = {
  run: async (_what, operations) => {
    for (const { name, subject } of operations) {
      ran.push(name);
      if (name === "removeTree") rmSync(subject, { recursive: true });
    }
    return new Map();
  },
};

const store = (): VolumeStore => new VolumeStore(root, new Reserve(`${root}.reserve`, 4096));
const open = (): LocalVolumes =>
  new LocalVolumes({
    store: store(),
    disk: new VolumeDisk(kernel),
    events,
    onFailure: (what, error) => assert.fail(`${what}: ${messageOf(error)}`),
  });
const wanted = (name: string, more = {}) => ({ name, driver: "", driverOpts: {}, labels: {}, ...more });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hull-volumes-"));
  events = new EventRing();
  ran.length = 0;
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
  rmSync(`${root}.reserve`, { force: true });
});

test("a volume is a directory that a new engine finds again", async () => {
  const volume = await open().create(wanted("data", { labels: { a: "b" } }));
  assert.equal(volume.mountpoint, join(root, "data", "_data"));
  assert.deepEqual(open().get("data"), volume);
  assert.deepEqual(
    events.past().map(({ action, id }) => [action, id]),
    [["create", "data"]],
  );
});

test("creating a volume twice gives the same one and one event", async () => {
  const volumes = open();
  const [first, second] = await Promise.all([volumes.create(wanted("data")), volumes.create(wanted("data"))]);
  assert.equal(first, second);
  assert.equal(events.past().length, 1);
});

test("a volume without a name is anonymous", async () => {
  const volume = await open().create(wanted(""));
  assert.match(volume.name, /^[0-9a-f]{64}$/);
  assert.ok(volume.anonymous && "com.docker.volume.anonymous" in volume.labels);
});

const refused: readonly (readonly [string, object, string])[] = [
  ["a", {}, "create a: volume name is too short, names should be at least two alphanumeric characters"],
  ["../x", {}, 'create ../x: "../x" includes invalid characters for a local volume name'],
  ["xx", { driver: "nfs" }, 'create xx: error looking up volume plugin nfs: plugin "nfs" not found'],
  ["xx", { driverOpts: { foo: "1" } }, 'create xx: invalid option: "foo"'],
  ["xx", { driverOpts: { type: "tmpfs" } }, 'create xx: missing required option: "device"'],
  ["xx", { driverOpts: { size: "1g" } }, "create xx: quota size requested but no quota support"],
];
for (const [name, more, message] of refused) {
  test(`refused and nothing made: ${message.slice(0, 60)}`, async () => {
    await assert.rejects(open().create(wanted(name, more)), (error) => messageOf(error).startsWith(message));
    assert.deepEqual(readdirSync(root), []);
  });
}

test("a volume that a container refers to cannot be removed", async () => {
  const volumes = open();
  await volumes.create(wanted("data"));
  volumes.acquire("data", "c1");
  await assert.rejects(volumes.remove("data", true), (error) => {
    assert.equal(messageOf(error), "remove data: volume is in use - [c1]");
    return codeOf(error) === "conflict";
  });
  volumes.release("data", "c1");
  await volumes.remove("data", false);
  assert.equal(existsSync(join(root, "data")), false);
  await assert.rejects(volumes.remove("data", false), /get data: no such volume/);
  await volumes.remove("data", true);
});

test("an interrupted removal is finished by the next engine", async () => {
  await open().create(wanted("data"));
  await store().detach("data");
  assert.deepEqual(open().list(), []);
  assert.deepEqual(readdirSync(root), []);
});

test("an interrupted creation is no volume, and goes with the next engine", async () => {
  mkdirSync(join(root, ".making-data", "_data"), { recursive: true });
  const volumes = open();
  assert.deepEqual(volumes.list(), []);
  assert.deepEqual(readdirSync(root), []);
  const made = await volumes.create(wanted("data", { driverOpts: { type: "tmpfs", device: "tmpfs" } }));
  assert.deepEqual(open().list(), [made]);
  assert.deepEqual(readdirSync(root), ["data"]);
});

test("an anonymous volume goes with the container it was made for, unless that let it go or another refers to it", async () => {
  const before = open();
  const names: string[] = [];
  for (const owner of ["there", "gone", "let go", "used"])
    names.push((await before.create(wanted("", { owner }))).name);
  const named = await before.create(wanted("named", { owner: "gone" }));
  const [there, gone, free, used] = names as [string, string, string, string];
  await before.disown(free);
  await before.disown("absent");
  const next = open();
  next.acquire(used, "another");
  await next.removeOrphans((id) => id === "there");
  assert.deepEqual(
    next
      .list()
      .map(({ name }) => name)
      .sort(),
    [there, free, used, named.name].sort(),
  );
  assert.equal(next.find(gone), undefined);
});

test("an unknown schema is refused and left alone", async () => {
  await open().create(wanted("data"));
  const path = join(root, "data", "opts.json");
  const newer = readFileSync(path, "utf8").replace('"schema":1', '"schema":9');
  writeFileSync(path, newer);
  assert.throws(() => open(), /has schema 9, this version knows 1/);
  assert.equal(readFileSync(path, "utf8"), newer);
});

test("a volume with driver options is mounted with its first user and unmounted with its last", async () => {
  const volumes = open();
  await volumes.create(wanted("ram", { driverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m,ro" } }));
  await volumes.mount("ram", "c1");
  await volumes.mount("ram", "c2");
  await volumes.unmount("ram", "c1");
  assert.ok(!ran.includes("umount"));
  await volumes.unmount("ram", "c2");
  assert.equal(ran.at(-1), "umount");
});

test("an empty volume is filled once from a directory, and a missing directory is nothing to copy", async () => {
  const volumes = open();
  const { mountpoint } = await volumes.create(wanted("data"));
  assert.equal(await volumes.copyUp("data", join(root, "absent")), false);
  assert.deepEqual(ran, []);
  assert.equal(await volumes.copyUp("data", tmpdir()), true);
  assert.deepEqual(ran, ["copyTree", "lchown", "chmod"]);
  writeFileSync(join(mountpoint, "file"), "");
  assert.equal(await volumes.copyUp("data", tmpdir()), false);
});

test("mount options become flags and data", () => {
  assert.deepEqual(parseMountOptions("ro,nosuid,rw,size=1m,addr=10.0.0.1"), {
    flags: 2,
    data: "size=1m,addr=10.0.0.1",
  });
});
