/** docker top: the host's ps, only the lines of the container's processes. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { HullError, messageOf } from "../../platform/errors.ts";

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const PS_MS = 10_000;

export interface TopTable {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[];
}

export async function top(pids: readonly number[], psArguments: string): Promise<TopTable> {
  const options = psArguments.trim() === "" ? ["-ef"] : psArguments.trim().split(/\s+/);
  verify(options);
  return parsePs(await ps(options), new Set(pids));
}

/** What would make ps leave the pid out of its table, or replace it. */
function verify(options: readonly string[]): void {
  for (const option of options)
    if (/^(?:-[a-zA-Z]*o|o|--format)/.test(option) && /pid\s*=/i.test(options.join(" ")))
      throw new HullError("invalid-argument", `specifying "PID=..." is not allowed`);
}

async function ps(options: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run("ps", [...options], {
      maxBuffer: MAX_OUTPUT_BYTES,
      timeout: PS_MS,
      env: { PATH: process.env.PATH ?? "" },
    });
    return stdout;
  } catch (error) {
    const said = typeof error === "object" && error !== null && "stderr" in error ? String(error.stderr).trim() : "";
    // The rest is ps's page of help.
    throw new HullError("internal", `ps: ${(said || messageOf(error)).split("\n", 1)[0]}`, { cause: error });
  }
}

/** Pure. The last column takes what is left. Throws internal when there is no PID column. */
export function parsePs(output: string, pids: ReadonlySet<number>): TopTable {
  const [header = "", ...lines] = output.split("\n");
  const titles = header.trim().split(/\s+/);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw new HullError("internal", "Couldn't find PID field in ps output");
  const rows = lines
    .filter((line) => line.trim() !== "")
    .map((line) => columns(line, titles.length))
    .filter((row) => pids.has(Number(row[pidColumn])));
  return { Titles: titles, Processes: rows };
}

function columns(line: string, count: number): string[] {
  const fields = line.trim().split(/\s+/);
  return [...fields.slice(0, count - 1), fields.slice(count - 1).join(" ")];
}
