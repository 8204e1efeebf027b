/** What --log-opt labels, labels-regex, env, env-regex and tag choose of a container, for `logs --details`. Pure. */
import { HullError } from "../../../platform/errors.ts";
import type { ContainerRecord } from "../record.ts";

type Attributes = Readonly<Record<string, string>>;

/** The same for every line: neither labels nor variables of a container change. */
export function logAttributes(record: ContainerRecord): Attributes {
  const { config, hostConfig } = record;
  const options = hostConfig.LogConfig.Config;
  const variables = Object.fromEntries(config.Env.filter((text) => text.includes("=")).map(splitVariable));
  const tag = options.tag ? tagOf(options.tag, record) : "";
  return {
    ...chosen(config.Labels, options.labels, options["labels-regex"]),
    ...chosen(variables, options.env, options["env-regex"]),
    ...(tag !== "" && { tag }),
  };
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf("=");
  return [text.slice(0, equals), text.slice(equals + 1)];
}

/** `names` is a list "a,b"; what it names and what `pattern` matches. */
function chosen(all: Attributes, names: string | undefined, pattern: string | undefined): Attributes {
  const wanted = new Set(names?.split(","));
  const regex = pattern ? new RegExp(pattern) : undefined;
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.has(name) || regex?.test(name)));
}

const tagFields: Readonly<Record<string, (record: ContainerRecord) => string>> = {
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.replace(/^sha256:/, "").slice(0, 12),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ config }) => config.Image,
  Command: ({ path, args }) => [path, ...args].join(" "),
  DaemonName: () => "docker",
};

const field = /\{\{\s*\.(\w+)\s*\}\}/g;

const tagOf = (template: string, record: ContainerRecord): string =>
  template.replace(field, (_, name: string) => tagFields[name]?.(record) ?? "");

/** Before a container is made: a pattern that is none and a field that there is not. Throws invalid-argument. */
export function verifyLogAttributes(options: Attributes): void {
  for (const name of ["labels-regex", "env-regex"] as const) {
    try {
      new RegExp(options[name] ?? "");
    } catch (error) {
      throw new HullError("invalid-argument", `error parsing regexp of log opt '${name}': ${options[name]}`, {
        cause: error,
      });
    }
  }
  const rest = (options.tag ?? "").replace(field, (whole, name: string) => (tagFields[name] ? "" : whole));
  if (/\{\{|\}\}/.test(rest))
    throw new HullError(
      "invalid-argument",
      `log opt 'tag': ${rest} is none of ${Object.keys(tagFields)
        .map((name) => `{{.${name}}}`)
        .join(" ")}`,
    );
}
