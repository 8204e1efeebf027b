/**
 * Variables and quotes in a Dockerfile's words, as a POSIX shell would do it with the exceptions that Docker has
 * (https://docs.docker.com/reference/dockerfile/#environment-replacement). Every failure is a HullError `invalid-argument`.
 */
import { HullError, messageOf } from "../../platform/errors.ts";
import { Expander } from "./expander.ts";
import { quoted } from "./text.ts";

/** The variables that a text may use. Being asked for a name is being told that it is used. */
export interface Scope {
  /** Undefined: not set (an empty value is set). */
  find(name: string): string | undefined;
}

export interface ExpandMode {
  /** The file's escape character. */
  readonly escape: "\\" | "`";
  /** Quotes stay in the text. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the text. */
  readonly rawEscapes?: boolean;
  /** Quotes are characters like others (the bodies of here-documents). */
  readonly ignoreQuotes?: boolean;
  /** What names an unset variable stays as it is written. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  /** One word, spaces kept. */
  readonly text: string;
  /** The same split at spaces that are neither quoted nor escaped. */
  readonly words: readonly string[];
  readonly used: ReadonlySet<string>;
  /** Names that were asked for and are not set. */
  readonly unset: ReadonlySet<string>;
}

/** The mode for the body of a here-document that is not quoted: the file's escape character has no part in it. */
export const hereDocumentMode: ExpandMode = { escape: "\\", ignoreQuotes: true };

/** One word: `expand("${v:-a b}", scope, { escape: "\\" })` is "a b". */
export const expand = (text: string, scope: Scope, mode: ExpandMode): string => analyze(text, scope, mode).text;

/** Several words, split after the expansion, as EXPOSE has them. */
export const expandWords = (text: string, scope: Scope, mode: ExpandMode): readonly string[] =>
  analyze(text, scope, mode).words;

/** Of a text in an error: a here-document may have megabytes. */
const longestShown = 2000;

/** Everything there is to know about the expansion of a text. */
export function analyze(text: string, scope: Scope, mode: ExpandMode): Expansion {
  const expander = new Expander(text, scope, mode);
  try {
    const result = expander.until(undefined, mode.rawEscapes === true);
    return { ...result, used: expander.used, unset: expander.unset };
  } catch (error) {
    const shown = text.length > longestShown ? `${text.slice(0, longestShown)}...` : text;
    throw new HullError("invalid-argument", `failed to process ${quoted(shown)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
