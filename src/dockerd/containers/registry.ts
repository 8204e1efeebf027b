/** All containers by id and name, with Docker's rules of reference. */
import { HullError } from "../../platform/errors.ts";
import type { Container } from "./container.ts";

export class ContainerRegistry {
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, string>();
  /** Ids of containers that are being made. */
  readonly #making = new Set<string>();

  /** Newest first. */
  list(): Container[] {
    return [...this.#byId.values()].sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  }

  get size(): number {
    return this.#byId.size;
  }

  add(container: Container): void {
    this.#byId.set(container.id, container);
    this.#making.delete(container.id);
    if (!this.#byName.has(container.record.name)) this.#byName.set(container.record.name, container.id);
  }

  remove(container: Container): void {
    this.#byId.delete(container.id);
    if (this.#byName.get(container.record.name) === container.id) this.#byName.delete(container.record.name);
  }

  /** Of containers that are being made: nobody can refer to them yet, and what they have is theirs. */
  get making(): ReadonlySet<string> {
    return this.#making;
  }

  isTaken(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Takes a name for an id before its container exists (or for a rename). Throws conflict in Docker's words. */
  reserve(name: string, id: string): Disposable {
    const owner = this.#byName.get(name);
    if (owner !== undefined)
      throw new HullError(
        "conflict",
        `Conflict. The container name "/${name}" is already in use by container "${owner}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    this.#byName.set(name, id);
    if (!this.#byId.has(id)) this.#making.add(id);
    return {
      [Symbol.dispose]: () => {
        this.#making.delete(id);
        if (this.#byName.get(name) === id && this.#byId.get(id)?.record.name !== name) this.#byName.delete(name);
      },
    };
  }

  /** Gives up the old name after a rename. */
  release(name: string): void {
    this.#byName.delete(name);
  }

  byId(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  /** Full id, then name, then unique id prefix. Throws invalid-argument when a prefix is ambiguous. */
  find(reference: string): Container | undefined {
    const exact = this.#byId.get(reference);
    if (exact) return exact;
    const named = this.#byName.get(reference.replace(/^\//, ""));
    if (named !== undefined) return this.#byId.get(named);
    if (!/^[0-9a-f]{1,64}$/.test(reference)) return undefined;
    const matches = [...this.#byId.keys()].filter((id) => id.startsWith(reference));
    if (matches.length > 1)
      throw new HullError("invalid-argument", `Multiple IDs found with provided prefix: ${reference}`);
    return matches[0] === undefined ? undefined : this.#byId.get(matches[0]);
  }

  get(reference: string): Container {
    const container = reference === "" ? undefined : this.find(reference);
    if (!container) throw new HullError("not-found", `No such container: ${reference}`);
    return container;
  }
}
