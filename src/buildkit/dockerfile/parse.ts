/**
 * A Dockerfile's text as a syntax tree (https://docs.docker.com/reference/dockerfile/). Whatever the bytes are, the only thing that is thrown
 * is a SourceError that names file, line and column.
 */
import type { SourceRange } from "../graph/vertex.ts";
import type { ArgInstruction, Directives, Dockerfile, FromInstruction, Instruction, Stage } from "./ast.ts";
import { parseDirectives } from "./directives.ts";
import { parseInstruction } from "./instruction.ts";
import { atPlace, complaint, dockerfileError, type SourceError } from "./source-error.ts";
import { LineReader, readLines, shown } from "./source-lines.ts";
import { requireBuiltInSyntax } from "./syntax.ts";

/** Docker has no such limit: the kernel's for layers is reached long before. */
const mostInstructions = 10_000;

/** Reads the file whole: `file` is the name that errors show. */
export function parseDockerfile(data: Buffer, file: string): Dockerfile {
  const { lines, directives, instructions, emptyContinuations } = parseFile(data, file);
  const globalArgs: ArgInstruction[] = [];
  const stages: Stage[] = [];
  let current: Instruction[] = [];
  for (const instruction of instructions) {
    if (instruction.kind === "from") {
      current = [];
      stages.push(stageOf(stages.length, instruction, current));
    } else if (stages.length > 0) {
      current.push(instruction);
    } else if (instruction.kind === "arg") {
      globalArgs.push(instruction);
    } else {
      throw atPlace(complaint("no build stage in current context"), instruction.location, lines);
    }
  }
  if (stages.length === 0) {
    throw ofFile("dockerfile contains no stages to build", file, lines);
  }
  return { file, lines, directives, globalArgs, stages, emptyContinuations };
}

const stageOf = (index: number, from: FromInstruction, instructions: readonly Instruction[]): Stage => ({
  index,
  name: from.as.toLowerCase(),
  from,
  instructions,
});

/** The instruction of an ONBUILD trigger: what cannot be one is refused. */
export function parseInstructions(text: string, file: string): Instruction[] {
  const { lines, instructions } = parseFile(Buffer.from(text), file);
  return instructions.map((instruction) => {
    if (instruction.kind !== "from" && instruction.kind !== "onbuild" && instruction.kind !== "maintainer") {
      return instruction;
    }
    const message = `${instruction.kind.toUpperCase()} isn't allowed as an ONBUILD trigger`;
    throw atPlace(complaint(message), instruction.location, lines);
  });
}

/** Of no line in particular. */
const ofFile = (message: string, file: string, lines: readonly string[]): SourceError =>
  dockerfileError("invalid-argument", message, { range: lineAt(file, 1), lines, token: "" });

const lineAt = (file: string, line: number): SourceRange => ({ file, startLine: line, endLine: line });

interface ParsedFile {
  readonly lines: readonly string[];
  readonly directives: Directives;
  readonly instructions: readonly (FromInstruction | Instruction)[];
  readonly emptyContinuations: readonly SourceRange[];
}

function parseFile(data: Buffer, file: string): ParsedFile {
  const raw = readLines(data, file);
  const lines = shown(raw);
  const directives = parseDirectives(file, lines, (line, error) => {
    throw atPlace(error, lineAt(file, line), lines);
  });
  // "// syntax=" and its like: what follows is no Dockerfile at all.
  const foreign = directives.syntax !== "" && directives.locations.syntax === undefined;
  if (foreign) requireBuiltInSyntax({ file, lines, directives }, {});
  const reader = new LineReader(file, raw, directives);
  const instructions: (FromInstruction | Instruction)[] = [];
  const emptyContinuations: SourceRange[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    const { location } = line;
    if (instructions.length === mostInstructions) {
      throw atPlace(complaint(`dockerfile has more than ${mostInstructions} instructions`), location, lines);
    }
    try {
      instructions.push(parseInstruction(line, directives.escape));
    } catch (error) {
      throw atPlace(error, location, lines);
    }
    if (line.hasEmptyContinuation) emptyContinuations.push(lineAt(file, location.endLine));
  }
  if (instructions.length === 0) {
    const message = data.length === 0 ? `the Dockerfile (${file}) cannot be empty` : "file with no instructions";
    throw ofFile(message, file, lines);
  }
  return { lines, directives, instructions, emptyContinuations };
}
