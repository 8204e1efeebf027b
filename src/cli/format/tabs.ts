/** Go's text/tabwriter as docker's tables use it: columns padded with spaces, at least `gap` between them. */
export interface TabOptions {
  readonly minWidth?: number;
  readonly gap?: number;
}

/**
 * Aligns lines whose cells end in tabs. A cell is part of a column only when a tab ends it, and a column is a run of
 * consecutive lines that have it (text/tabwriter).
 */
export function alignTabs(text: string, { minWidth = 10, gap = 3 }: TabOptions = {}): string {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const own = lines.map((cells) => cells.slice(0, -1).map(displayWidth));
  const widths = own.map((line) => line.map(() => 0));
  const columns = Math.max(0, ...widths.map((line) => line.length));
  for (let column = 0; column < columns; column++) setWidths(own, widths, { column, minWidth, gap });
  const padding = (row: number, column: number) => " ".repeat((widths[row]![column] ?? 0) - (own[row]![column] ?? 0));
  return lines.map((cells, row) => cells.map((cell, column) => cell + padding(row, column)).join("")).join("\n");
}

/** Most cells are ASCII, which the runtime tells without a turn of ours for each character. */
const displayWidth = (text: string): number =>
  Buffer.byteLength(text) === text.length ? text.length : [...text].length;

interface ColumnRun {
  readonly column: number;
  readonly minWidth: number;
  readonly gap: number;
}

function setWidths(own: readonly number[][], widths: readonly number[][], { column, minWidth, gap }: ColumnRun): void {
  for (let row = 0; row < own.length; ) {
    if (widths[row]!.length <= column) {
      row++;
      continue;
    }
    let end = row;
    let width = minWidth;
    for (; end < own.length && own[end]!.length > column; end++) width = Math.max(width, own[end]![column]! + gap);
    for (; row < end; row++) widths[row]![column] = width;
  }
}
