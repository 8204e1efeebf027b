/** --secret and --ssh: what the build may ask for, and where it is. */
import { HullError } from "../../platform/errors.ts";
import { parseFields } from "./fields.ts";

export type SecretSource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly name: string };

/** "id=x,src=path", "id=x,env=NAME", "id=x". Throws invalid-argument. */
export function parseSecrets(specs: readonly string[]): Map<string, SecretSource> {
  return new Map(
    specs.map((spec): [string, SecretSource] => {
      const fields = parseFields(spec);
      const known = ["type", "id", "source", "src", "env"];
      const other = Object.keys(fields).find((name) => !known.includes(name));
      if (other !== undefined) throw invalid(`unexpected key '${other}' in '${spec}'`);
      const { type = "", id = "" } = fields;
      if (type !== "" && type !== "file" && type !== "env")
        throw invalid(`unsupported secret type ${JSON.stringify(type)}`);
      const path = fields.source ?? fields.src ?? "";
      const name = fields.env ?? (type === "env" && path === "" ? id : "");
      if (id === "") throw invalid(`secret missing "id": ${spec}`);
      if (name !== "") return [id, { kind: "env", name }];
      if (type === "env") return [id, { kind: "env", name: path }];
      if (path === "" && process.env[id] !== undefined) return [id, { kind: "env", name: id }];
      return [id, { kind: "file", path: path || id }];
    }),
  );
}

/** "default", "id", "id=socket": sockets of agents by id. Throws invalid-argument. */
export function parseAgents(specs: readonly string[]): Map<string, string> {
  return new Map(
    specs.map((spec) => {
      const equals = spec.indexOf("=");
      const id = equals < 0 ? spec : spec.slice(0, equals);
      const path = (equals < 0 ? undefined : spec.slice(equals + 1)) ?? process.env.SSH_AUTH_SOCK ?? "";
      if (path === "")
        throw invalid(
          `invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set, or name the socket with --ssh ${id}=PATH`,
        );
      return [id, path];
    }),
  );
}

const invalid = (message: string): HullError => new HullError("invalid-argument", message);
