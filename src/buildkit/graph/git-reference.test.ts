import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "../../platform/errors.ts";
import { parseGitReference } from "./git-reference.ts";

const plain = {
  ref: "",
  subdirectory: "",
  checksum: "",
  keepGitDirectory: undefined,
  submodules: true,
};
const remote = "https://h/r.git";

const parsed = {
  [remote]: { remote },
  [`${remote}#main:a/b`]: { remote, ref: "main", subdirectory: "a/b" },
  [`${remote}#:../../a`]: { remote, subdirectory: "a" },
  [`${remote}?ref=v1&subdir=a`]: { remote, ref: "v1", subdirectory: "a" },
  [`${remote}?tag=v1`]: { remote, ref: "refs/tags/v1" },
  [`${remote}?branch=b`]: { remote, ref: "refs/heads/b" },
  [`${remote}?commit=0123456`]: { remote, ref: "0123456", checksum: "0123456" },
  [`${remote}?ref=v1&checksum=01`]: { remote, ref: "v1", checksum: "01" },
  [`${remote}?keep-git-dir`]: { remote, keepGitDirectory: true },
  [`${remote}?keep-git-dir=false&submodules=0`]: { remote, keepGitDirectory: false, submodules: false },
  [`${remote}?submodules=true&fetch-by-commit&mtime=commit`]: { remote },
  "git@h:u/r.git#b": { remote: "git@h:u/r.git", ref: "b" },
  "ssh://git@h:22/r": { remote: "ssh://git@h:22/r" },
  "git://h/r": { remote: "git://h/r" },
};

for (const [text, expected] of Object.entries(parsed))
  test(`${text} is a repository`, () => {
    assert.deepEqual(parseGitReference(text), { ...plain, ...expected });
  });

for (const text of [
  "https://h/r",
  "http://h/r.tar",
  "file:///r.git",
  "ext::sh r.git",
  "/r.git",
  "./r.git",
  "ftp://h/r.git",
])
  test(`${text} is none`, () => {
    assert.equal(parseGitReference(text), undefined);
  });

const wrong = {
  "ref=a&ref=b": /query "ref" has multiple values/,
  "subdir=": /query "subdir" has no value/,
  "tag=a&branch=b": /conflicts/,
  "keep-git-dir=maybe": /invalid keep-git-dir value: "maybe"/,
  "submodules=2": /invalid submodules value/,
  "mtime=now": /invalid mtime value: "now"/,
  "other=1": /unexpected query "other"/,
};

for (const [query, message] of Object.entries(wrong))
  test(`?${query} is refused`, () => {
    assert.throws(
      () => parseGitReference(`${remote}?${query}`),
      (error) => {
        assert.match(messageOf(error), message);
        return true;
      },
    );
  });
