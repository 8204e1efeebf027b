/**
 * What is cleaned up after an answer, by container: the next task of the same container waits for it. A failure is told, never
 * thrown at who comes next.
 */
import { messageOf } from "../../platform/errors.ts";

export class Cleanups {
  readonly #underway = new Map<string, Promise<void>>();

  constructor(private readonly warn: (message: string) => void) {}

  begin(namespace: string, id: string, body: () => Promise<void>): void {
    const key = `${namespace}\0${id}`;
    const before = this.#underway.get(key) ?? Promise.resolve();
    const work = before.then(body).catch((error) => this.warn(`clean up after ${id}: ${messageOf(error)}`));
    this.#underway.set(key, work);
    void work.then(() => {
      if (this.#underway.get(key) === work) this.#underway.delete(key);
    });
  }

  async settled(namespace: string, id: string): Promise<void> {
    await this.#underway.get(`${namespace}\0${id}`);
  }

  /** Nothing is under way any more. */
  async allSettled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway.values());
  }
}
