/**
 * Until the other daemons have said for the first time what there is, "there is no such image" would be a lie: requests that need to know
 * wait for it, those that do not (ping, version, info, the list of containers) are answered.
 */

/** A daemon that does not come up is no reason to wait for ever. */
const PATIENCE_MS = 10_000;

const needing = ["/images", "/networks", "/commit", "/containers/create", "/containers/{id}/start", "/system/df"];

export class FirstLook {
  readonly #done = Promise.withResolvers<void>();
  #isDone = false;

  /** Everything is known from now on. */
  done(): void {
    this.#isDone = true;
    this.#done.resolve();
  }

  /** For a route's path: undefined when it need not wait. */
  wait(path: string): Promise<void> | undefined {
    if (this.#isDone || !needing.some((prefix) => path.startsWith(prefix))) return undefined;
    const timer = setTimeout(() => this.done(), PATIENCE_MS);
    return this.#done.promise.finally(() => clearTimeout(timer));
  }
}
