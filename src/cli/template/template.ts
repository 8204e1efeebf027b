/** Go's text/template as docker's `--format` uses it: `compile(source)` once, `render(data)` per row. */
import { HullError } from "../../platform/errors.ts";
import { functions } from "./functions.ts";
import { templateError } from "./lexer.ts";
import { parseTemplate } from "./parser.ts";
import type { Command, Node, Operand, Pipe } from "./syntax.ts";
import { fieldOf, formatGo, formatNil, isPlainObject, isRow, isTrue, type Value } from "./value.ts";

export interface Template {
  /** Throws invalid-argument when a field does not exist (as Docker does for a missing map key in strict data). */
  render(data: Value): string;
}

export function compile(source: string): Template {
  const nodes = parseTemplate(source);
  for (const name of functionNames(nodes)) {
    if (!Object.hasOwn(functions, name)) throw templateError(`function "${name}" not defined`);
  }
  return { render: (data) => renderNodes(nodes, { dot: data, variables: new Map([["$", { value: data }]]) }) };
}

interface Scope {
  readonly dot: Value;
  readonly variables: ReadonlyMap<string, { value: Value }>;
}

class LoopControl {
  constructor(
    readonly kind: "break" | "continue",
    public output: string,
  ) {}
}

function renderNodes(nodes: readonly Node[], outer: Scope): string {
  let output = "";
  const scope: Scope = { dot: outer.dot, variables: new Map(outer.variables) };
  for (const node of nodes) {
    try {
      output += renderNode(node, scope);
    } catch (thrown) {
      if (thrown instanceof LoopControl) thrown.output = output + thrown.output;
      throw thrown;
    }
  }
  return output;
}

function renderNode(node: Node, scope: Scope): string {
  switch (node.kind) {
    case "text":
      return node.text;
    case "output": {
      const value = evaluatePipe(node.pipe, scope);
      if (node.pipe.names.length > 0) return "";
      const field = value === null ? fieldNamed(node.pipe) : undefined;
      return field === undefined ? formatGo(value) : formatNil(field);
    }
    case "if":
      return renderNodes(isTrue(evaluatePipe(node.pipe, scope)) ? node.body : node.otherwise, scope);
    case "with": {
      const value = evaluatePipe(node.pipe, scope);
      return isTrue(value) ? renderNodes(node.body, { ...scope, dot: value }) : renderNodes(node.otherwise, scope);
    }
    case "range":
      return renderRange(node, scope);
    default:
      throw new LoopControl(node.kind, "");
  }
}

/** The field that a pipe ends with. */
function fieldNamed({ commands }: Pipe): string | undefined {
  const [only, ...more] = commands.at(-1) ?? [];
  return only?.kind === "field" && more.length === 0 ? only.name : undefined;
}

function renderRange(node: Extract<Node, { kind: "range" }>, scope: Scope): string {
  const value = evaluatePipe({ ...node.pipe, names: [] }, scope);
  const entries = rangeEntries(value);
  if (entries.length === 0) return renderNodes(node.otherwise, scope);
  let output = "";
  for (const [key, item] of entries) {
    const variables = new Map(scope.variables);
    const [first, second] = node.pipe.names;
    if (second !== undefined) variables.set(first!, { value: key }).set(second, { value: item });
    else if (first !== undefined) variables.set(first, { value: item });
    try {
      output += renderNodes(node.body, { dot: item, variables });
    } catch (thrown) {
      if (!(thrown instanceof LoopControl)) throw thrown;
      output += thrown.output;
      if (thrown.kind === "break") break;
    }
  }
  return output;
}

function rangeEntries(value: Value): [Value, Value][] {
  if (Array.isArray(value)) return value.map((item, i) => [i, item]);
  if (typeof value === "number") return Array.from({ length: value }, (_, i) => [i, i]);
  if (isPlainObject(value)) {
    return Object.keys(value)
      .sort()
      .map((key) => [key, value[key]]);
  }
  if (value === undefined || value === null) return [];
  throw new HullError("invalid-argument", `template: :1: range can't iterate over ${formatGo(value)}`);
}

function evaluatePipe(pipe: Pipe, scope: Scope): Value {
  let value: Value;
  let piped: readonly Value[] = [];
  for (const command of pipe.commands) {
    value = evaluateCommand(command, scope, piped);
    piped = [value];
  }
  const name = pipe.names[0];
  if (name !== undefined) {
    const known = scope.variables.get(name);
    if (!pipe.declares && known) known.value = value;
    else (scope.variables as Map<string, { value: Value }>).set(name, { value });
  }
  return value;
}

function evaluateCommand(command: Command, scope: Scope, piped: readonly Value[]): Value {
  // The fields of a table, once per row: nothing to pass.
  if (command.length === 1 && piped.length === 0 && command[0]!.kind === "field") return evaluate(command[0]!, scope);
  const [head, ...rest] = command;
  const args = [...rest.map((operand) => evaluate(operand, scope)), ...piped];
  if (head!.kind === "function") return functions[head!.name]!(args);
  if (head!.kind === "field" && args.length > 0) {
    const owner = evaluate(head!.of, scope);
    if (isRow(owner)) return owner.get(head!.name, args);
    throw new HullError(
      "invalid-argument",
      `template: :1: ${head!.name} has arguments but cannot be invoked as function`,
    );
  }
  return evaluate(head!, scope);
}

function evaluate(operand: Operand, scope: Scope): Value {
  switch (operand.kind) {
    case "dot":
      return scope.dot;
    case "nil":
      return null;
    case "literal":
      return operand.value;
    case "variable": {
      const variable = scope.variables.get(operand.name);
      if (!variable) throw templateError(`undefined variable "${operand.name}"`);
      return variable.value;
    }
    case "function":
      return functions[operand.name]!([]);
    case "pipe":
      return evaluatePipe(operand.pipe, scope);
    case "field":
      return evaluateField(evaluate(operand.of, scope), operand.name);
  }
}

function evaluateField(owner: Value, name: string): Value {
  if (owner === null || owner === undefined) {
    throw new HullError("invalid-argument", `template: :1: nil data; no entry for key "${name}"`);
  }
  const value = fieldOf(owner, name);
  if (value === undefined && !isRow(owner) && isPlainObject(owner)) {
    throw new HullError(
      "invalid-argument",
      `template: :1:2: executing "" at <.${name}>: map has no entry for key "${name}"`,
    );
  }
  return value;
}

function* functionNames(nodes: readonly Node[]): Generator<string> {
  for (const node of nodes) {
    if (!("pipe" in node)) continue;
    yield* pipeFunctions(node.pipe);
    if ("body" in node) {
      yield* functionNames(node.body);
      yield* functionNames(node.otherwise);
    }
  }
}

function* pipeFunctions(pipe: Pipe): Generator<string> {
  for (const operand of pipe.commands.flat()) {
    for (let inner: Operand = operand; ; inner = inner.of) {
      if (inner.kind === "function") yield inner.name;
      if (inner.kind === "pipe") yield* pipeFunctions(inner.pipe);
      if (inner.kind !== "field") break;
    }
  }
}
