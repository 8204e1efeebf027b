/**
 * Git repositories as sources: "https://host/repo.git#ref:directory", "git@host:repo.git", "ssh://...", and the query form
 * "...repo.git?tag=v1&subdir=a" (Dockerfile reference, "ADD <git source>").
 */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";

export interface GitReference {
  readonly remote: string;
  /** Branch, tag or commit; "" is the default branch. */
  readonly ref: string;
  readonly subdirectory: string;
  readonly checksum: string;
  readonly keepGitDirectory: boolean | undefined;
  readonly submodules: boolean;
}

/** Undefined for what is no git source. Throws invalid-argument for one with a bad query. */
export function parseGitReference(text: string): GitReference | undefined {
  const match = /^([^?#]+)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text);
  if (match === null || !isRemote(match[1]!)) return undefined;
  const [, remote = "", query = "", fragment = ""] = match;
  const colon = fragment.indexOf(":");
  const [ref, directory] = colon < 0 ? [fragment, ""] : [fragment.slice(0, colon), fragment.slice(colon + 1)];
  const plain = {
    remote,
    ref: decoded(ref),
    subdirectory: posix.join("/", decoded(directory)).slice(1),
    checksum: "",
    keepGitDirectory: undefined,
    submodules: true,
  };
  return query === "" ? plain : withQuery(plain, new URLSearchParams(query));
}

/** What is no proper escape stays as it is written. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isRemote(remote: string): boolean {
  const scheme = /^([a-zA-Z0-9]+):\/\//.exec(remote)?.[1]?.toLowerCase();
  if (scheme === "http" || scheme === "https") return remote.endsWith(".git");
  if (scheme !== undefined) return scheme === "ssh" || scheme === "git";
  return /^[a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:[^/]/.test(remote) || /^[a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:\/./.test(remote);
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

const switches = new Set(["keep-git-dir", "submodules", "fetch-by-commit"]);

/** As Go reads truth values; there alone it is true. */
function truth(key: string, value: string): boolean {
  if (value === "" || /^(?:1|t|T|true|True|TRUE)$/.test(value)) return true;
  if (/^(?:0|f|F|false|False|FALSE)$/.test(value)) return false;
  throw bad(`invalid ${key} value: "${value}"`);
}

function withQuery(plain: GitReference, query: URLSearchParams): GitReference {
  const found = { ...plain };
  const setRef = (value: string): void => {
    if (found.ref !== "" && found.ref !== value) throw bad(`ref conflicts: "${found.ref}" vs "${value}"`);
    found.ref = value;
  };
  for (const key of new Set(query.keys())) {
    const [value = "", ...more] = query.getAll(key);
    if (more.length > 0) throw bad(`query "${key}" has multiple values`);
    if (value === "" && !switches.has(key)) throw bad(`query "${key}" has no value`);
    switch (key) {
      case "ref":
        setRef(value);
        break;
      case "tag":
        setRef(value.startsWith("refs/tags/") ? value : `refs/tags/${value}`);
        break;
      case "branch":
        if (query.has("tag")) throw bad("branch conflicts with tag");
        setRef(value.startsWith("refs/heads/") ? value : `refs/heads/${value}`);
        break;
      case "subdir":
        if (found.subdirectory !== "" && found.subdirectory !== value) {
          throw bad(`subdir conflicts: "${found.subdirectory}" vs "${value}"`);
        }
        found.subdirectory = posix.join("/", value).slice(1);
        break;
      case "checksum":
      case "commit":
        found.checksum = value;
        break;
      case "keep-git-dir":
        found.keepGitDirectory = truth(key, value);
        break;
      case "submodules":
        found.submodules = truth(key, value);
        break;
      case "fetch-by-commit":
        truth(key, value); // Commits are fetched alone anyway.
        break;
      case "mtime":
        if (value !== "commit" && value !== "checkout")
          throw bad(`invalid mtime value: "${value}" (must be "checkout" or "commit")`);
        break;
      default:
        throw bad(`unexpected query "${key}" of a git source`);
    }
  }
  if (found.ref === "") found.ref = found.checksum;
  return found;
}
