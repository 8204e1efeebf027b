/**
 * Tasks that are being created while their network is: a creation waits at its gate for the word that it is there.
 * Lifecycle of a gate: `open` -> `provide`, `refuse` or the abort of the creation settles it -> disposed with the creation.
 */
import { HullError } from "../../platform/errors.ts";
import type { HeldSocket } from "./sandbox-plan.ts";

export interface GateOf {
  readonly namespace: string;
  readonly id: string;
}

export interface NetworkGate extends Disposable {
  /** The sockets that pause opens in the network. Rejects with what went wrong there, or the abort's reason. */
  readonly passed: Promise<readonly HeldSocket[]>;
}

export class NetworkGates {
  readonly #open = new Map<string, PromiseWithResolvers<readonly HeldSocket[]>>();

  open(of: GateOf, signal: AbortSignal): NetworkGate {
    const key = keyOf(of);
    const gate = Promise.withResolvers<readonly HeldSocket[]>();
    // A creation that fails before it comes here does not look.
    gate.promise.catch(() => undefined);
    const aborted = () => gate.reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener("abort", aborted, { once: true });
    if (!this.#open.has(key)) this.#open.set(key, gate);
    return {
      passed: gate.promise,
      [Symbol.dispose]: () => {
        signal.removeEventListener("abort", aborted);
        if (this.#open.get(key) === gate) this.#open.delete(key);
      },
    };
  }

  /** Throws not-found when nobody waits. */
  provide(of: GateOf, sockets: readonly HeldSocket[]): void {
    this.#find(of).resolve(sockets);
  }

  /** Throws not-found when nobody waits. */
  refuse(of: GateOf, why: string): void {
    this.#find(of).reject(new HullError("failed-precondition", why));
  }

  #find(of: GateOf): PromiseWithResolvers<readonly HeldSocket[]> {
    const gate = this.#open.get(keyOf(of));
    if (!gate) throw new HullError("not-found", `no task ${of.id} waits for its network`);
    return gate;
  }
}

const keyOf = ({ namespace, id }: GateOf): string => `${namespace}\0${id}`;
