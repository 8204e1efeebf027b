/** Output of the inspect family: indented JSON as docker prints it, or a template per object. */
import { HullError, messageOf } from "../../platform/errors.ts";
import { printLine, warn } from "../streams/output.ts";
import { compile } from "../template/template.ts";
import type { Value } from "../template/value.ts";
import { unescapeTabs } from "./listing.ts";

/** Fetches each by name; prints what was found, says what was not, and returns the exit code. */
export async function inspectEach(
  names: readonly string[],
  format: string | undefined,
  fetch: (name: string) => Promise<Value>,
): Promise<number> {
  const template = format === undefined || format === "json" ? undefined : compile(unescapeTabs(format));
  const found: Value[] = [];
  const problems: string[] = [];
  for (const name of names) {
    try {
      found.push(await fetch(name));
    } catch (error) {
      if (error instanceof HullError && error.code === "unavailable") throw error;
      problems.push(messageOf(error));
    }
  }
  if (template) for (const value of found) await printLine(template.render(value));
  else if (format === "json") for (const value of found) await printLine(JSON.stringify(value));
  else await printLine(found.length === 0 ? "[]" : JSON.stringify(found, null, 4));
  for (const problem of problems) await warn(problem);
  return problems.length === 0 ? 0 : 1;
}
