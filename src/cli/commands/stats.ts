import { ANY_NUMBER, type Command } from "../command.ts";
import { formatFlag } from "../format/filters.ts";
import { formatList } from "../format/listing.ts";
import { type Sample, type StatsLine, statsListing, toLine } from "../format/stats.ts";
import type { Session } from "../session.ts";
import { jsonValues, print } from "../streams/output.ts";
import { stdoutIsTerminal } from "../streams/terminal.ts";

const REFRESH_MS = 500;

export const command: Command = {
  usage: "[OPTIONS] [CONTAINER...]",
  operands: [0, ANY_NUMBER],
  flags: [
    { name: "all", short: "a", kind: "bool", help: "Show all containers (default shows just running)" },
    formatFlag,
    { name: "no-stream", kind: "bool", help: "Disable streaming stats and only pull the first result" },
    { name: "no-trunc", kind: "bool", help: "Do not truncate output" },
  ],
  async run({ flags, operands, session }) {
    const names = operands.length > 0 ? operands : await runningNames(session, flags.bool("all"));
    const listing = statsListing(!flags.bool("no-trunc"));
    const show = (lines: readonly StatsLine[]) => formatList(listing, lines, flags.text("format"));
    if (flags.bool("no-stream")) {
      const lines = await Promise.all(names.map((name) => once(session, name)));
      await print(show(lines));
      return 0;
    }
    await stream(session, names, show);
    return 0;
  },
};

async function runningNames(session: Session, all: boolean): Promise<string[]> {
  const list = await session.json<{ Id: string }[]>({ path: "/containers/json", query: { all: all || undefined } });
  return list.map((container) => container.Id);
}

async function once(session: Session, name: string): Promise<StatsLine> {
  return toLine(name, await session.json<Sample>({ path: `/containers/${name}/stats`, query: { stream: false } }));
}

/** Follows every container and redraws the table until interrupted, or until all of them are gone. */
async function stream(
  session: Session,
  names: readonly string[],
  show: (lines: readonly StatsLine[]) => string,
): Promise<void> {
  const latest = new Map<string, StatsLine>();
  const redraw = () => {
    const clear = stdoutIsTerminal() ? "\x1b[2J\x1b[H" : "";
    return print(clear + show(names.flatMap((name) => latest.get(name) ?? [])));
  };
  const timer = setInterval(() => void redraw(), REFRESH_MS);
  try {
    await Promise.all(
      names.map(async (name) => {
        const response = await session.call({ path: `/containers/${name}/stats`, query: { stream: true } });
        for await (const sample of jsonValues<Sample>(response)) latest.set(name, toLine(name, sample));
        latest.delete(name);
      }),
    );
  } finally {
    clearInterval(timer);
  }
}
