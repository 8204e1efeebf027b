/** A build's graph as provenance has it: steps in the shape of BuildKit's operations (solver/pb/ops.proto), which name the steps that they need. Pure. */
import { locationDocument } from "../dockerfile/location-document.ts";
import type { RunMount, RunVertex, Vertex } from "../graph/vertex.ts";
import { inputsOf, vertexId } from "../graph/vertex-id.ts";
import { withoutCredentials } from "./credentials.ts";

export interface GraphStep {
  readonly id: string;
  readonly op: object;
  /** "step0:0" */
  readonly inputs?: readonly string[];
}

export interface BuildGraph {
  readonly llbDefinition: readonly GraphStep[];
  /** Steps by the names of their vertices. */
  readonly digestMapping: Readonly<Record<string, string>>;
  /** Where in the Dockerfile a step stands. */
  readonly locations: Readonly<Record<string, object>>;
}

/** Everything that `target` needs, inputs first. */
export function graphOf(target: Vertex): BuildGraph {
  const order = inputsFirst(target);
  const names = new Map(order.map((vertex, index) => [vertexId(vertex), `step${index}`]));
  const nameOf = (vertex: Vertex): string => names.get(vertexId(vertex))!;
  const steps = order.map((vertex): GraphStep => {
    const inputs = inputsOf(vertex).filter(isStep).map(nameOf);
    const op = { Op: operationOf(vertex), platform: platformOf(vertex.platform), constraints: {} };
    return { id: nameOf(vertex), op, ...(inputs.length > 0 && { inputs: inputs.map((name) => `${name}:0`) }) };
  });
  return {
    llbDefinition: steps,
    digestMapping: Object.fromEntries(order.map((vertex) => [vertexId(vertex), nameOf(vertex)])),
    locations: Object.fromEntries(
      order.flatMap((vertex) =>
        vertex.location ? [[nameOf(vertex), { locations: [locationDocument(vertex.location)] }]] : [],
      ),
    ),
  };
}

const isStep = ({ kind }: Vertex): boolean => kind !== "scratch";

/** Each once, by name; not recursive, as a Dockerfile may have thousands of steps in a row. */
export function inputsFirst(target: Vertex): readonly Vertex[] {
  const [done, order] = [new Set<string>(), [] as Vertex[]];
  const pending: { readonly vertex: Vertex; readonly isOpen: boolean }[] = [{ vertex: target, isOpen: false }];
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    const id = vertexId(top.vertex);
    if (done.has(id)) continue;
    if (top.isOpen) {
      done.add(id);
      if (isStep(top.vertex)) order.push(top.vertex);
      continue;
    }
    pending.push({ vertex: top.vertex, isOpen: true });
    for (const vertex of inputsOf(top.vertex).toReversed()) pending.push({ vertex, isOpen: false });
  }
  return order;
}

function platformOf(text: string): object {
  const [OS, Architecture, Variant] = text.split("/");
  return { Architecture, OS, ...(Variant !== undefined && { Variant }) };
}

/** Without what says nothing. */
const brief = (fields: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) =>
        value !== undefined && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0),
    ),
  );

const source = (identifier: string, attrs: Readonly<Record<string, string>> = {}): object => ({
  source: { identifier, ...(Object.keys(attrs).length > 0 && { attrs }) },
});

function operationOf(vertex: Vertex): object {
  switch (vertex.kind) {
    case "scratch":
      return {};
    case "image":
      return source(`docker-image://${vertex.reference}`);
    case "context":
      return source(`local://${vertex.context}`, {
        ...(vertex.used.length > 0 && { "local.followpaths": JSON.stringify(vertex.used) }),
      });
    case "http":
      return source(withoutCredentials(vertex.url), {
        ...(vertex.checksum !== "" && { "http.checksum": vertex.checksum }),
        "http.filename": vertex.fileName,
      });
    case "git":
      return source(`git://${withoutCredentials(vertex.remote)}#${vertex.ref}`);
    case "copy":
      return file(
        vertex.sources.map((src) => {
          const { destination: dest, owner, chmod: mode, excludes: excludePatterns } = vertex;
          return { copy: brief({ src, dest, owner, mode, excludePatterns, unpack: vertex.unpack !== "never" }) };
        }),
      );
    case "write":
      return file(
        vertex.files.map(({ path, data }) => ({
          mkfile: brief({ path, data: Buffer.from(data).toString("base64"), owner: vertex.owner, mode: vertex.chmod }),
        })),
      );
    case "directory":
      return file([{ mkdir: brief({ path: vertex.path, mode: 0o755, makeParents: true, owner: vertex.owner }) }]);
    case "merge":
      return { merge: { inputs: [{ input: 0 }, { input: 1 }] } };
    case "run":
      return { exec: commandOf(vertex) };
  }
}

const file = (actions: readonly object[]): object => ({ file: { actions } });

/** Proxies are no part of it, nor anything of a secret but its name. */
function commandOf(vertex: RunVertex): object {
  const { argv: args, env, workingDirectory: cwd, user, hostname, extraHosts, mounts } = vertex;
  return {
    meta: brief({ args, env: env.map(withoutCredentials), cwd: cwd || "/", user, hostname, extraHosts }),
    ...brief({
      network: vertex.network === "default" ? "" : vertex.network.toUpperCase(),
      security: vertex.security === "insecure" ? "INSECURE" : "",
    }),
    mounts: [{ dest: "/", output: 0 }, ...mounts.map(mountOf)],
  };
}

function mountOf(mount: RunMount): object {
  switch (mount.kind) {
    case "bind":
      return brief({ dest: mount.target, selector: mount.source, readonly: !mount.writable });
    case "cache":
      return { dest: mount.target, mountType: "CACHE", cacheOpt: { ID: mount.id, sharing: mount.sharing } };
    case "volume":
    case "tmpfs":
      return { dest: mount.target, mountType: "TMPFS" };
    case "secret":
      return brief({ dest: mount.target, mountType: "SECRET", secretOpt: { ID: mount.id, optional: !mount.required } });
    case "ssh":
      return { dest: mount.target, mountType: "SSH", SSHOpt: { ID: mount.id, optional: !mount.required } };
  }
}
