/** What a check of a Dockerfile answers: the documents of BuildKit's sub-request `frontend.lint`, and warnings as events of a build. */
import type { SourceRange } from "../../graph/vertex.ts";
import type { BuildEvent } from "../../progress.ts";
import { goJson, locationDocument } from "../location-document.ts";
import { formatExcerpt } from "../source-error.ts";
import { formatShort } from "./lint.ts";
import type { LintWarning } from "./rule.ts";

export interface Checked {
  readonly file: string;
  readonly data: Buffer;
  readonly warnings: readonly LintWarning[];
  /** Of a Dockerfile that cannot be built at all, with its place where it has one. */
  readonly error: { readonly message: string; readonly range?: SourceRange } | undefined;
}

/** By the names that the result's metadata has. */
export interface CheckReport {
  readonly "result.json": string;
  readonly "result.txt": string;
  /** "1": there is something. */
  readonly "result.statuscode": "0" | "1";
  readonly version: "1.0.0";
}

export function reportOf(checked: Checked): CheckReport {
  const { warnings, error } = checked;
  return {
    "result.json": formatJson(checked),
    "result.txt": formatText(checked),
    "result.statuscode": warnings.length > 0 || error !== undefined ? "1" : "0",
    version: "1.0.0",
  };
}

/** A build's warning, of no vertex. */
export const warningEvent = (warning: LintWarning): BuildEvent => ({
  kind: "warning",
  id: "",
  rule: warning.rule,
  short: formatShort(warning),
  detail: warning.description,
  url: warning.url,
  startLine: warning.location.startLine,
  endLine: warning.location.endLine,
});

/** Each with the lines that it is about. */
function formatText({ data, warnings }: Checked): string {
  const lines = data.toString("utf8").split("\n");
  return warnings
    .map(({ rule, url, message, location }) => {
      const heading = `\nWARNING: ${rule}${url === "" ? "" : ` - ${url}`}\n${message}\n`;
      return heading + formatExcerpt(location, lines);
    })
    .join("");
}

function formatJson({ file, data, warnings, error }: Checked): string {
  const document = {
    warnings: warnings.length === 0 ? null : warnings.map(warningDocument),
    sources: [{ filename: file, data: data.toString("base64"), definition: {}, language: "Dockerfile" }],
    ...(error && {
      buildError: { message: error.message, location: error.range ? locationDocument(error.range) : {} },
    }),
  };
  return goJson(document);
}

const warningDocument = ({ rule, description, url, message, location }: LintWarning): object => ({
  ruleName: rule,
  description,
  ...(url !== "" && { url }),
  detail: message,
  location: locationDocument(location),
});
