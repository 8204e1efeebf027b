import { ANY_NUMBER, type Command } from "../command.ts";
import { inspectEach } from "../format/show.ts";
import type { Value } from "../template/value.ts";

export const command: Command = {
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  operands: [1, ANY_NUMBER],
  flags: [
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
  ],
  run: ({ flags, operands, session }) =>
    inspectEach(operands, flags.text("format"), (name) => session.json<Value>({ path: `/volumes/${name}` })),
};
