/** RUN and its flags. */
import type { CommandForm, RunInstruction, RunMountFlag } from "./ast.ts";
import { parseFlags } from "./flags.ts";
import { complaint } from "./source-error.ts";
import { quoted } from "./text.ts";

type Fields = Pick<RunInstruction, "command" | "mounts" | "network" | "security" | "devices">;

export function parseRun(flagWords: readonly string[], command: CommandForm): Fields {
  const flags = parseFlags(flagWords, { mount: "texts", network: "text", security: "text", device: "texts" });
  const network = flags.text("network");
  const security = flags.text("security");
  if (given(flagWords, "network") && !["default", "none", "host"].includes(network)) {
    throw complaint(`invalid network mode ${quoted(network)}`, `=${network}`);
  }
  if (given(flagWords, "security") && !["sandbox", "insecure"].includes(security)) {
    throw complaint(`security ${quoted(security)} is not valid`, `=${security}`);
  }
  return { command, mounts: flags.texts("mount").map(parseMount), network, security, devices: flags.texts("device") };
}

const given = (flagWords: readonly string[], name: string): boolean =>
  flagWords.some((word) => word.startsWith(`--${name}=`));

/** Keys that may stand alone. */
const loneKeys: ReadonlySet<string> = new Set(["ro", "readonly", "rw", "readwrite", "required"]);

function parseMount(text: string): RunMountFlag {
  const fields = commaSeparated(text).map((field): readonly [string, string] => {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    if (equals < 0 && !loneKeys.has(key)) throw complaint(`invalid field '${field}' must be a key=value pair`, field);
    const value = equals < 0 ? "true" : field.slice(equals + 1);
    if (key === "from" && /\$./s.test(value)) {
      throw complaint("'from' doesn't support variable expansion, define alias stage instead", field);
    }
    return [key, value];
  });
  return { text, fields };
}

/** The fields of one line of CSV (RFC 4180). */
function commaSeparated(text: string): readonly string[] {
  if (text === "") return [];
  const fields: string[] = [];
  for (let at = 0; ; ) {
    const field = text[at] === '"' ? quotedField(text, at) : plainField(text, at);
    fields.push(field.value);
    if (field.end >= text.length) return fields;
    at = field.end + 1;
  }
}

interface Field {
  readonly value: string;
  /** Of the comma behind it, or of the text. */
  readonly end: number;
}

function plainField(text: string, start: number): Field {
  const comma = text.indexOf(",", start);
  const end = comma < 0 ? text.length : comma;
  const value = text.slice(start, end);
  if (value.includes('"')) throw complaint(`failed to parse csv mounts: bare " in non-quoted-field`, value);
  return { value, end };
}

function quotedField(text: string, start: number): Field {
  let value = "";
  for (let at = start + 1; ; ) {
    const quote = text.indexOf('"', at);
    const broken = quote < 0 || (quote + 1 < text.length && text[quote + 1] !== '"' && text[quote + 1] !== ",");
    if (broken) throw complaint(`failed to parse csv mounts: extraneous or missing " in quoted-field`, text);
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}
