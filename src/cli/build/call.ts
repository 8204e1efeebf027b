/** `--call`: what is asked about a Dockerfile in the place of a build, and how its answer is shown. */
import { create } from "@bufbuild/protobuf";
import { SourceSchema } from "../../buildkit/gen/errdefs/errdefs_pb.ts";
import { HullError } from "../../platform/errors.ts";
import { ExitError } from "../exit-error.ts";
import type { FlagValues } from "../flags.ts";
import { print } from "../streams/output.ts";
import { excerpt } from "./failure-report.ts";
import type { Attributes } from "./request.ts";

export interface Call {
  /** "lint", "outline", "targets", ...: after "frontend." the name of BuildKit's request. */
  readonly name: string;
  /** "json"; "": text. */
  readonly format: string;
  /** Warnings do not make the command fail. */
  readonly ignoresStatus: boolean;
}

/** Undefined: a build. Throws invalid-argument in buildx's words. */
export function parseCall(flags: FlagValues): Call | undefined {
  const text = flags.bool("check") ? "check" : (flags.text("call") ?? "build");
  const fields = text.split(",");
  const names = fields.filter((field) => !field.includes("="));
  if (names.length > 1) throw new HullError("invalid-argument", `invalid print value: ${text}`);
  const options = new Map(fields.filter((field) => field.includes("=")).map(optionOf));
  const [name = ""] = names;
  if (name === "" || name === "build") return undefined;
  return {
    name: name === "check" ? "lint" : name,
    format: options.get("format") ?? "",
    ignoresStatus: /^(1|t|true)$/i.test(options.get("ignorestatus") ?? ""),
  };
}

function optionOf(field: string): [string, string] {
  const equals = field.indexOf("=");
  const name = field.slice(0, equals);
  if (name !== "format" && name !== "ignorestatus")
    throw new HullError("invalid-argument", `invalid print field: ${field}`);
  return [name, field.slice(equals + 1)];
}

export interface CallAnswer {
  readonly call: Call;
  /** By the names of the result's metadata. */
  readonly facts: Attributes;
  /** As the person knows the Dockerfile. */
  readonly file: string;
}

/** Prints it; the exit code. Throws what keeps the Dockerfile from being built. */
export async function tellCall({ call, facts, file }: CallAnswer): Promise<number> {
  const isJson = call.format === "json";
  if (isJson) await print(`${facts["result.json"] ?? ""}\n`);
  if (call.name === "lint") await tellLint(JSON.parse(facts["result.json"] ?? "{}") as LintDocument, { file, isJson });
  else if (!isJson) await print(facts["result.txt"] ?? "");
  const status = Number(facts["result.statuscode"] ?? "0");
  return call.ignoresStatus || !Number.isInteger(status) ? 0 : status;
}

interface Location {
  readonly ranges?: readonly { readonly start: { readonly line?: number }; readonly end: { readonly line?: number } }[];
}

interface LintDocument {
  readonly warnings: readonly LintWarning[] | null;
  readonly sources?: readonly { readonly filename: string; readonly data: string }[];
  readonly buildError?: { readonly message: string; readonly location?: Location };
}

interface LintWarning {
  readonly ruleName: string;
  readonly url?: string;
  readonly detail?: string;
  readonly location?: Location;
}

interface Shown {
  readonly file: string;
  readonly isJson: boolean;
}

/** As buildx prints it. */
async function tellLint(document: LintDocument, { file, isJson }: Shown): Promise<void> {
  const warnings = document.warnings ?? [];
  const place = (location: Location | undefined): string => excerptOf(document, location, file);
  if (!isJson && warnings.length > 0) {
    const count = warnings.length === 1 ? "1 warning has" : `${warnings.length} warnings have`;
    const texts = warnings.map(
      ({ ruleName, url = "", detail = "", location }) =>
        `\nWARNING: ${ruleName}${url === "" ? "" : ` - ${url}`}\n${detail}\n${place(location)}`,
    );
    await print(`Check complete, ${count} been found!\n${texts.join("")}`);
  }
  if (document.buildError) {
    const { message, location } = document.buildError;
    if (!isJson && warnings.length > 0) await print("\n");
    throw new ExitError(1, `ERROR: ${message}\n${place(location)}`);
  }
  if (!isJson && warnings.length === 0) await print("Check complete, no warnings found.\n");
}

function excerptOf({ sources = [] }: LintDocument, location: Location | undefined, filename: string): string {
  const [source] = sources;
  const ranges = (location?.ranges ?? []).map(({ start, end }) => ({
    start: { line: start.line ?? 0 },
    end: { line: end.line ?? 0 },
  }));
  if (!source || ranges.length === 0) return "";
  const info = { filename, data: Buffer.from(source.data, "base64") };
  return excerpt(create(SourceSchema, { info, ranges }));
}
