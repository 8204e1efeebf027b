/** What RUN starts: the exec form, a shell with the shell form, or what here-documents make of it. */

import { HullError } from "../../platform/errors.ts";
import type { HereDocument, RunInstruction } from "../dockerfile/ast.ts";
import { parseMark } from "../dockerfile/here-document.ts";
import { argvOf } from "./config-instructions.ts";
import { type StageState, shellOf } from "./stage-state.ts";
import type { RunVertex } from "./vertex.ts";

export interface Command {
  readonly argv: readonly string[];
  readonly pipes: RunVertex["pipes"];
  /** For the name: " (first line...)". */
  readonly summary: string;
}

const PIPES = "/dev/pipes";

export function commandOf(instruction: RunInstruction, { config }: StageState): Command {
  const { command, hereDocuments } = instruction;
  if (hereDocuments.length === 0) return { argv: argvOf(command, config), pipes: [], summary: "" };
  if (command.form === "exec") {
    throw new HullError("invalid-argument", "RUN in its JSON form takes no here-document");
  }
  const [first] = hereDocuments as [HereDocument];
  if (hereDocuments.length > 1 || parseMark(command.text.trim()) === undefined) {
    const script = hereDocuments.reduce((text, { data, name }) => `${text}\n${data}${name}`, command.text);
    return { argv: [...shellOf(config), script], pipes: [], summary: "" };
  }
  const data = first.data;
  const summary = ` (${summaryOf(data)})`;
  if (!data.startsWith("#!")) return { argv: [...shellOf(config), data], pipes: [], summary };
  return { argv: [`${PIPES}/${first.name}`], pipes: [{ name: first.name, data }], summary };
}

function summaryOf(data: string): string {
  const [first = "", ...rest] = data.trim().split(/\r?\n/);
  return rest.length > 0 ? `${first}...` : first;
}
