/** The check of what COPY and ADD take from the main context. */
import { posix } from "node:path";
import { quoted } from "../text.ts";
import { expansionOf, type Facts, type IgnoreFacts, walk } from "./facts.ts";
import { type Finding, rule } from "./rule.ts";

export const copyRule = rule(
  "CopyIgnoredFile",
  "Attempting to Copy file that is excluded by .dockerignore",
  ignoredSources,
);

/** With exceptions it takes the files themselves to know what is ignored: then nothing is said. */
function ignoredSources(facts: Facts): readonly Finding[] {
  const { ignore } = facts;
  if (ignore === undefined || ignore.patterns.some((pattern) => pattern.startsWith("!"))) return [];
  const findings: Finding[] = [];
  for (const seen of walk(facts)) {
    const { instruction } = seen;
    if ((instruction.kind !== "copy" && instruction.kind !== "add") || instruction.from !== "") continue;
    const verb = instruction.kind === "copy" ? "Copy" : "Add";
    const paths = instruction.sources
      .map((source) => expansionOf(facts, source, seen)?.text ?? "")
      .filter((source) => source !== "" && !isRemote(source))
      .map((source) => posix.normalize(source).replace(/(?<=.)\/$/, ""))
      .filter((path) => isIgnored(path, ignore));
    for (const path of paths) {
      const message = `Attempting to ${verb} file ${quoted(path)} that is excluded by .dockerignore`;
      findings.push({ message, location: instruction.location });
    }
  }
  return findings;
}

const isRemote = (source: string): boolean => /^(?:[a-z][a-z0-9+.-]*:\/\/|git@)/i.test(source);

/** The context's root is no file that could be excluded, unless everything is. */
function isIgnored(path: string, ignore: IgnoreFacts): boolean {
  if (path !== "." && path !== "/") return ignore.ignores(path);
  return ignore.patterns.some((pattern) => ["*", "**", "**/*"].includes(pattern.trim()));
}
