import { ANY_NUMBER, type Command } from "../command.ts";
import { inspectEach } from "../format/show.ts";
import type { Value } from "../template/value.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "size", short: "s", kind: "bool", help: "Display total file sizes" },
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
  ],
  run: ({ flags, operands, session }) =>
    inspectEach(operands, flags.text("format"), (name) =>
      session.json<Value>({ path: `/containers/${name}/json`, query: { size: flags.bool("size") } }),
    ),
};
