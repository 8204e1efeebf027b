/** The tasks there are, by namespace and container. Reading never waits. */
import { HullError } from "../../platform/errors.ts";
import type { Task } from "./task.ts";

export class TaskTable {
  readonly #tasks = new Map<string, Task>();

  find(namespace: string, id: string): Task | undefined {
    return this.#tasks.get(keyOf(namespace, id));
  }

  /** Throws `not-found` with containerd's words. */
  get(namespace: string, id: string): Task {
    const task = this.find(namespace, id);
    if (task === undefined) throw new HullError("not-found", `no running task found: task ${id} not found: not found`);
    return task;
  }

  list(namespace?: string): Task[] {
    return [...this.#tasks.values()].filter((task) => namespace === undefined || task.namespace === namespace);
  }

  add(task: Task): void {
    this.#tasks.set(keyOf(task.namespace, task.id), task);
  }

  remove(task: Task): void {
    this.#tasks.delete(keyOf(task.namespace, task.id));
  }
}

const keyOf = (namespace: string, id: string): string => `${namespace}\0${id}`;
