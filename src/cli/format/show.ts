/** Output of the inspect family: indented JSON as docker prints it, or a template per object. */
import { HullError, messageOf } from "../../platform/errors.ts";
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

/** What fails is one more problem; docker says of each that it is the template's. */
function renderEach(template: Template, values: readonly Value[], problems: string[]): string[] {
  return values.flatMap((value) => {
    try {
      return [template.render(value)];
    } catch (error) {
      problems.push(`template parsing error: ${messageOf(error)}`);
      return [];
    }
  });
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
  if (template) await printLine(renderEach(template, found, problems).join("\n"));
  else if (format === "json") await printLine(JSON.stringify(found));
  else await printLine(found.length === 0 ? "[]" : JSON.stringify(found, null, 4));
  for (const problem of problems) await warn(problem);
  return problems.length === 0 ? 0 : 1;
}
