/**
 * Files from URLs, in the store of contexts: written to the disk as they come, hashed there by keel. A URL that gave something before is asked whether it has
 * changed; a connection that is cut goes on where it was, when the server can.
 */
import { open } from "node:fs/promises";
import { codeOf, HullError } from "../../platform/errors.ts";
import { fileTarEnd, fileTarHead, TAR_HEAD_BYTES } from "../context/file-tar.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import type { Secrets } from "../solver/ports.ts";
import type { Fetched, HttpRecords } from "./http-records.ts";
import { type FileAnswer, type FileRequest, requestFile, shownUrl } from "./http-request.ts";
import type { Proxies } from "./proxies.ts";
import { SharedWork } from "./shared-work.ts";

export interface HttpDownloadsParts {
  readonly records: HttpRecords;
  /** `<data-root>/buildkit/contexts/objects` */
  readonly objects: string;
  /** Takes an archive that `write` makes at a path into the store. */
  readonly receive: (write: (path: string) => Promise<void>, signal: AbortSignal) => Promise<FileTree>;
  readonly stallMs?: number;
  readonly authorities?: readonly string[];
}

export interface HttpFile {
  readonly url: string;
  /** "sha256:...", or "" for whatever there is. */
  readonly checksum: string;
}

export interface Fetching {
  readonly secrets: Secrets;
  readonly proxies: Proxies;
  /** totalBytes 0: not known. */
  readonly onProgress: (bytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

const STALL_MS = 60_000;
const ATTEMPTS = 5;
/** Of files from URLs. */
const MODE = 0o600;

export class HttpDownloads {
  readonly #running = new SharedWork<FileEntry>();

  constructor(private readonly parts: HttpDownloadsParts) {}

  /** A tree of one file of this name. Throws failed-precondition when its bytes are not the checksum's. */
  async tree(file: HttpFile & { readonly fileName: string }, fetching: Fetching): Promise<FileTree> {
    const entry = await this.entry(file, fetching);
    return { entries: [{ ...entry, path: file.fileName }], source: { kind: "store", directory: this.parts.objects } };
  }

  /** Of the bytes of a tree that `tree` answered. */
  pathOf({ entries }: FileTree): string {
    return this.parts.records.objectOf(entries[0]!);
  }

  async entry(file: HttpFile, fetching: Fetching): Promise<FileEntry> {
    const authorization = await authorizationFor(file.url, fetching);
    const key = JSON.stringify([file, authorization]);
    return this.#running.run(key, fetching.signal, (signal) =>
      this.#fetch(file, { ...fetching, signal, authorization }),
    );
  }

  async #fetch({ url, checksum }: HttpFile, work: Work): Promise<FileEntry> {
    const { records } = this.parts;
    const known = await records.find(url);
    if (known && checksum === `sha256:${known.entry.sha256}`) return known.entry;
    const answer = await this.#ask(url, work, revalidation(known));
    if (answer.status === 304 && known) {
      answer.drop();
      return checked(known.entry, url, checksum);
    }
    if (known && sameTag(answer, known)) {
      answer.drop();
      return checked(known.entry, url, checksum);
    }
    const fetched = await this.#save(url, work, answer);
    await records.put(url, fetched);
    return checked(fetched.entry, url, checksum);
  }

  #ask(url: string, { signal, proxies, authorization }: Work, headers: FileRequest["headers"]): Promise<FileAnswer> {
    const { stallMs = STALL_MS, authorities } = this.parts;
    return requestFile({ url, headers, authorization, proxies, signal, stallMs, authorities });
  }

  async #save(url: string, work: Work, first: FileAnswer): Promise<Fetched> {
    const mtimeNs = timeOf(first.header("last-modified"));
    const { entries } = await this.parts.receive(async (path) => {
      await using file = await open(path, "wx", 0o600);
      const size = await this.#body(url, { work, first, file });
      const head = fileTarHead({ name: "file", mode: MODE, uid: 0, gid: 0, mtimeNs, size });
      await file.write(head, 0, TAR_HEAD_BYTES, 0);
      const end = fileTarEnd(size);
      await file.write(end, 0, end.length, TAR_HEAD_BYTES + size);
    }, work.signal);
    const entry = entries.find(({ path }) => path === "file");
    if (!entry) throw new HullError("internal", `${shownUrl(url)} was received but is not in the store`);
    return {
      etag: first.header("etag"),
      lastModified: first.header("last-modified"),
      entry: { ...entry, path: "" },
    };
  }

  /** The bytes, behind the place of the archive's head; how many there are. */
  async #body(url: string, { work, first, file }: Saving): Promise<number> {
    const validator = validatorOf(first);
    let answer = first;
    let done = 0;
    let restarts = 0;
    for (let inVain = 0; ; ) {
      const before = answer.status === 206 ? done : 0;
      const total = answer.status === 206 ? done + lengthOf(answer) : lengthOf(answer);
      if (answer.status !== 206) done = 0;
      try {
        for await (const piece of answer.body) {
          for (let at = 0; at < piece.length; )
            at += (await file.write(piece, at, piece.length - at, TAR_HEAD_BYTES + done + at)).bytesWritten;
          done += piece.length;
          work.onProgress(done, total);
        }
        await file.truncate(TAR_HEAD_BYTES + done);
        return done;
      } catch (error) {
        inVain = done > before ? 0 : inVain + 1;
        // Without a range it begins anew each time.
        const isHopeless = inVain === ATTEMPTS || (validator === "" && ++restarts === ATTEMPTS);
        if (codeOf(error) !== "unavailable" || isHopeless) throw error;
      }
      answer = await this.#goOn(url, work, { validator, done });
    }
  }

  async #goOn(url: string, work: Work, { validator, done }: Resumption): Promise<FileAnswer> {
    const ranged = validator !== "" && done > 0;
    const answer = await this.#ask(url, work, ranged ? { Range: `bytes=${done}-`, "If-Range": validator } : {});
    const isPart = answer.status === 206;
    if (!isPart || (ranged && answer.header("content-range").startsWith(`bytes ${done}-`))) return answer;
    answer.drop();
    throw new HullError("unavailable", `download ${shownUrl(url)}: the server answered with another part of the file`);
  }
}

interface Work extends Fetching {
  readonly authorization: string;
}

interface Saving {
  readonly work: Work;
  readonly first: FileAnswer;
  readonly file: Awaited<ReturnType<typeof open>>;
}

interface Resumption {
  readonly validator: string;
  readonly done: number;
}

/** As BuildKit names the secrets. */
async function authorizationFor(url: string, { secrets, signal }: Fetching): Promise<string> {
  const { hostname } = new URL(url);
  const header = await secrets.secret(`HTTP_AUTH_HEADER_${hostname}`, signal);
  const token = await secrets.secret(`HTTP_AUTH_TOKEN_${hostname}`, signal);
  if (token) return `Bearer ${token.toString().trim()}`;
  return header?.toString().trim() ?? "";
}

/** Undefined: there is nothing to compare with. */
function revalidation(known: Fetched | undefined): Record<string, string> {
  if (known?.etag) return { "If-None-Match": known.etag };
  return known?.lastModified ? { "If-Modified-Since": known.lastModified } : {};
}

const bare = (etag: string): string => etag.replace(/^W\//, "");

/** Some servers say the tag but never "not modified". */
const sameTag = (answer: FileAnswer, known: Fetched): boolean =>
  known.etag !== "" && bare(answer.header("etag")) === bare(known.etag);

/** A weak tag says nothing of single bytes (RFC 9110, 13.1.5). */
function validatorOf(answer: FileAnswer): string {
  const etag = answer.header("etag");
  return etag !== "" && !etag.startsWith("W/") ? etag : answer.header("last-modified");
}

const lengthOf = (answer: FileAnswer): number => Number(answer.header("content-length") || 0);

/** Nanoseconds; the epoch when the server does not say. */
function timeOf(text: string): bigint {
  const ms = Date.parse(text);
  return Number.isNaN(ms) || ms < 0 ? 0n : BigInt(ms) * 1_000_000n;
}

function checked(entry: FileEntry, url: string, checksum: string): FileEntry {
  const got = `sha256:${entry.sha256}`;
  if (checksum === "" || checksum === got) return entry;
  throw new HullError("failed-precondition", `digest mismatch for ${shownUrl(url)}: ${got} (expected: ${checksum})`, {
    facts: { token: checksum },
  });
}
