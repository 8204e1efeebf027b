/** Rows as Go's tabwriter aligns them: each cell but a row's last is as wide as the widest of its column, and `padding` more. */
export function columns(rows: readonly (readonly string[])[], padding: number): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.slice(0, -1).entries())
      widths[index] = Math.max(widths[index] ?? 0, [...cell].length + padding);
  const line = (row: readonly string[]): string =>
    row.map((cell, index) => (index < row.length - 1 ? cell.padEnd(widths[index]!) : cell)).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}
