/** `hull build --explain-cache`: what the build's record says of its steps. */
import type { Session } from "../session.ts";
import { write } from "../streams/output.ts";
import { BuildHistory } from "./build-history.ts";
import { explanationText } from "./steps-text.ts";

/** Also of a build that failed. */
export async function explainCache(session: Session, ref: string): Promise<void> {
  await using history = await BuildHistory.open(session);
  const [record] = await history.list([], ref);
  if (record) await write("stderr", `\n${explanationText(await history.steps(record))}`);
}
