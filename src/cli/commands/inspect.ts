import { HullError } from "../../platform/errors.ts";
import { ANY_NUMBER, type Command } from "../command.ts";
import { inspectEach } from "../format/show.ts";
import type { Session } from "../session.ts";
import type { Value } from "../template/value.ts";

const pathOf: Readonly<Record<string, (name: string) => string>> = {
  container: (name) => `/containers/${name}/json`,
  image: (name) => `/images/${name}/json`,
  network: (name) => `/networks/${name}`,
  volume: (name) => `/volumes/${name}`,
};

export const command: Command = {
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  operands: [1, ANY_NUMBER],
  flags: [
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
    { name: "size", short: "s", kind: "bool", help: "Display total file sizes if the type is container" },
    { name: "type", kind: "string", help: "Only inspect objects of the given type" },
  ],
  run({ flags, operands, session }) {
    const type = flags.text("type");
    if (type !== undefined && !pathOf[type])
      throw new HullError(
        "invalid-argument",
        `unknown type: ${JSON.stringify(type)}: must be one of ${Object.keys(pathOf)
          .map((known) => JSON.stringify(known))
          .sort()
          .join(", ")}`,
      );
    const types = type === undefined ? Object.keys(pathOf) : [type];
    return inspectEach(operands, flags.text("format"), (name) =>
      findObject(session, name, { types, size: flags.bool("size") }),
    );
  },
};

/** Tries each type in docker's order and stops at the first that knows the name. */
async function findObject(
  session: Session,
  name: string,
  wanted: { types: readonly string[]; size: boolean },
): Promise<Value> {
  for (const type of wanted.types) {
    try {
      const query = type === "container" && wanted.size ? { size: true } : {};
      return await session.json<Value>({
        path: pathOf[type]!(encodeURIComponent(name).replaceAll("%2F", "/").replaceAll("%3A", ":")),
        query,
      });
    } catch (error) {
      if (!(error instanceof HullError) || error.code !== "not-found" || wanted.types.length === 1) throw error;
    }
  }
  throw new HullError("not-found", `Error: No such object: ${name}`);
}
