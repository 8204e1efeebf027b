/** Commands that do one thing to each of their operands: go on after a failure, print the name of each success. */
import { HullError, messageOf } from "../platform/errors.ts";
import { printLine, warn } from "./streams/output.ts";

/** Returns the exit code. The action may return what to print instead of the name; "" prints nothing. */
export async function forEachOperand(
  names: readonly string[],
  // biome-ignore lint/suspicious/noConfusingVoidType: an action that prints the name returns nothing.
  action: (name: string) => Promise<string | void>,
): Promise<number> {
  let failed = false;
  const results = await Promise.allSettled(names.map(action));
  for (const [i, result] of results.entries()) {
    if (result.status === "fulfilled") {
      const shown = result.value ?? names[i]!;
      if (shown !== "") await printLine(shown);
      continue;
    }
    if (result.reason instanceof HullError && result.reason.code === "unavailable") throw result.reason;
    failed = true;
    await warn(messageOf(result.reason));
  }
  return failed ? 1 : 0;
}
