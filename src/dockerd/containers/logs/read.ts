/**
 * The lines of a container's log: its tail, then (following) what comes, across rotations, until the container has ended and everything
 * was read. The reader sets the pace: a slow client delays nobody.
 */
import { watch } from "node:fs";
import { type LogFile, openAll, openLogFile, type Position, readLines, tailOffset } from "./file.ts";
import { type LogLine, parseLogLine } from "./parse.ts";

export interface LogWish {
  readonly path: string;
  readonly maxFiles: number;
  /** Lines; undefined is all. */
  readonly tail: number | undefined;
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Goes on until this resolves (the container's end, its output drained); undefined: does not follow. */
  readonly until: Promise<unknown> | undefined;
  readonly signal: AbortSignal;
}

export async function* readLog(wish: LogWish): AsyncGenerator<LogLine> {
  const change = new ChangeWatch(wish);
  try {
    await using files = new AsyncDisposableStack();
    const opened = await openAll(wish.path, wish.maxFiles);
    for (const file of opened) files.use(file);
    const plan = await startOf(opened, wish.tail);
    const current = plan.at(-1);
    for (const { file, position } of plan) yield* selected(file, position, wish);
    if (wish.until !== undefined) yield* follow(current, { wish, change, files });
  } finally {
    change.close();
  }
}

interface Start {
  readonly file: LogFile;
  readonly position: Position;
}

/** Which files to read from where, so that the last `tail` lines come out. */
async function startOf(files: readonly LogFile[], tail: number | undefined): Promise<Start[]> {
  if (tail === undefined) return files.map((file) => ({ file, position: { offset: 0 } }));
  const starts: Start[] = [];
  let wanted = tail;
  for (const file of [...files].reverse()) {
    const isNewest = starts.length === 0;
    if (wanted <= 0 && !isNewest) break;
    const { offset, lines } =
      wanted > 0 ? await tailOffset(file, wanted) : { offset: (await file.handle.stat()).size, lines: 0 };
    wanted -= lines;
    starts.unshift({ file, position: { offset } });
  }
  return starts;
}

async function* selected(file: LogFile, position: Position, wish: LogWish): AsyncGenerator<LogLine> {
  for await (const json of readLines(file, position)) {
    wish.signal.throwIfAborted();
    const line = parseLogLine(json);
    if (!line || (line.stream === "stdout" ? !wish.stdout : !wish.stderr)) continue;
    if (wish.sinceNs !== undefined && line.timeNs < wish.sinceNs) continue;
    if (wish.untilNs !== undefined && line.timeNs > wish.untilNs) continue;
    yield line;
  }
}

interface Following {
  readonly wish: LogWish;
  readonly change: ChangeWatch;
  readonly files: AsyncDisposableStack;
}

async function* follow(start: Start | undefined, { wish, change, files }: Following): AsyncGenerator<LogLine> {
  let current = start;
  for (let last = false; ; ) {
    if (current) yield* selected(current.file, current.position, wish);
    const newer = await newerFiles(wish, current);
    for (const file of newer) files.use(file);
    // What was written between our last read and the rotation.
    if (newer.length > 0 && current) yield* selected(current.file, current.position, wish);
    for (const file of newer) {
      current = { file, position: { offset: 0 } };
      yield* selected(file, current.position, wish);
    }
    if (newer.length > 0) continue;
    if (last || pastUntil(wish)) return;
    last = (await change.next()) === "ended";
    wish.signal.throwIfAborted();
  }
}

const pastUntil = ({ untilNs }: LogWish): boolean => untilNs !== undefined && BigInt(Date.now()) * 1_000_000n > untilNs;

/** The files written after the one being read, oldest first: more than one when rotations came quickly. */
async function newerFiles({ path, maxFiles }: LogWish, current: Start | undefined): Promise<LogFile[]> {
  const newest = await openLogFile(path);
  const isSame = newest !== undefined && newest.inode === current?.file.inode;
  await newest?.handle.close();
  if (!newest || isSame) return [];
  const all = await openAll(path, maxFiles);
  const at = all.findIndex((file) => file.inode === current?.file.inode);
  for (const file of all.slice(0, at + 1)) await file.handle.close();
  return all.slice(at + 1);
}

const POLL_MS = 1000;

/** Tells of writes and of the container's end; a look each second catches what a notification missed. */
class ChangeWatch {
  #changed = false;
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #stop: (() => void)[] = [];

  constructor({ path, until, signal }: LogWish) {
    if (until === undefined) return;
    const directory = path.slice(0, path.lastIndexOf("/"));
    const watcher = watch(directory, () => this.#notify());
    watcher.on("error", () => this.#notify()); // The directory went with its container: the end is told by `until`.
    const timer = setInterval(() => this.#notify(), POLL_MS);
    timer.unref();
    const onAbort = () => this.#notify();
    signal.addEventListener("abort", onAbort, { once: true });
    const onEnd = () => {
      this.#ended = true;
      this.#notify();
    };
    until.then(onEnd, onEnd);
    this.#stop.push(
      () => watcher.close(),
      () => clearInterval(timer),
      () => signal.removeEventListener("abort", onAbort),
    );
  }

  /** After the next change, or at once when there was one. */
  async next(): Promise<"changed" | "ended"> {
    if (!this.#changed && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#changed = false;
    return this.#ended ? "ended" : "changed";
  }

  close(): void {
    for (const stop of this.#stop) stop();
  }

  #notify(): void {
    this.#changed = true;
    this.#wake?.();
    this.#wake = undefined;
  }
}
