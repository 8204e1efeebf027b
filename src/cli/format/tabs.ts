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
  const widths = lines.map((cells) => new Array<number>(Math.max(0, cells.length - 1)).fill(0));
  const columns = Math.max(0, ...widths.map((line) => line.length));
  for (let column = 0; column < columns; column++) setWidths(lines, widths, { column, minWidth, gap });
  return lines
    .map((cells, row) => cells.map((cell, column) => padCell(cell, widths[row]![column])).join(""))
    .join("\n");
}

const displayWidth = (text: string): number => [...text].length;

const padCell = (cell: string, width: number | undefined): string =>
  width === undefined ? cell : cell + " ".repeat(Math.max(0, width - displayWidth(cell)));

interface ColumnRun {
  readonly column: number;
  readonly minWidth: number;
  readonly gap: number;
}

function setWidths(
  lines: readonly string[][],
  widths: readonly number[][],
  { column, minWidth, gap }: ColumnRun,
): void {
  for (let row = 0; row < lines.length; ) {
    if (widths[row]!.length <= column) {
      row++;
      continue;
    }
    let end = row;
    let width = minWidth;
    for (; end < lines.length && widths[end]!.length > column; end++) {
      const cell = displayWidth(lines[end]![column]!);
      width = Math.max(width, cell + gap);
    }
    for (; row < end; row++) widths[row]![column] = width;
  }
}
