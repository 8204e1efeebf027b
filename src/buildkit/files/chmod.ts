/** --chmod: octal ("0755") and symbolic ("u=rwX,go=rX") modes as chmod(1) has them, with a umask of 0. */
import { HullError } from "../../platform/errors.ts";

/** From what a file or directory has to what it gets: 0 to 0o7777. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

/** Throws invalid-argument in BuildKit's words. */
export function parseChmod(text: string): ModeChange {
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= 0o7777) {
    const mode = Number.parseInt(text, 8);
    return () => mode;
  }
  if (/^\d/.test(text)) throw notOctal(text);
  const actions = text.split(",").flatMap((clause) => parseClause(clause, text));
  return (mode, isDirectory) =>
    actions.reduce((result, action) => apply(action, { mode: result, original: mode, isDirectory }), mode);
}

/** The mode of directories that are made on the way; symbolic changes need something to change. */
export const modeOfMadeDirectories = (text: string | undefined): number =>
  text !== undefined && /^\d/.test(text) ? parseChmod(text)(0, true) : 0o755;

const notOctal = (text: string) =>
  new HullError(
    "invalid-argument",
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
  );

interface Action {
  /** Bits that may change, sets of "ugo" as 0o700, 0o070, 0o007. */
  readonly who: number;
  readonly special: number;
  readonly operator: string;
  readonly permissions: string;
}

const bitsOfClass: Readonly<Record<string, number>> = { u: 0o700, g: 0o070, o: 0o007, a: 0o777 };

function parseClause(clause: string, text: string): Action[] {
  const found = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
  if (found === null) {
    throw new HullError("invalid-argument", `invalid chmod parameter: '${text}': "${clause}" is not like u=rwX`);
  }
  const classes = found[1] === "" ? "a" : found[1]!;
  const who = [...classes].reduce((bits, letter) => bits | bitsOfClass[letter]!, 0);
  const special = (who & 0o700 ? 0o4000 : 0) | (who & 0o070 ? 0o2000 : 0);
  return [...found[2]!.matchAll(/([-+=])([rwxXstugo]*)/g)].map(([, operator, permissions]) => {
    return { who, special, operator: operator!, permissions: permissions! };
  });
}

interface Subject {
  readonly mode: number;
  /** Before the first action: what X looks at. */
  readonly original: number;
  readonly isDirectory: boolean;
}

function apply({ who, special, operator, permissions }: Action, subject: Subject): number {
  const { mode } = subject;
  const bits = [...permissions].reduce((sum, letter) => sum | permissionBits(letter, subject, who), 0);
  const allowed = bits & (who | special | 0o1000);
  if (operator === "+") return mode | allowed;
  if (operator === "-") return mode & ~allowed;
  const copied = /^[ugo]+$/.test(permissions);
  return (mode & ~(who | (copied ? 0 : special))) | allowed;
}

function permissionBits(letter: string, { mode, original, isDirectory }: Subject, who: number): number {
  if (letter === "r") return 0o444;
  if (letter === "w") return 0o222;
  if (letter === "x") return 0o111;
  if (letter === "X") return isDirectory || original & 0o111 ? 0o111 : 0;
  if (letter === "s") return 0o6000;
  if (letter === "t") return who === 0o007 ? 0 : 0o1000;
  const shift = { u: 6, g: 3, o: 0 }[letter] ?? 0;
  return ((mode >> shift) & 7) * 0o111;
}
