import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import { modeOfMadeDirectories, parseChmod } from "./chmod.ts";
import { needsAccountFiles, resolveOwner } from "./owner.ts";

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbroken:x\n",
  group: "root:x:0:\nstaff:x:50:app\napp:x:1001:\n",
};

test("owners are names of the image or numbers", () => {
  const table: Readonly<Record<string, string>> = {
    app: "1000:1001",
    "app:staff": "1000:50",
    "app:7": "1000:7",
    "5": "5:5",
    "5:staff": "5:50",
    "5:6": "5:6",
    root: "0:0",
    ":staff": "0:50",
    "app:": "1000:1001",
  };
  for (const [text, expected] of Object.entries(table)) {
    const { uid, gid } = resolveOwner(text, files);
    assert.equal(`${uid}:${gid}`, expected, text);
  }
  assert.deepEqual(["5:6", "root", "root:root", "app", "5:staff"].map(needsAccountFiles), [
    false,
    false,
    false,
    true,
    true,
  ]);
});

test("an owner that the image does not know is refused", () => {
  const unknown: readonly (readonly [owner: string, message: RegExp])[] = [
    ["ghost", /can't find uid for user ghost: no such user: ghost/],
    ["app:ghosts", /can't find gid for group ghosts: no such group: ghosts/],
    ["broken", /no such user: broken/],
    ["99999999999", /no such user/],
  ];
  for (const [owner, message] of unknown) {
    const refused = (error: unknown) =>
      error instanceof HullError && error.code === "invalid-argument" && message.test(error.message);
    assert.throws(() => resolveOwner(owner, files), refused, owner);
  }
  assert.throws(() => resolveOwner("app", { passwd: "", group: "" }), /no such user: app/);
});

/** [change, mode before, file's mode after, directory's mode after], octal. */
const modes: readonly (readonly [change: string, before: string, file: string, directory: string])[] = [
  ["755", "600", "755", "755"],
  ["0", "644", "0", "0"],
  ["07777", "644", "7777", "7777"],
  ["u=rwX,go=rX", "600", "644", "755"],
  ["u=rwX,go=rX", "700", "755", "755"],
  ["+x", "644", "755", "755"],
  ["a-w", "666", "444", "444"],
  ["go=", "755", "700", "700"],
  ["g=u", "640", "660", "660"],
  ["u+s,o+t", "755", "4755", "4755"],
  ["g+s", "755", "2755", "2755"],
  ["+t", "755", "1755", "1755"],
  ["u=r,u+w", "777", "677", "677"],
  ["u+w-x", "500", "600", "600"],
  ["=rX", "640", "444", "555"],
];

test("modes change as chmod(1) says", () => {
  for (const [change, before, ofFile, ofDirectory] of modes) {
    const apply = parseChmod(change);
    const mode = Number.parseInt(before, 8);
    assert.equal(apply(mode, false).toString(8), ofFile, `${change} of file ${before}`);
    assert.equal(apply(mode, true).toString(8), ofDirectory, `${change} of directory ${before}`);
  }
  assert.deepEqual([undefined, "0700", "u=rwX"].map(modeOfMadeDirectories), [0o755, 0o700, 0o755]);
});

test("a bad mode is refused", () => {
  for (const text of ["", "8", "10000", "u", "x=r", "u=q", "u=r,", "0x1f", "=z"]) {
    assert.throws(() => parseChmod(text), /invalid chmod parameter/, text);
  }
});
