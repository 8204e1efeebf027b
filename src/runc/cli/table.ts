/** Columns as Go's tabwriter aligns them for runc: at least twelve wide, one space between. Pure. */
const LEAST_WIDTH = 12;

export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, i) => Math.max(LEAST_WIDTH, ...lines.map((line) => (line[i] ?? "").length + 1)));
  const format = (line: readonly string[]): string =>
    line.map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd(widths[i]!))).join("");
  return lines.map((line) => `${format(line)}\n`).join("");
}
