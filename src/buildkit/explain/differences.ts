/** What is other between two makings of a step, in words: from the parts of which their keys were made and what people know them by. */

/** By part a hash (never a value that may be secret), and what people call it. */
export type KeyParts = Readonly<Record<string, string>>;

export const BASE_PART = "base";
export const CONTENT_PART = "content";
export const FILE_PART = "file ";

/** Parts that are no part of a key, but say what another part's hash stands for. */
export const about = {
  /** "RUN make" */
  text: "text",
  /** The text of the step before it. */
  after: "after",
  /** "docker.io/library/busybox:latest sha256:...": what the first step of a stage is made on. */
  image: "image",
  /** The same of the image that a COPY takes from. */
  source: "source",
} as const;

const abouts: ReadonlySet<string> = new Set(Object.values(about));

/** How many files a step names at most. */
const MAX_NAMED = 20;

const isFile = (name: string): boolean => name.startsWith(FILE_PART);

/** Empty when nothing differs. */
export function differences(before: KeyParts, now: KeyParts): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  const changed = names.filter((name) => before[name] !== now[name] && !abouts.has(name));
  const known = [before, now].every((parts) => Object.keys(parts).some(isFile));
  const files = known ? changed.filter(isFile) : [];
  const others = changed.filter((name) => !isFile(name) && (files.length === 0 || name !== CONTENT_PART));
  const named = [...others, ...files.slice(0, MAX_NAMED)].map((name) => sentence(name, before, now));
  return files.length > MAX_NAMED ? [...named, `and ${files.length - MAX_NAMED} more files`] : named;
}

function sentence(name: string, before: KeyParts, now: KeyParts): string {
  const how = before[name] === undefined ? "is new" : now[name] === undefined ? "is gone" : "has changed";
  if (isFile(name)) return fileSentence(name, before[name], now[name]);
  if (name === BASE_PART) return baseSentence(before, now);
  if (name === CONTENT_PART) return contentSentence(before, now);
  if (name.startsWith("variable ")) return `ARG or ENV ${name.slice("variable ".length)} ${how}`;
  if (name === "instruction") return instructionSentence(before[about.text], now[about.text]);
  if (name.startsWith("contents of mount "))
    return `what mount ${name.slice("contents of mount ".length)} shows ${how}`;
  return `the ${name} ${how}`;
}

function instructionSentence(before: string | undefined, now: string | undefined): string {
  const texts = before !== undefined && now !== undefined && before !== now;
  return `the instruction has changed${texts ? `: it was ${JSON.stringify(before)}, is ${JSON.stringify(now)}` : ""}`;
}

function baseSentence(before: KeyParts, now: KeyParts): string {
  const [wasImage, isImage] = [before[about.image], now[about.image]];
  if (wasImage !== undefined && isImage !== undefined) return imageSentence("the base image", wasImage, isImage);
  const [was, is] = [before[about.after], now[about.after]];
  if (was === undefined || is === undefined) return "the step before it, or its base image, has changed";
  if (was === is) return `the step before it has changed: ${JSON.stringify(is)}`;
  return `the step before it has changed: it was ${JSON.stringify(was)}, is ${JSON.stringify(is)}`;
}

function contentSentence(before: KeyParts, now: KeyParts): string {
  const [was, is] = [before[about.source], now[about.source]];
  if (was === undefined || is === undefined || was === is) return "the files that it copies have changed";
  return `the files that it copies have changed: ${imageSentence("the image", was, is)}`;
}

function imageSentence(what: string, before: string, now: string): string {
  const [oldName, oldDigest] = before.split(" ");
  const [name, digest] = now.split(" ");
  if (oldName !== name) return `${what} was ${oldName}, is ${name}`;
  return `${what} ${name} has changed: it was ${oldDigest}, is ${digest}`;
}

/** "0644 0:0 4f2a...": mode, owner, contents. */
export const filePart = (mode: number, owner: string, contents: string): string =>
  `${mode.toString(8).padStart(4, "0")} ${owner} ${contents.slice(0, 16)}`;

function fileSentence(name: string, before: string | undefined, now: string | undefined): string {
  if (before === undefined || now === undefined) return `${name} ${before === undefined ? "is new" : "is gone"}`;
  const [oldMode, oldOwner, oldContents] = before.split(" ");
  const [mode, owner, contents] = now.split(" ");
  if (contents === undefined || oldContents === undefined) return `${name} has changed`;
  const changes = [
    ...(contents === oldContents ? [] : ["its contents have changed"]),
    ...(mode === oldMode ? [] : [`its mode was ${oldMode}, is ${mode}`]),
    ...(owner === oldOwner ? [] : [`its owner was ${oldOwner}, is ${owner}`]),
  ];
  return `${name}: ${changes.join(", ")}`;
}
