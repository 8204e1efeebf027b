/** One daemon of a kind per root: a lock that its keel holds as long as it lives. */
import { codeOf, during } from "../platform/errors.ts";
import type { KeelServe } from "./serve.ts";

const PATIENCE_MS = 3000;
const STEP_MS = 20;

/** A predecessor that was killed may take a moment to let go: its keel ends after it. Throws conflict, naming the daemon. */
export async function lockRoot(keel: KeelServe, path: string, daemon: string): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await keel.lock(path);
      return;
    } catch (error) {
      if (codeOf(error) !== "conflict" || Date.now() > giveUpAt)
        throw during(`another ${daemon} runs on this root`, error);
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
  }
}
