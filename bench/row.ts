/** A row of the table: what was measured, what it is held against, and whether it must hold. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  readonly peer: string;
  readonly target: string;
  readonly met: boolean;
  /** A bold row: not met means the bench fails. */
  readonly must: boolean;
}

export const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
export const times = (value: number): string => `${value.toFixed(1)}x`;

export function formatTable(rows: readonly Row[]): string {
  const bold = (row: Row, text: string) => (row.must ? `**${text}**` : text);
  const lines = rows.map(
    (row) => `| ${bold(row, row.what)} | ${row.figure} | ${row.peer} | ${row.target} | ${row.met ? "yes" : "NO"} |`,
  );
  return ["| what | figure | peer, same run | target | met |", "|---|---|---|---|---|", ...lines].join("\n");
}
