/** The head of an HTTP/1.x request (RFC 9112 sections 2-6), parsed once into a value that cannot be wrong. Pure. */
import type { Buffer } from "node:buffer";
import { HullError } from "../../platform/errors.ts";

/** Heads above this are answered 431, as Go's net/http does. */
export const MAX_HEAD_BYTES = 1024 * 1024;

export interface RequestHead {
  /** Upper case. */
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** 0 or 1: HTTP/1.x. */
  readonly minor: number;
  /** Names in lower case; repeated fields joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: BodyFraming;
  readonly keepAlive: boolean;
}

export type BodyFraming = { readonly kind: "length"; readonly bytes: number } | { readonly kind: "chunked" };

const requestLine = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/;
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Parses the bytes before the empty line. Throws invalid-argument. */
export function parseHead(bytes: Buffer): RequestHead {
  const [first = "", ...lines] = bytes.toString("latin1").split(/\r?\n/);
  const match = requestLine.exec(first);
  if (!match) throw bad("malformed request line");
  const headers = new Map<string, string>();
  for (const line of lines) addField(headers, line);
  const minor = Number(match[3]);
  return {
    method: match[1]!,
    target: originForm(match[2]!),
    minor,
    headers,
    body: framingOf(headers),
    keepAlive: keepsAlive(headers.get("connection") ?? "", minor),
  };
}

function addField(headers: Map<string, string>, line: string): void {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  if (colon < 1 || !fieldName.test(name)) throw bad("malformed header line");
  const key = name.toLowerCase();
  const value = line.slice(colon + 1).trim();
  const earlier = headers.get(key);
  headers.set(key, earlier === undefined ? value : `${earlier}, ${value}`);
}

/** Proxies send the absolute form; only path and query matter. */
function originForm(target: string): string {
  const absolute = /^https?:\/\/[^/]*(.*)$/i.exec(target);
  return absolute ? absolute[1]! || "/" : target;
}

function framingOf(headers: ReadonlyMap<string, string>): BodyFraming {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== undefined) {
    if (coding.toLowerCase() !== "chunked") throw bad(`unsupported transfer encoding "${coding}"`);
    if (length !== undefined) throw bad("both Transfer-Encoding and Content-Length");
    return { kind: "chunked" };
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw bad("malformed Content-Length");
  return { kind: "length", bytes: Number(length ?? 0) };
}

function keepsAlive(connection: string, minor: number): boolean {
  const options = connection.toLowerCase();
  return minor === 1 ? !options.includes("close") : options.includes("keep-alive");
}

const bad = (what: string): HullError => new HullError("invalid-argument", `bad HTTP request: ${what}`);
