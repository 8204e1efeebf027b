/**
 * The transfer process: everything that hull-containerd does with registries, in a process of its own, so that the bytes of layers, TLS, hashing and gzip
 * are on nobody else's loop and in nobody else's memory. It ends with its stdin.
 */
import { createInterface } from "node:readline";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { exemptLoopbackFromProxies, webFetch } from "../../platform/web-fetch.ts";
import { downloadBlob } from "../client/blob-download.ts";
import { hasBlob, mountBlob, uploadBlob } from "../client/blob-upload.ts";
import { login } from "../client/login.ts";
import { Repository } from "../client/registry.ts";
import { RegistryState } from "../client/requests.ts";
import { search } from "../client/search.ts";
import { compressFile } from "./compress.ts";
import type {
  FromTransfers,
  RepositoryTarget,
  ToTransfers,
  TransferMethod,
  TransferMethods,
  TransferProgress,
} from "./protocol.ts";

const ATTEMPTS = 5;
/** Between two lines about one transfer's bytes. */
const PROGRESS_MS = 100;

interface Context {
  readonly state: RegistryState;
  readonly signal: AbortSignal;
  readonly tell: (progress: TransferProgress) => void;
}

type Handlers = {
  readonly [M in TransferMethod]: (
    params: TransferMethods[M]["params"],
    context: Context,
  ) => Promise<TransferMethods[M]["result"]>;
};

const open = (
  { reference, credentials, settings }: RepositoryTarget,
  { state, signal }: Context,
): Promise<Repository> => Repository.open(state, { reference, credentials, settings, signal });

const handlers: Handlers = {
  head: async ({ target, name }, context) => (await (await open(target, context)).headManifest(name)) ?? null,
  manifest: async ({ target, name }, context) => {
    const repository = await open(target, context);
    const { mediaType, digest, bytes } = await repository.getManifest(name);
    tellLimit(repository, context);
    return { mediaType, digest, base64: bytes.toString("base64") };
  },
  document: async ({ target, digest }, context) => ({
    base64: (await (await open(target, context)).getDocument(digest)).toString("base64"),
  }),
  tags: async ({ target }, context) => (await open(target, context)).listTags(),
  download: async ({ target, blob }, context) => {
    await downloadBlob(await open(target, context), { ...blob, attempts: ATTEMPTS, ...observed(context) });
    return null;
  },
  has: async ({ target, digest }, context) => hasBlob(await open(target, context), digest),
  mount: async ({ target, digest, from }, context) =>
    (await mountBlob(await open(target, context), digest, from)) ?? null,
  upload: async ({ target, blob }, context) => {
    await uploadBlob(await open(target, context), { ...blob, ...observed(context) });
    return null;
  },
  putManifest: async ({ target, name, mediaType, base64 }, context) => {
    await (await open(target, context)).putManifest(name, { mediaType, bytes: Buffer.from(base64, "base64") });
    return null;
  },
  login: async (params, { state, signal }) => ({ identityToken: await login(state, { ...params, signal }) }),
  search: (params, { state, signal }) => search(state, { ...params, signal }),
  compress: ({ source, target }, context) =>
    compressFile({ source, target, signal: context.signal, ...observed(context) }),
};

function tellLimit(repository: Repository, { state, tell }: Context): void {
  const limit = state.limits.get(repository.able("resolve").at(-1)?.target.endpoint.host ?? "");
  if (limit) tell({ kind: "limit", limit });
}

function observed({ tell }: Context) {
  let toldAt = 0;
  return {
    onBytes: (current: number): void => {
      const now = performance.now();
      if (now - toldAt < PROGRESS_MS) return;
      toldAt = now;
      tell({ kind: "bytes", current });
    },
    onRetry: (seconds: number): void => tell({ kind: "retry", seconds }),
  };
}

/** Serves until stdin ends. */
export async function serveTransfers(): Promise<number> {
  exemptLoopbackFromProxies(process.env);
  const state = new RegistryState(webFetch);
  const running = new Map<number, AbortController>();
  const say = (message: FromTransfers): boolean => process.stdout.write(`${JSON.stringify(message)}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as ToTransfers;
    const { id } = message;
    if ("cancel" in message) {
      running.get(id)?.abort(new HullError("cancelled", "the transfer was cancelled"));
      continue;
    }
    const controller = new AbortController();
    running.set(id, controller);
    const context = { state, signal: controller.signal, tell: (progress: TransferProgress) => say({ id, progress }) };
    const handler = handlers[message.method] as (params: unknown, context: Context) => Promise<unknown>;
    handler(message.params, context)
      .then(
        (value) => say({ id, value }),
        (error) =>
          say({
            id,
            error: {
              code: codeOf(error),
              message: messageOf(error),
              facts: error instanceof HullError ? error.facts : {},
            },
          }),
      )
      .finally(() => running.delete(id));
  }
  return 0;
}
