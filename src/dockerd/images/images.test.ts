import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { parseFilters } from "../http/filters.ts";
import { buildCatalog, findImage, type ImageDetails, noSuchImage, repoTags } from "./catalog.ts";
import { applyChanges } from "./changes.ts";
import { formatHistory, layersBytes, sharedBytes } from "./format.ts";
import { filterImages, listFilterNames } from "./list-filters.ts";
import { planRemoval, removalRows } from "./removal.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const layer = (letter: string, bytes: number) => ({ diffId: digest(letter), chainId: digest(letter), bytes });

function details(name: string, id: string, layers = [layer("1", 10)]): ImageDetails {
  const target = {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: digest(id === "a" ? "d" : "e"),
    size: 1,
  };
  const config = {
    architecture: "amd64",
    os: "linux",
    created: id === "a" ? "2024-01-01T00:00:00Z" : "2025-01-01T00:00:00Z",
    config: { Labels: { of: id } },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: [{ created_by: "ADD x" }, { created_by: "CMD", empty_layer: true }],
  };
  return {
    name,
    target,
    manifest: target,
    configDigest: digest(id),
    config: Buffer.from(JSON.stringify(config)),
    layers,
    updatedAtMs: 0,
    chainId: layers.at(-1)!.chainId,
  };
}

const catalog = buildCatalog([
  details("docker.io/library/busybox:latest", "a"),
  details("docker.io/library/busybox:1", "a"),
  details("example.com:5000/me/app:v2", "b", [layer("1", 10), layer("2", 5)]),
  details(`moby-dangling@${digest("f")}`, "c"),
]);
const image = (id: string) => catalog.byId.get(digest(id))!;

const references: readonly (readonly [string, string | undefined])[] = [
  ["busybox", "a"],
  ["docker.io/library/busybox:1", "a"],
  ["busybox:2", undefined],
  ["aaaaaaaaaaaa", "a"],
  [digest("b"), "b"],
  ["b".repeat(64), "b"],
  [`busybox@${digest("d")}`, "a"],
  [`busybox@${digest("e")}`, undefined],
  ["example.com:5000/me/app:v2", "b"],
  ["sha256:bbbb", "b"],
];
for (const [text, id] of references) {
  test(`${text.slice(0, 40)} names ${id === undefined ? "no image" : `image ${id}`}`, () => {
    assert.equal(findImage(catalog, text)?.id, id && digest(id));
  });
}

test("a missing image is named as clients expect before they pull", () => {
  assert.equal(noSuchImage("nope").message, "No such image: nope:latest");
});

test("names of one image are together, and unnamed images have none", () => {
  assert.deepEqual(repoTags(image("a")), ["busybox:latest", "busybox:1"]);
  assert.deepEqual(repoTags(image("c")), []);
});

const filters: readonly (readonly [object, string])[] = [
  [{}, "b,a,c"],
  [{ dangling: ["true"] }, "c"],
  [{ dangling: ["false"] }, "b,a"],
  [{ label: ["of=b"] }, "b"],
  [{ reference: ["busybox:1"] }, "a"],
  [{ reference: ["example.com:5000/*/app"] }, "b"],
  [{ reference: ["b*"] }, "a"],
  [{ since: ["busybox"] }, "b,c"],
  [{ before: ["example.com:5000/me/app:v2"] }, "a"],
];
for (const [given, expected] of filters) {
  test(`images filtered by ${JSON.stringify(given)} are ${expected}`, () => {
    const found = filterImages(catalog, parseFilters(JSON.stringify(given), listFilterNames));
    assert.deepEqual(found.map(({ id }) => id.slice(7, 8)).sort(), expected.split(",").sort());
  });
}

test("shared layers are counted once", () => {
  assert.equal(sharedBytes(image("b"), catalog), 10);
  assert.equal(layersBytes(catalog), 15);
});

test("the newest step of a history carries the image's id and names", () => {
  const [newest, oldest] = formatHistory(image("a")) as { Id: string; Size: number; Tags: string[] | null }[];
  assert.deepEqual([newest!.Id, newest!.Size, newest!.Tags], [digest("a"), 0, ["busybox:latest", "busybox:1"]]);
  assert.deepEqual([oldest!.Id, oldest!.Size, oldest!.Tags], ["<missing>", 10, null]);
});

const remove = (id: string, text: string, options: { force?: boolean; running?: boolean; stopped?: boolean } = {}) => {
  const users = [
    ...(options.running ? [{ containerId: "r".repeat(64), running: true }] : []),
    ...(options.stopped ? [{ containerId: "s".repeat(64), running: false }] : []),
  ];
  return planRemoval(image(id), { text, force: options.force ?? false, users });
};
const refusal = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    assert.equal(codeOf(error), "conflict");
    return messageOf(error);
  }
  throw new Error("not refused");
};

test("removing one of two names only takes the name away", () => {
  const removal = remove("a", "busybox:1", { stopped: true });
  assert.deepEqual(removalRows(image("a"), removal, catalog), [{ Untagged: "busybox:1" }]);
});

test("removing the last name deletes the image and the layers that only it had", () => {
  const removal = remove("b", "example.com:5000/me/app:v2");
  assert.deepEqual(removalRows(image("b"), removal, catalog), [
    { Untagged: "example.com:5000/me/app:v2" },
    { Deleted: digest("b") },
    { Deleted: digest("2") },
  ]);
});

test("an image in use is refused in Docker's words", () => {
  assert.equal(
    refusal(() => remove("b", "example.com:5000/me/app:v2", { stopped: true })),
    'conflict: unable to remove repository reference "example.com:5000/me/app:v2" (must force) - container ssssssssssss is using its referenced image bbbbbbbbbbbb',
  );
  assert.match(
    refusal(() => remove("b", "bbbb", { running: true, force: true })),
    /\(cannot be forced\) - image is being used by running container r{12}$/,
  );
  assert.match(
    refusal(() => remove("b", "bbbb", { stopped: true })),
    /\(must be forced\) - image is being used by stopped container s{12}$/,
  );
});

test("a repository's last tag takes its digests with it, another tag leaves them", () => {
  const name = "r.example/app";
  const records = [`${name}:1`, `${name}:2`, `${name}@${digest("d")}`];
  const pulled = (names: readonly string[]) =>
    buildCatalog(names.map((one) => details(one, "a"))).byId.get(digest("a"))!;
  const plan = (names: readonly string[]) => planRemoval(pulled(names), { text: `${name}:1`, force: false, users: [] });
  const namesOf = (removed: ReturnType<typeof plan>) => removed.records.map((record) => record.name);
  assert.deepEqual(namesOf(plan(records)), [records[0]]);
  const last = plan([records[0]!, records[2]!]);
  assert.deepEqual([namesOf(last), last.deletesImage], [[records[0], records[2]], true]);
});

test("a forced removal keeps what a stopped container needs", () => {
  const removal = remove("b", "bbbb", { stopped: true, force: true });
  assert.equal(removal.keepsContent, true);
  assert.deepEqual(removalRows(image("b"), removal, catalog), [{ Untagged: "example.com:5000/me/app:v2" }]);
});

test("changes are applied as a Dockerfile would", () => {
  const changes = [
    'CMD ["a","b"]',
    "ENTRYPOINT run it",
    'ENV A=1 B="two words"',
    "ENV C three",
    "EXPOSE 80 53/udp",
    "LABEL x=y",
  ];
  const config = applyChanges({ Env: ["A=0", "Z=9"], WorkingDir: "/a" }, [
    ...changes,
    "WORKDIR b",
    "USER me",
    "VOLUME /v",
  ]);
  assert.deepEqual(config, {
    Env: ["Z=9", "A=1", "B=two words", "C=three"],
    WorkingDir: "/a/b",
    Cmd: ["a", "b"],
    Entrypoint: ["/bin/sh", "-c", "run it"],
    ExposedPorts: { "80/tcp": {}, "53/udp": {} },
    Labels: { x: "y" },
    User: "me",
    Volumes: { "/v": {} },
  });
  assert.throws(() => applyChanges({}, ["RUN x"]), /RUN is not a valid change command/);
});
