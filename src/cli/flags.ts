/**
 * Command-line flags with the semantics of Go's pflag, as docker's users know them: `--name value`, `--name=value`,
 * `-it`, `-p80:80`, `--flag=false`, `--` ends them. Flags are data; help, completion and parsing come from it.
 */
import { HullError } from "../platform/errors.ts";

export type FlagKind =
  | "bool"
  | "string"
  | "int"
  | "float"
  /** Repeatable, each value as it is. */
  | "list"
  /** A number of bytes: `512m`, `1g`. */
  | "bytes"
  /** As bytes, or -1. */
  | "swap"
  /** A Go duration: `1m30s`. */
  | "duration"
  /** Repeatable `key=value`. */
  | "map";

export interface Flag {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  readonly kind: FlagKind;
  readonly help: string;
  /** The word shown for the value in help; by default docker's word for the kind. */
  readonly value?: string;
  /** Shown as "(default ...)". */
  readonly default?: string;
  readonly hidden?: boolean;
  /** Why a value is refused, in docker's words; undefined: it is fine. */
  readonly check?: (value: string) => string | undefined;
  /** The value when given without one (`--pull` in some commands). */
  readonly bare?: string;
}

/** What was given: raw text per flag, in order. Typed access checks nothing again: `parseFlags` has. */
export class FlagValues {
  constructor(private readonly given: ReadonlyMap<string, readonly string[]>) {}

  has(name: string): boolean {
    return this.given.has(name);
  }

  /** The last value given. */
  text(name: string): string | undefined {
    return this.given.get(name)?.at(-1);
  }

  bool(name: string): boolean {
    return parseBool(this.text(name) ?? "false") ?? false;
  }

  number(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }

  list(name: string): readonly string[] {
    return this.given.get(name) ?? [];
  }
}

export interface ParsedArguments {
  readonly flags: FlagValues;
  readonly operands: string[];
  /** --help or -h was given (and -h is no other flag's letter). */
  readonly help: boolean;
}

export interface ParseOptions {
  /** False: flags may follow operands (docker's default); true: the first operand ends them (`run IMAGE ...`, `exec`). */
  readonly stopAtOperand: boolean;
}

/** Throws invalid-argument with pflag's wording. */
export function parseFlags(argv: readonly string[], flags: readonly Flag[], options: ParseOptions): ParsedArguments {
  return new FlagParser(argv, flags, options).parse();
}

class FlagParser {
  readonly #given = new Map<string, string[]>();
  readonly #operands: string[] = [];
  #help = false;
  #at = 0;

  constructor(
    private readonly argv: readonly string[],
    private readonly flags: readonly Flag[],
    private readonly options: ParseOptions,
  ) {}

  parse(): ParsedArguments {
    while (this.#at < this.argv.length) {
      const argument = this.argv[this.#at++]!;
      if (argument === "--") {
        this.#operands.push(...this.argv.slice(this.#at));
        break;
      }
      if (argument.startsWith("--")) this.#long(argument);
      else if (argument.startsWith("-") && argument !== "-") this.#short(argument);
      else {
        this.#operands.push(argument);
        if (!this.options.stopAtOperand) continue;
        this.#operands.push(...this.argv.slice(this.#at));
        break;
      }
    }
    return { flags: new FlagValues(this.#given), operands: this.#operands, help: this.#help };
  }

  #long(argument: string): void {
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument.slice(2) : argument.slice(2, equals);
    const flag = this.flags.find((candidate) => candidate.name === name);
    if (!flag) {
      if (name === "help") this.#help = true;
      else throw new HullError("invalid-argument", `unknown flag: --${name}`);
      return;
    }
    const bare = flag.kind === "bool" ? "true" : flag.bare;
    if (equals >= 0) this.#set(flag, argument.slice(equals + 1));
    else if (bare !== undefined) this.#set(flag, bare);
    else this.#set(flag, this.#nextArgument(`--${name}`));
  }

  #short(argument: string): void {
    for (let i = 1; i < argument.length; i++) {
      const letter = argument[i]!;
      const flag = this.flags.find((candidate) => candidate.short === letter);
      if (!flag) {
        if (letter === "h") {
          this.#help = true;
          continue;
        }
        throw new HullError("invalid-argument", `unknown shorthand flag: '${letter}' in ${argument}`);
      }
      const rest = argument.slice(i + 1);
      if (flag.kind === "bool" && !rest.startsWith("=")) {
        this.#set(flag, "true");
        continue;
      }
      const value = rest === "" ? this.#nextArgument(`'${letter}' in ${argument}`) : rest.replace(/^=/, "");
      this.#set(flag, value);
      return;
    }
  }

  #nextArgument(shown: string): string {
    if (this.#at >= this.argv.length) throw new HullError("invalid-argument", `flag needs an argument: ${shown}`);
    return this.argv[this.#at++]!;
  }

  #set(flag: Flag, value: string): void {
    const problem = problemWith(flag.kind, value) ?? flag.check?.(value);
    if (problem !== undefined) {
      throw new HullError(
        "invalid-argument",
        `invalid argument ${JSON.stringify(value)} for "${shownName(flag)}" flag: ${problem}`,
      );
    }
    const values = this.#given.get(flag.name);
    if (values) values.push(value);
    else this.#given.set(flag.name, [value]);
  }
}

const shownName = ({ short, name }: Flag): string => (short === undefined ? `--${name}` : `-${short}, --${name}`);

function problemWith(kind: FlagKind, value: string): string | undefined {
  switch (kind) {
    case "bool":
      return parseBool(value) === undefined
        ? `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`
        : undefined;
    case "int":
      return /^[-+]?\d+$/.test(value)
        ? undefined
        : `strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`;
    case "float":
      return value !== "" && Number.isFinite(Number(value))
        ? undefined
        : `failed to parse ${value} as a rational number`;
    case "swap":
    case "bytes":
      return (parseBytes(value) ?? -1) < 0 && !(kind === "swap" && value === "-1")
        ? `invalid size: '${value}'`
        : undefined;
    case "duration":
      return parseDurationNs(value) === undefined ? `time: invalid duration ${JSON.stringify(value)}` : undefined;
    default:
      return undefined;
  }
}

/** Go's strconv.ParseBool; undefined when it is none. */
export function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  return undefined;
}

const sizePattern = /^(-?\d+(?:\.\d+)?) ?([kKmMgGtTpP])?(?:[iI]?[bB])?$/;

/** go-units RAMInBytes: 1024 based. undefined when malformed. */
export function parseBytes(text: string): number | undefined {
  if (text === "-1") return -1;
  const match = sizePattern.exec(text);
  if (!match) return undefined;
  const power = match[2] === undefined ? 0 : "kmgtp".indexOf(match[2].toLowerCase()) + 1;
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

const unitNs: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Go's time.ParseDuration in nanoseconds; undefined when malformed. */
export function parseDurationNs(text: string): number | undefined {
  if (text === "0") return 0;
  const match = /^([-+]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+)$/.exec(text);
  if (!match) return undefined;
  const parts = match[2]!.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g);
  const total = [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * unitNs[unit!]!, 0);
  return match[1] === "-" ? -total : total;
}
