/** Tokens -> tree. Throws invalid-argument with Go's wording where Docker's users see it. */
import { lex, type Token, templateError } from "./lexer.ts";
import type { Command, Node, Operand, Pipe } from "./syntax.ts";

export function parseTemplate(source: string): Node[] {
  const cursor = new Cursor(lex(source));
  const { nodes, ended } = parseNodes(cursor);
  if (ended !== "eof") throw templateError(`unexpected {{${ended}}}`);
  return nodes;
}

class Cursor {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.#at + ahead];
  }

  next(): Token {
    const token = this.tokens[this.#at++];
    if (!token) throw templateError("unexpected EOF");
    return token;
  }

  take(kind: Token["kind"]): boolean {
    if (this.peek()?.kind !== kind) return false;
    this.#at++;
    return true;
  }

  expectClose(context: string): void {
    if (!this.take("close")) throw templateError(`unexpected ${describe(this.peek())} in ${context}`);
  }
}

const describe = (token: Token | undefined): string => {
  if (!token) return "EOF";
  return "text" in token ? `<${token.text}>` : `<${token.kind}>`;
};

type Ending = "end" | "else" | "eof";

function parseNodes(cursor: Cursor): { nodes: Node[]; ended: Ending } {
  const nodes: Node[] = [];
  while (cursor.peek()) {
    const token = cursor.next();
    if (token.kind === "text") {
      nodes.push({ kind: "text", text: token.text });
      continue;
    }
    const word = cursor.peek();
    const keyword = word?.kind === "word" ? word.text : "";
    if (keyword === "end" || keyword === "else") {
      cursor.next();
      if (keyword === "end") cursor.expectClose("end");
      return { nodes, ended: keyword };
    }
    nodes.push(parseAction(cursor, keyword));
  }
  return { nodes, ended: "eof" };
}

function parseAction(cursor: Cursor, keyword: string): Node {
  if (keyword === "if" || keyword === "with" || keyword === "range") {
    cursor.next();
    return parseBlock(cursor, keyword);
  }
  if (keyword === "break" || keyword === "continue") {
    cursor.next();
    cursor.expectClose(keyword);
    return { kind: keyword };
  }
  const pipe = parsePipe(cursor, "command");
  cursor.expectClose("command");
  return { kind: "output", pipe };
}

function parseBlock(cursor: Cursor, kind: "if" | "with" | "range"): Node {
  const pipe = parsePipe(cursor, kind);
  cursor.expectClose(kind);
  const { nodes: body, ended } = parseNodes(cursor);
  if (ended === "eof") throw templateError("unexpected EOF");
  return { kind, pipe, body, otherwise: ended === "else" ? parseElse(cursor) : [] };
}

/** After `{{else`: either `}}` and a body, or `if ...` / `with ...`, which is a nested block that shares the end. */
function parseElse(cursor: Cursor): Node[] {
  const word = cursor.peek();
  if (word?.kind === "word" && (word.text === "if" || word.text === "with")) {
    cursor.next();
    return [parseBlock(cursor, word.text)];
  }
  cursor.expectClose("else");
  const { nodes, ended } = parseNodes(cursor);
  if (ended !== "end") throw templateError(ended === "eof" ? "unexpected EOF" : "expected end; found {{else}}");
  return nodes;
}

function parsePipe(cursor: Cursor, context: string): Pipe {
  const { names, declares } = parseNames(cursor);
  const commands: Command[] = [parseCommand(cursor, context)];
  while (cursor.take("pipe")) commands.push(parseCommand(cursor, context));
  return { names, declares, commands };
}

function parseNames(cursor: Cursor): { names: string[]; declares: boolean } {
  const first = cursor.peek();
  if (first?.kind !== "variable") return { names: [], declares: false };
  const after = cursor.peek(1)?.kind;
  if (after === "declare" || after === "assign") {
    cursor.next();
    cursor.next();
    return { names: [first.text], declares: after === "declare" };
  }
  const second = cursor.peek(2);
  if (after === "comma" && second?.kind === "variable") {
    for (let i = 0; i < 3; i++) cursor.next();
    return { names: [first.text, second.text], declares: cursor.next().kind === "declare" };
  }
  return { names: [], declares: false };
}

function parseCommand(cursor: Cursor, context: string): Command {
  const operands: Operand[] = [];
  for (let operand = parseOperand(cursor); operand; operand = parseOperand(cursor)) operands.push(operand);
  if (operands.length === 0) {
    const found = cursor.peek();
    throw templateError(found?.kind === "close" ? `missing value for ${context}` : `unexpected ${describe(found)}`);
  }
  return operands;
}

function parseOperand(cursor: Cursor): Operand | undefined {
  let operand = parseTerm(cursor);
  for (let field = cursor.peek(); operand && field?.kind === "field" && field.glued; field = cursor.peek()) {
    cursor.next();
    operand = { kind: "field", of: operand, name: field.text };
  }
  return operand;
}

function parseTerm(cursor: Cursor): Operand | undefined {
  const token = cursor.peek();
  switch (token?.kind) {
    case "dot":
      cursor.next();
      return { kind: "dot" };
    case "field":
      cursor.next();
      return { kind: "field", of: { kind: "dot" }, name: token.text };
    case "variable":
      cursor.next();
      return { kind: "variable", name: token.text };
    case "string":
      cursor.next();
      return { kind: "literal", value: token.text };
    case "number":
      cursor.next();
      return { kind: "literal", value: Number(token.text) };
    case "word":
      cursor.next();
      return wordOperand(token.text);
    case "lparen": {
      cursor.next();
      const pipe = parsePipe(cursor, "parenthesized pipeline");
      if (!cursor.take("rparen")) throw templateError("unclosed left paren");
      return { kind: "pipe", pipe };
    }
    default:
      return undefined;
  }
}

function wordOperand(word: string): Operand {
  if (word === "true" || word === "false") return { kind: "literal", value: word === "true" };
  if (word === "nil") return { kind: "nil" };
  return { kind: "function", name: word };
}
