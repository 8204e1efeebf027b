/** The tree of a parsed template: frozen tagged data. */
export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly pipe: Pipe }
  | { readonly kind: "if"; readonly pipe: Pipe; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly kind: "with"; readonly pipe: Pipe; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly kind: "range"; readonly pipe: Pipe; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly kind: "break" | "continue" };

/** `$a, $b := cmd | cmd`: the names are declared (`:=`) or assigned (`=`). */
export interface Pipe {
  readonly names: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly Command[];
}

/** A function or value with its arguments. */
export type Command = readonly Operand[];

export type Operand =
  | { readonly kind: "dot" }
  | { readonly kind: "nil" }
  | { readonly kind: "literal"; readonly value: string | number | boolean }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "pipe"; readonly pipe: Pipe }
  | { readonly kind: "field"; readonly of: Operand; readonly name: string };
