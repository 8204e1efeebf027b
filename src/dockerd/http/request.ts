/** One request of the Engine API as its handler sees it: parsed once, here. */
import { HullError } from "../../platform/errors.ts";
import type { Span } from "../../trace/tracer.ts";
import type { RequestBody } from "./body.ts";
import type { RequestHead } from "./head.ts";
import type { Query } from "./query.ts";
import { decodeJson, type Shape } from "./shape.ts";
import { compareVersions } from "./version.ts";

/** No JSON body of the API comes near this. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

export interface RequestParts {
  readonly head: RequestHead;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly version: string;
  readonly body: RequestBody;
  readonly signal: AbortSignal;
  readonly span: Span;
}

export class ApiRequest {
  readonly method: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly query: Query;
  /** The API version in use: from the path, else the newest. */
  readonly version: string;
  readonly body: RequestBody;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** The request's span; children of it are the steps of the work. */
  readonly span: Span;

  constructor(private readonly parts: RequestParts) {
    this.method = parts.head.method;
    this.headers = parts.head.headers;
    this.query = parts.query;
    this.version = parts.version;
    this.body = parts.body;
    this.signal = parts.signal;
    this.span = parts.span;
  }

  /** A parameter of the route's path, for handlers of routes with and without it. */
  findParam(name: string): string | undefined {
    return this.parts.params[name];
  }

  /** A parameter of the route's path. */
  param(name: string): string {
    const value = this.findParam(name);
    if (value === undefined) throw new HullError("internal", `route has no parameter {${name}}`);
    return value;
  }

  /** True when the API version in use is this one or newer. */
  atLeast(version: string): boolean {
    return compareVersions(this.version, version) >= 0;
  }

  /** The protocol asked for by `Connection: Upgrade`; undefined when none. */
  get upgrade(): string | undefined {
    return this.headers.get("connection")?.toLowerCase().includes("upgrade") ? this.headers.get("upgrade") : undefined;
  }

  /** The JSON body in this shape; the shape's zero when there is no body. Throws invalid-argument in Docker's words. */
  async json<T>(shape: Shape<T>): Promise<T> {
    this.#checkJsonType();
    if (this.body.isEmpty) return shape.zero();
    const bytes = await this.body.bytes(MAX_JSON_BYTES);
    return decodeJson(bytes.toString("utf8"), shape);
  }

  #checkJsonType(): void {
    const type = this.headers.get("content-type") ?? "";
    if (type === "" && this.body.isEmpty) return;
    const media = type.split(";")[0]!.trim().toLowerCase();
    if (media === "application/json") return;
    if (media === "") throw new HullError("invalid-argument", "malformed Content-Type header (): mime: no media type");
    throw new HullError("invalid-argument", `unsupported Content-Type header (${media}): must be 'application/json'`);
  }
}
