/**
 * The builds that were, and those under way: bounded by number, age and bytes.
 *
 * Lifecycle: `openHistory` (builds that a killed builder left are ended) -> `begin` per build, whose recording is given to `finish` -> `listen`, `read`,
 * `pin`, `remove` at any time -> disposal. What cannot be written is warned of and fails no build.
 */
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { HullError, messageOf } from "../../platform/errors.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
} from "../gen/moby/buildkit/v1/control_pb.ts";
import { BlobFiles } from "./blob-files.ts";
import {
  type BlobRow,
  type BuildRow,
  type HistoryLimits,
  type HistoryTable,
  openHistoryTable,
} from "./history-table.ts";
import { type BuildEnd, type BuildFacts, encoded, Recording } from "./recording.ts";

export interface HistoryOptions {
  readonly directory: string;
  readonly warn: (message: string) => void;
  readonly limits?: HistoryLimits;
  readonly nowMs?: () => number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const defaultLimits: HistoryLimits = { builds: 200, ageMs: 30 * DAY_MS, bytes: 512 * 1024 * 1024 };

const UNAVAILABLE = 14;

type Listener = (event: BuildHistoryEvent) => void;

export class BuildHistory implements AsyncDisposable {
  readonly #running = new Map<string, Recording>();
  readonly #finishing = new Map<string, Promise<void>>();
  readonly #listeners = new Set<Listener>();
  readonly #nowMs: () => number;

  constructor(
    private readonly table: HistoryTable,
    private readonly files: BlobFiles,
    private readonly options: HistoryOptions,
  ) {
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Undefined when it cannot be written. */
  begin(facts: BuildFacts): Recording | undefined {
    try {
      const recording = new Recording({ table: this.table, files: this.files, nowMs: this.#nowMs }, facts);
      this.#running.set(facts.ref, recording);
      this.#tell(BuildHistoryEventType.STARTED, recording.record());
      return recording;
    } catch (error) {
      this.#warn(error);
      return undefined;
    }
  }

  /** Resolves when everything is kept that is to be kept. Never rejects. */
  finish(recording: Recording, end: BuildEnd): Promise<void> {
    const { ref } = recording.facts;
    const finishing = this.#finish(recording, end).finally(() => {
      if (this.#finishing.get(ref) === finishing) this.#finishing.delete(ref);
    });
    this.#finishing.set(ref, finishing);
    return finishing;
  }

  async #finish(recording: Recording, end: BuildEnd): Promise<void> {
    const { ref } = recording.facts;
    try {
      const record = await recording.finish(end);
      this.#running.delete(ref);
      this.#tell(BuildHistoryEventType.COMPLETE, record);
      this.trim();
    } catch (error) {
      this.#warn(error);
      this.#running.delete(ref);
      this.#forget(ref);
    }
  }

  has(ref: string): boolean {
    return this.table.find(ref) !== undefined;
  }

  /** Until what is being written of a build is there; of all builds without a name. */
  async settled(ref = ""): Promise<void> {
    await (ref === "" ? Promise.all(this.#finishing.values()) : this.#finishing.get(ref));
  }

  /** Oldest first, those under way as they are now. */
  list(): readonly BuildHistoryEvent[] {
    return this.table.list().map((row) => this.#eventOf(row));
  }

  /** Throws not-found. */
  get(ref: string): BuildHistoryEvent {
    const row = this.table.find(ref);
    if (!row) throw new HullError("not-found", `no record of build ${ref}`);
    return this.#eventOf(row);
  }

  /** What happens from now on, until the disposal. */
  watch(listener: Listener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Throws not-found. */
  pin(ref: string, pinned: boolean): void {
    const row = this.table.find(ref);
    if (!row) throw new HullError("not-found", `no record of build ${ref}`);
    const record = fromBinary(BuildHistoryRecordSchema, row.record);
    record.pinned = pinned;
    this.table.put({ ...row, pinned, record: encoded(record) });
    this.#tell(this.#eventOf(row).type, record);
  }

  /** Throws not-found, and failed-precondition for a build that is under way. */
  async remove(ref: string): Promise<void> {
    await this.settled(ref);
    const { record } = this.get(ref);
    if (this.#running.has(ref))
      throw new HullError(
        "failed-precondition",
        `build ${ref} is under way: its record can be removed when it has ended`,
      );
    this.#drop(ref, record!);
  }

  blob(digest: string): BlobRow | undefined {
    return this.table.blob(digest);
  }

  /** Throws not-found. */
  read(digest: string, offset = 0, size?: number): AsyncGenerator<Buffer> {
    return this.files.read(digest, offset, size);
  }

  trim(): void {
    const refs = this.table.excess(this.options.limits ?? defaultLimits, this.#nowMs());
    for (const ref of refs) this.#drop(ref, this.get(ref).record!);
  }

  /** At a start: what a builder that was killed left. */
  recover(): void {
    for (const row of this.table.list()) if (row.completedMs === 0) this.#endLeftover(row);
    this.files.remove(this.table.removeUnused());
    this.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
    this.table[Symbol.dispose]();
  }

  #endLeftover(row: BuildRow): void {
    const record = fromBinary(BuildHistoryRecordSchema, row.record);
    const completedMs = this.#nowMs();
    record.CompletedAt = timestampFromMs(completedMs);
    record.error = create(StatusSchema, {
      code: UNAVAILABLE,
      message: "the builder ended while the build was under way",
    });
    this.table.put({ ...row, completedMs, record: encoded(record) });
  }

  #eventOf({ ref, completedMs, record }: BuildRow): BuildHistoryEvent {
    const type = completedMs === 0 ? BuildHistoryEventType.STARTED : BuildHistoryEventType.COMPLETE;
    const running = completedMs === 0 ? this.#running.get(ref) : undefined;
    return create(BuildHistoryEventSchema, {
      type,
      record: running?.record() ?? fromBinary(BuildHistoryRecordSchema, record),
    });
  }

  #drop(ref: string, record: BuildHistoryRecord): void {
    this.#forget(ref);
    this.#tell(BuildHistoryEventType.DELETED, record);
  }

  #forget(ref: string): void {
    try {
      this.files.remove(this.table.remove(ref));
    } catch (error) {
      this.#warn(error);
    }
  }

  #tell(type: BuildHistoryEventType, record: BuildHistoryRecord): void {
    const event = create(BuildHistoryEventSchema, { type, record });
    for (const listener of this.#listeners) listener(event);
  }

  #warn(error: unknown): void {
    this.options.warn(`the history of builds cannot be written: ${messageOf(error)}`);
  }
}

export function openHistory(options: HistoryOptions): BuildHistory {
  const { directory } = options;
  const table = openHistoryTable(join(directory, "history.db"));
  const history = new BuildHistory(table, new BlobFiles(join(directory, "history")), options);
  history.recover();
  return history;
}
