/** Lines of progress as dockerd writes them: one JSON object each (moby, pkg/jsonmessage and pkg/streamformatter). */
import { messageOf } from "../../platform/errors.ts";
import { humanSize } from "../../platform/human-size.ts";
import type { ResponseStream } from "../http/response-stream.ts";

/** Once the answer has begun an error is a line of it; clients know it by `errorDetail`. */
export async function withErrorsInBand(stream: ResponseStream, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    const message = messageOf(error);
    await stream.line({ errorDetail: { message }, error: message });
  }
}

/** A step of one layer without numbers. */
export const plainLine = (status: string, id: string): object => ({ status, progressDetail: {}, id });

export interface Bytes {
  readonly current: number;
  readonly total: number;
}

/** A step of one layer with its bar. */
export const barLine = (status: string, id: string, bytes: Bytes): object => ({
  status,
  progressDetail: {
    ...(bytes.current > 0 && { current: bytes.current }),
    ...(bytes.total > 0 && { total: bytes.total }),
  },
  progress: formatBar(bytes),
  id,
});

const WIDTH = 50;

/** "[=====>          ]  1.5MB/12MB" */
export function formatBar({ current, total }: Bytes): string {
  if (current <= 0 && total <= 0) return "";
  const now = humanSize(current).padStart(8);
  if (total <= 0) return now;
  const done = Math.min(WIDTH, Math.floor(Math.floor((current / total) * 100) / 2));
  const bar = `[${"=".repeat(done)}>${" ".repeat(WIDTH - done)}] `;
  return `${bar}${now}${current > total ? "" : `/${humanSize(total)}`}`;
}
