/** -e, --env-file, --label, --label-file: `KEY=value`, or `KEY` alone, which takes the command's own value. */
import { builtins } from "../../platform/builtins.ts";
import { HullError, messageOf } from "../../platform/errors.ts";

/** Files first, then the flags, as docker orders them. */
export function parseEnvironment(flags: readonly string[], files: readonly string[]): string[] {
  return [...files.flatMap((file) => readPairs(file, "env")), ...flags].flatMap((pair) => {
    if (pair === "" || pair.startsWith("="))
      throw new HullError("invalid-argument", `invalid environment variable: ${pair}`);
    if (pair.includes("=")) return [pair];
    const own = process.env[pair];
    return own === undefined ? [] : [`${pair}=${own}`];
  });
}

export function parseLabels(flags: readonly string[], files: readonly string[]): Record<string, string> {
  const pairs = [...files.flatMap((file) => readPairs(file, "label")), ...flags];
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      const key = equals < 0 ? pair : pair.slice(0, equals);
      if (key === "") throw new HullError("invalid-argument", `invalid label '${pair}': empty name`);
      return [key, equals < 0 ? "" : pair.slice(equals + 1)];
    }),
  );
}

/** A file that a flag names. */
export function readText(file: string): string {
  try {
    return builtins.fs.readFileSync(file, "utf8");
  } catch (error) {
    const reason = /ENOENT/.test(messageOf(error)) ? "no such file or directory" : messageOf(error);
    throw new HullError("not-found", `open ${file}: ${reason}`, { cause: error });
  }
}

/** One pair a line; empty lines and those that begin with # are skipped. */
function readPairs(file: string, what: string): string[] {
  return readText(file)
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line) => line.trimStart().replace(/\r$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const key = line.split("=")[0]!;
      if (/\s/.test(key))
        throw new HullError(
          "invalid-argument",
          `invalid ${what} file (${file}): variable '${key}' contains whitespaces`,
        );
      if (key === "")
        throw new HullError("invalid-argument", `invalid ${what} file (${file}): no variable name on line '${line}'`);
      return line;
    });
}
