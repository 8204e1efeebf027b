import { isIndex, parseManifestOrIndex } from "../../oci/image.ts";
import { formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import { exemptLoopbackFromProxies, webFetch } from "../../platform/web-fetch.ts";
import { credentialsFor } from "../../registry/client/credentials.ts";
import { Repository } from "../../registry/client/registry.ts";
import { RegistryState } from "../../registry/client/requests.ts";
import { defaultSettings } from "../../registry/client/settings.ts";
import type { Command } from "../command.ts";
import { findAuth } from "../credentials/credentials.ts";
import { printLine } from "../streams/output.ts";

/** Asks the registry itself: no engine is needed. */
export const command: Command = {
  usage: "[OPTIONS] MANIFEST",
  operands: [1, 1],
  flags: [
    { name: "insecure", kind: "bool", help: "Allow communication with an insecure registry" },
    { name: "verbose", short: "v", kind: "bool", help: "Output additional info including layers and platform" },
  ],
  async run({ flags, operands, session }) {
    exemptLoopbackFromProxies(process.env);
    const reference = withDefaultTag(parseReference(operands[0] ?? ""));
    const repository = await Repository.open(new RegistryState(webFetch), {
      reference,
      settings: { ...defaultSettings, insecure: flags.bool("insecure") ? [reference.domain] : [] },
      credentials: credentialsFor(reference.domain, findAuth(session.options.configDir, reference.domain)),
      signal: new AbortController().signal,
    });
    const { bytes, digest, mediaType } = await found(repository, reference.digest ?? reference.tag!, operands[0]!);
    const json = JSON.parse(bytes.toString("utf8")) as unknown;
    if (!flags.bool("verbose")) {
      await printLine(JSON.stringify(json, undefined, "\t"));
      return 0;
    }
    const document = parseManifestOrIndex(bytes, mediaType === "" ? undefined : mediaType);
    const entries = isIndex(document)
      ? document.manifests
      : [{ mediaType: document.mediaType, digest, size: bytes.length }];
    const rows = await Promise.all(
      entries.map(async (entry) => {
        const manifest = await repository.getManifest(entry.digest);
        const Raw = manifest.bytes.toString("base64");
        return {
          Ref: formatReference(reference),
          Descriptor: entry,
          Raw,
          Manifest: JSON.parse(manifest.bytes.toString("utf8")) as unknown,
        };
      }),
    );
    await printLine(JSON.stringify(isIndex(document) ? rows : rows[0], undefined, "\t"));
    return 0;
  },
};

async function found(repository: Repository, name: string, shown: string) {
  try {
    return await repository.getManifest(name);
  } catch (error) {
    if (!(error instanceof HullError) || error.code !== "not-found") throw error;
    throw new HullError("not-found", `no such manifest: ${shown}`, { cause: error });
  }
}
