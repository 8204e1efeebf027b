/** Words of an instruction with the stage's variables put in. */
import { analyze, type ExpandMode, hereDocumentMode } from "../dockerfile/expand.ts";
import { suggestion } from "../dockerfile/suggest.ts";
import type { StageState, StageWork } from "./stage-state.ts";
import { stageScope, visibleNames } from "./variables.ts";

/** Variables that nothing sets are warned of. */
export function expandIn(text: string, state: StageState, work: StageWork): string {
  if (text === "") return "";
  const { text: expanded, unset } = analyze(text, stageScope(state, work), {
    escape: work.dockerfile.directives.escape,
  });
  for (const name of unset) warnOfUnset(name, state, work);
  return expanded;
}

function warnOfUnset(name: string, state: StageState, work: StageWork): void {
  if (state.args.some((arg) => arg.name === name)) return;
  const near = suggestion(name, visibleNames(state, work));
  const short = `Usage of undefined variable '$${name}'${near === "" ? "" : ` (did you mean $${near}?)`}`;
  work.warn({ rule: "UndefinedVar", short, location: work.location });
}

export const expandHereDocument = (text: string, state: StageState, work: StageWork): string =>
  analyze(text, stageScope(state, work), hereDocumentMode).text;

/**
 * An instruction's text for a vertex's name. What is no proper text for a shell stays as it is written; quotes of commands stay too, and what
 * names a variable that only the command knows.
 */
export function shownText(
  text: string,
  options: { readonly state: StageState; readonly work: StageWork; readonly command: boolean },
): string {
  const { state, work, command } = options;
  const mark = work.dockerfile.directives.escape;
  const mode: ExpandMode = command ? { escape: mark, rawQuotes: true, keepUnset: true } : { escape: mark };
  const [keyword = "", ...rest] = expandedOrNot(text, () => analyze(text, stageScope(state, work), mode).text).split(
    " ",
  );
  return [keyword.toUpperCase(), ...rest].join(" ");
}

function expandedOrNot(text: string, expanded: () => string): string {
  try {
    return expanded();
  } catch {
    return text; // A name is not worth a failure: if the text matters, the instruction itself fails.
  }
}
