/** Why another runtime failed: its own words, from its log, in containerd's sentence. */
import { readFile } from "node:fs/promises";
import { codeOf, HullError, messageOf } from "../../../platform/errors.ts";
import { logFile } from "./runtime.ts";

const start = {
  create: "failed to create task for container: failed to create shim task: OCI runtime create failed",
  exec: "OCI runtime exec failed",
} as const;

export async function foreignFailure(command: keyof typeof start, bundle: string, error: unknown): Promise<HullError> {
  const text = await readFile(logFile(bundle), "utf8").catch(() => ""); // Without a log its exit status is all there is.
  const words = inDockersWords(lastError(text) ?? messageOf(error));
  const facts = error instanceof HullError ? error.facts : {};
  return new HullError(codeOf(error), `${start[command]}: ${words}: unknown`, { cause: error, facts });
}

/** The docker command makes 126 and 127 of runc's words: crun's for the same are said in those. */
function inDockersWords(words: string): string {
  const missing = /executable file `(.*)` not found in \$PATH/.exec(words);
  if (missing) return `unable to start container process: exec: "${missing[1]}": executable file not found in $PATH`;
  return words.replace(/Permission denied$|No such file or directory$|Is a directory$/, (text) => text.toLowerCase());
}

/** Pure. The last line with level error of a log as runc, crun and runsc write it. */
export function lastError(log: string): string | undefined {
  const said = log.split("\n").flatMap((line) => {
    try {
      const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
      return level === "error" && typeof msg === "string" ? [msg.trim()] : [];
    } catch {
      return []; // Cut short, or of another form.
    }
  });
  return said.at(-1);
}
