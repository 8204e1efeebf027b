/** Questions on the terminal. */
import { print } from "./output.ts";
import { rawMode } from "./terminal.ts";

/** One line, without its end. */
export const askLine = (question: string): Promise<string> => ask(question);

/** One line that is not shown. */
export async function askHidden(question: string): Promise<string> {
  using _ = rawMode();
  return ask(question);
}

const INTERRUPT = "\u0003";
const ERASE = "\u007f";

/** In raw mode keys come as they are. */
async function ask(question: string): Promise<string> {
  await print(question);
  let line = "";
  try {
    for await (const bytes of process.stdin.iterator({ destroyOnReturn: false })) {
      for (const key of (bytes as Buffer).toString("utf8")) {
        if (key === "\r" || key === "\n") return line;
        if (key === INTERRUPT) process.kill(process.pid, "SIGINT");
        line = key === ERASE ? line.slice(0, -1) : line + key;
      }
    }
    return line;
  } finally {
    process.stdin.pause();
  }
}
