/**
 * Who of those that wait for a slot is next: pure state, no promises and no clocks. The build that has been given least goes first, so that a
 * small build passes large ones; nobody is passed more than PATIENCE times, so that nobody starves.
 * Lifecycle of a ticket: `enqueue` -> `next` names it (it runs) -> `finish`; `withdraw` takes one out that waits.
 */

export const slotKinds = ["command", "transfer", "hash"] as const;
export type SlotKind = (typeof slotKinds)[number];

export interface Ticket {
  readonly build: string;
  readonly kind: SlotKind;
  /** What it will take, in units of its kind (bytes, commands); at least 1. */
  readonly cost: number;
}

export interface QueueLimits {
  readonly slots: Readonly<Record<SlotKind, number>>;
  /** Builds that may have slots at the same time. */
  readonly builds: number;
}

/** How often later ones may be preferred to one that waits. */
export const PATIENCE = 32;

/** Slots for commands: enough that builds which sleep or wait for the network do not wait for each other. */
export const defaultSlots = (cores: number): QueueLimits["slots"] => ({
  command: Math.max(8, 4 * cores),
  transfer: Math.max(2, cores),
  hash: Math.max(2, cores),
});

interface Waiting {
  readonly ticket: Ticket;
  readonly number: number;
  passed: number;
}

export class FairQueue {
  #limits: QueueLimits;
  #waiting: Waiting[] = [];
  readonly #running = new Set<Ticket>();
  /** Cost given per build and kind, while the build is known. */
  readonly #given = new Map<string, number>();
  #numbers = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** What runs goes on; fewer slots are reached as it ends. */
  setLimits(limits: QueueLimits): void {
    this.#limits = limits;
  }

  enqueue(ticket: Ticket): void {
    this.#waiting.push({ ticket, number: this.#numbers++, passed: 0 });
  }

  withdraw(ticket: Ticket): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.ticket !== ticket);
  }

  /** Gives a slot away; undefined when none is free or nobody may have one. */
  next(): Ticket | undefined {
    for (const waiting of this.#order()) {
      if (!this.#hasSlot(waiting.ticket)) continue;
      if (this.#mayBegin(waiting.ticket)) return this.#give(waiting);
      // It waits for a build to let go of all its slots: those get no more until then.
      if (isImpatient(waiting)) return undefined;
    }
    return undefined;
  }

  #give(given: Waiting): Ticket {
    const { ticket } = given;
    this.withdraw(ticket);
    this.#running.add(ticket);
    this.#given.set(laneOf(ticket), this.#givenTo(ticket) + ticket.cost);
    for (const waiting of this.#waiting)
      if (waiting.ticket.kind === ticket.kind && waiting.number < given.number) waiting.passed++;
    return ticket;
  }

  finish(ticket: Ticket): void {
    this.#running.delete(ticket);
  }

  /** The build is over: what it was given counts no more. */
  forget(build: string): void {
    for (const kind of slotKinds) this.#given.delete(laneOf({ build, kind }));
  }

  /** The waiting tickets with how many of their kind go before each. */
  ahead(): ReadonlyMap<Ticket, number> {
    const counts = { command: 0, transfer: 0, hash: 0 };
    return new Map(this.#order().map(({ ticket }) => [ticket, counts[ticket.kind]++]));
  }

  running(kind: SlotKind): number {
    return [...this.#running].filter((ticket) => ticket.kind === kind).length;
  }

  #hasSlot({ kind }: Ticket): boolean {
    return this.running(kind) < this.#limits.slots[kind];
  }

  #mayBegin({ build }: Ticket): boolean {
    const builds = new Set([...this.#running].map((ticket) => ticket.build));
    return builds.has(build) || builds.size < this.#limits.builds;
  }

  #order(): readonly Waiting[] {
    return [...this.#waiting].sort((a, b) => this.#rank(a) - this.#rank(b) || a.number - b.number);
  }

  /** Who has been passed too often is before all others, the oldest first. */
  #rank(waiting: Waiting): number {
    return isImpatient(waiting) ? -1 : this.#givenTo(waiting.ticket) + waiting.ticket.cost;
  }

  #givenTo(ticket: Ticket): number {
    return this.#given.get(laneOf(ticket)) ?? 0;
  }
}

const isImpatient = ({ passed }: Waiting): boolean => passed >= PATIENCE;

const laneOf = ({ build, kind }: Pick<Ticket, "build" | "kind">): string => `${kind} ${build}`;
