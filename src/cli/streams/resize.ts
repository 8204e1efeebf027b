/** Keeps the size of a process's terminal that of ours. */
import type { Session } from "../session.ts";
import { followSize } from "./terminal.ts";

/** `path`: "/containers/ID" or "/exec/ID". A size that comes before the process runs, or after it has ended, is of no interest. */
export function followResize(session: Session, path: string): Disposable {
  return followSize(({ rows, columns }) => {
    if (rows === 0 && columns === 0) return;
    session.call({ method: "POST", path: `${path}/resize`, query: { h: rows, w: columns } }).catch(() => undefined);
  });
}
