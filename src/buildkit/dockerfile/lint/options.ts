/** `# check=skip=A,B;error=true;experimental=all`, for the file and above an instruction. */
import { HullError } from "../../../platform/errors.ts";
import { parseDirective } from "../directives.ts";
import { quoted } from "../text.ts";

type Rules = "all" | ReadonlySet<string>;

export interface CheckOptions {
  readonly skip: Rules;
  readonly experimental: Rules;
  /** A warning fails the build. */
  readonly error: boolean;
}

const none: CheckOptions = { skip: new Set(), experimental: new Set(), error: false };

/** Of the directive or of the build argument BUILDKIT_DOCKERFILE_CHECK. */
export function parseCheckOptions(text: string): CheckOptions {
  if (text.trim() === "") return none;
  return text.split(";").reduce(withPart, none);
}

function withPart(options: CheckOptions, part: string): CheckOptions {
  const equals = part.indexOf("=");
  if (equals < 0) throw bad(`invalid check option ${quoted(part)}`);
  const key = part.slice(0, equals).trim();
  const value = part.slice(equals + 1).trim();
  if (key === "skip" || key === "experimental") return { ...options, [key]: rulesOf(value) };
  if (key !== "error") throw bad(`invalid check option ${quoted(key)}`);
  const truth = /^(?:1|t|T|TRUE|true|True)$/.test(value);
  if (!truth && !/^(?:0|f|F|FALSE|false|False)$/.test(value)) {
    throw bad(
      `failed to parse check option ${quoted(part)}: strconv.ParseBool: parsing ${quoted(value)}: invalid syntax`,
    );
  }
  return { ...options, error: truth };
}

const bad = (message: string): HullError =>
  new HullError("invalid-argument", `failed to parse check options: ${message}`);

const rulesOf = (value: string): Rules =>
  value === "all" ? "all" : new Set(value.split(",").map((name) => name.trim()));

/** With what the first `check=` of an instruction's comments adds; one that makes no sense adds nothing. */
export function withComments(options: CheckOptions, comments: readonly string[]): CheckOptions {
  const check = comments.map(parseDirective).find((directive) => directive?.name === "check");
  if (check === undefined) return options;
  try {
    const { skip, experimental } = parseCheckOptions(check.value.split(" ", 1)[0]!);
    return {
      skip: union(options.skip, skip),
      experimental: union(options.experimental, experimental),
      error: options.error,
    };
  } catch {
    // A comment is not the place for an error: it may be about something else that is called check.
    return options;
  }
}

const union = (a: Rules, b: Rules): Rules => (a === "all" || b === "all" ? "all" : new Set([...a, ...b]));

const includes = (rules: Rules, name: string): boolean => rules === "all" || rules.has(name);

/** Whether a rule speaks. Experimental ones must be asked for and cannot be skipped. */
export const isOn = (
  options: CheckOptions,
  rule: { readonly name: string; readonly experimental: boolean },
): boolean => (rule.experimental ? includes(options.experimental, rule.name) : !includes(options.skip, rule.name));
