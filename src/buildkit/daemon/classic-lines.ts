/** The lines of dockerd's answer to `POST /build`: one JSON value each. */

export const streamLine = (text: string): string => `${JSON.stringify({ stream: text })}\r\n`;

/** The end of a build that failed. `code` is a command's exit code. */
export const errorLine = (message: string, code: number | undefined): string =>
  `${JSON.stringify({ errorDetail: { ...(code === undefined ? {} : { code }), message }, error: message })}\r\n`;

export const auxLine = (id: string): string => `${JSON.stringify({ aux: { ID: id } })}\r\n`;

/** As Docker shortens ids. */
export const short = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);
