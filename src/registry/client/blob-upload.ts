/**
 * A blob from a file to a registry: not at all when it is there, mounted from another repository where that is possible, else sent in one request; one that
 * breaks off goes on where the registry says it is.
 */
import { createReadStream } from "node:fs";
import type { Digest } from "../../oci/digest.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { WebResponse } from "../../platform/web-fetch.ts";
import { drain } from "./answer.ts";
import { patiently, waitBefore } from "./backoff.ts";
import { isTransient } from "./failure.ts";
import type { Repository } from "./registry.ts";
import type { EndpointRequests } from "./requests.ts";

const ATTEMPTS = 5;
const READ_BYTES = 512 * 1024;

export interface BlobUpload {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
  readonly onBytes: (soFar: number) => void;
  readonly onRetry: (seconds: number) => void;
  readonly random?: () => number;
}

/** True when the registry has it. */
export async function hasBlob(repository: Repository, digest: Digest): Promise<boolean> {
  const { signal } = repository.access;
  const request = {
    method: "HEAD",
    path: `/${repository.path}/blobs/${digest}`,
    scopes: repository.scopes("pull,push"),
    signal,
  };
  const answer = await patiently({ attempts: ATTEMPTS, signal }, () => repository.origin.expect([200, 404], request));
  await drain(answer);
  return answer.status === 200;
}

/** The first of these repositories of the same registry that the blob could be mounted from. */
export async function mountBlob(
  repository: Repository,
  digest: Digest,
  from: readonly string[],
): Promise<string | undefined> {
  for (const source of from) {
    try {
      const scopes = [...repository.scopes("pull,push"), `repository:${source}:pull`];
      const query = new URLSearchParams({ mount: digest, from: source });
      const path = `/${repository.path}/blobs/uploads/?${query}`;
      const { signal } = repository.access;
      const answer = await repository.origin.expect([201, 202], {
        method: "POST",
        path,
        headers: { "Content-Length": "0" },
        body: () => "",
        scopes,
        signal,
      });
      await drain(answer);
      if (answer.status === 201) return source;
      await cancel(repository, answer);
    } catch (error) {
      // Not ours to read: it is sent instead.
      if (!["permission-denied", "unauthenticated", "not-found", "invalid-argument"].includes(codeOf(error)))
        throw error;
    }
  }
  return undefined;
}

/** A session that was opened and is not used; a registry that cannot end it lets it run out. */
async function cancel(repository: Repository, answer: WebResponse): Promise<void> {
  const location = locationOf(repository.origin, answer);
  const { signal } = repository.access;
  await drain(
    await repository.origin.send({ method: "DELETE", path: location, scopes: repository.scopes("pull,push"), signal }),
  );
}

export async function uploadBlob(repository: Repository, blob: BlobUpload): Promise<void> {
  const { signal } = repository.access;
  let session: Session | undefined;
  for (let attempt = 1; ; ) {
    const before = session?.offset ?? 0;
    try {
      session ??= await begin(repository);
      return await send(repository, blob, session);
    } catch (error) {
      signal.throwIfAborted();
      if (!isTransient(error)) throw error;
      session = session && (await resume(repository, session));
      if ((session?.offset ?? 0) > before) attempt = 1;
      if (attempt >= ATTEMPTS) throw error;
      const onWait = (ms: number): void => blob.onRetry(Math.ceil(ms / 1000));
      await waitBefore(attempt, error, { signal, onWait, ...(blob.random && { random: blob.random }) });
      attempt += 1;
    }
  }
}

/** An upload that the registry knows. */
interface Session {
  readonly location: string;
  readonly offset: number;
}

async function begin(repository: Repository): Promise<Session> {
  const { signal } = repository.access;
  const path = `/${repository.path}/blobs/uploads/`;
  const request = {
    method: "POST",
    path,
    headers: { "Content-Length": "0" },
    body: () => "",
    scopes: repository.scopes("pull,push"),
    signal,
  };
  const answer = await repository.origin.expect([202], request);
  await drain(answer);
  return { location: locationOf(repository.origin, answer), offset: 0 };
}

/** Where the registry is with it; undefined: it has forgotten it. */
async function resume(repository: Repository, session: Session): Promise<Session | undefined> {
  try {
    const { signal } = repository.access;
    const answer = await repository.origin.expect([204, 202], {
      method: "GET",
      path: session.location,
      scopes: repository.scopes("pull,push"),
      signal,
    });
    await drain(answer);
    const last = /^(?:bytes=)?0-(\d+)$/.exec(answer.headers.get("range") ?? "")?.[1];
    // "0-0" is what an empty upload has, and one of a single byte.
    const offset = last === undefined || last === "0" ? 0 : Number(last) + 1;
    return { location: locationOf(repository.origin, answer, session.location), offset };
  } catch (error) {
    repository.access.signal.throwIfAborted();
    if (isTransient(error) || (error instanceof HullError && error.facts.status !== undefined)) return undefined;
    throw error;
  }
}

async function send(repository: Repository, blob: BlobUpload, session: Session): Promise<void> {
  const { origin } = repository;
  const { signal } = repository.access;
  const scopes = repository.scopes("pull,push");
  const left = blob.size - session.offset;
  const headers = { "Content-Type": "application/octet-stream", "Content-Length": String(left) };
  const body = () => fileFrom(blob, session.offset);
  const whole = session.offset === 0;
  let { location } = session;
  if (!whole && left > 0) {
    const range = { "Content-Range": `${session.offset}-${blob.size - 1}` };
    const answer = await origin.expect([202, 204], {
      method: "PATCH",
      path: location,
      headers: { ...headers, ...range },
      body,
      scopes,
      signal,
    });
    await drain(answer);
    location = locationOf(origin, answer, location);
  }
  const url = new URL(location);
  url.searchParams.set("digest", blob.digest);
  const last = whole ? { headers, body } : { headers: { "Content-Length": "0" }, body: () => "" };
  await drain(await origin.expect([201, 204], { method: "PUT", path: url.href, ...last, scopes, signal }));
}

async function* fileFrom({ path, size, onBytes }: BlobUpload, offset: number): AsyncGenerator<Uint8Array> {
  let sent = offset;
  for await (const piece of createReadStream(path, { start: offset, highWaterMark: READ_BYTES })) {
    yield piece as Buffer;
    sent += (piece as Buffer).length;
    onBytes(Math.min(sent, size));
  }
}

/** The whole URL of an upload's next request. */
function locationOf(origin: EndpointRequests, answer: WebResponse, before?: string): string {
  const location = answer.headers.get("location");
  if (location === null && before !== undefined) return before;
  if (location === null)
    throw new HullError("unavailable", `${origin.target.endpoint.host} opened an upload without saying where`);
  return new URL(location, origin.root).href;
}
