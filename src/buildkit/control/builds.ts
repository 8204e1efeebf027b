/** The builds under way by their references; a client may speak of one a moment before it is there. */
import { HullError } from "../../platform/errors.ts";
import type { LiveBuild } from "./live-build.ts";

const PATIENCE_MS = 3_000;
const MOST_ENDED = 1000;

export class Builds {
  readonly #builds = new Map<string, LiveBuild>();
  /** References of the latest that are over, oldest first. */
  readonly #ended = new Set<string>();
  readonly #awaited = new Map<string, Set<(build: LiveBuild) => void>>();

  /** Throws already-exists. */
  add(build: LiveBuild): void {
    if (build.ref === "") throw new HullError("invalid-argument", "a build needs a reference");
    if (this.#builds.has(build.ref)) throw new HullError("already-exists", `build ${build.ref} is under way already`);
    this.#builds.set(build.ref, build);
    for (const tell of this.#awaited.get(build.ref) ?? []) tell(build);
    this.#awaited.delete(build.ref);
  }

  remove(build: LiveBuild): void {
    if (this.#builds.get(build.ref) !== build) return;
    this.#builds.delete(build.ref);
    this.#ended.add(build.ref);
    if (this.#ended.size > MOST_ENDED) this.#ended.delete(this.#ended.values().next().value!);
  }

  /** A short while ago: who asks for it now need not wait. */
  hasEnded(ref: string): boolean {
    return this.#ended.has(ref);
  }

  find(ref: string): LiveBuild | undefined {
    return this.#builds.get(ref);
  }

  /** Waits for it a while. Throws not-found. */
  async get(ref: string, signal: AbortSignal): Promise<LiveBuild> {
    const found = this.find(ref);
    if (found) return found;
    const { promise, resolve, reject } = Promise.withResolvers<LiveBuild>();
    const awaiting = this.#awaited.get(ref) ?? new Set();
    this.#awaited.set(ref, awaiting.add(resolve));
    const timer = setTimeout(() => reject(new HullError("not-found", `no such job ${ref}`)), PATIENCE_MS);
    const aborted = () => reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      awaiting.delete(resolve);
      if (awaiting.size === 0 && this.#awaited.get(ref) === awaiting) this.#awaited.delete(ref);
    }
  }
}
