/** Output of the inspect family: indented JSON as docker prints it, or a template per object. */
import { during, HullError, messageOf } from "../../platform/errors.ts";
import { ExitError } from "../exit-error.ts";
import { printLine, warn } from "../streams/output.ts";
import { compile, type Template } from "../template/template.ts";
import type { Value } from "../template/value.ts";
import { unescapeTabs } from "./listing.ts";

/** A template that is none has docker's exit code for it. */
function compiled(format: string): Template {
  try {
    return compile(format);
  } catch (error) {
    throw new ExitError(64, messageOf(error));
  }
}

/** docker says so of every failure of an inspect's template. */
function rendered(template: Template, value: Value): string {
  try {
    return template.render(value);
  } catch (error) {
    throw during("template parsing error", error);
  }
}

/** Fetches each by name; prints what was found, says what was not, and returns the exit code. */
export async function inspectEach(
  names: readonly string[],
  format: string | undefined,
  fetch: (name: string) => Promise<Value>,
): Promise<number> {
  const template = format === undefined || format === "json" ? undefined : compiled(unescapeTabs(format));
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
  // docker ends its output with a newline even when there is none.
  if (template) await printLine(found.map((value) => rendered(template, value)).join("\n"));
  else if (format === "json") for (const value of found) await printLine(JSON.stringify(value));
  else await printLine(found.length === 0 ? "[]" : JSON.stringify(found, null, 4));
  for (const problem of problems) await warn(problem);
  return problems.length === 0 ? 0 : 1;
}
