/** What pulls and pushes work with. */
import { readFile } from "node:fs/promises";
import type { Reference } from "../../oci/reference.ts";
import { codeOf, during } from "../../platform/errors.ts";
import { type Credentials, credentialsFor } from "../../registry/client/credentials.ts";
import { defaultSettings, parseRegistrySettings, type RegistrySettings } from "../../registry/client/settings.ts";
import type { RepositoryTarget } from "../../registry/transfer/protocol.ts";
import type { Transfers } from "../../registry/transfer/transfer-process.ts";
import type { ImageTools } from "../images/image-tools.ts";
import { Slots } from "../images/slots.ts";
import { BlobFetches } from "./blob-fetches.ts";
import { PullLeases } from "./pull-leases.ts";

export interface RegistryHostParts {
  readonly tools: ImageTools;
  readonly transfers: Transfers;
  /** File of settings; it may not be there, and may change at any time. "": none. */
  readonly settingsPath: string;
}

export class RegistryHost {
  readonly tools: ImageTools;
  readonly transfers: Transfers;
  readonly uploads = new Slots(defaultSettings.maxUploads);
  readonly fetches: BlobFetches;
  readonly leases: PullLeases;
  readonly #downloads = new Slots(defaultSettings.maxDownloads);

  constructor(private readonly parts: RegistryHostParts) {
    this.tools = parts.tools;
    this.transfers = parts.transfers;
    const { content, leases } = parts.tools.stores;
    this.leases = new PullLeases(leases);
    this.fetches = new BlobFetches({ content, transfers: parts.transfers, slots: this.#downloads });
  }

  /** As they are now. */
  async settings(): Promise<RegistrySettings> {
    const settings = await readSettings(this.parts.settingsPath);
    this.#downloads.resize(settings.maxDownloads);
    this.uploads.resize(settings.maxUploads);
    return settings;
  }

  async target(reference: Reference, credentials: Credentials | undefined): Promise<RepositoryTarget> {
    const { domain, path } = reference;
    return { reference: { domain, path }, credentials, settings: await this.settings() };
  }
}

async function readSettings(path: string): Promise<RegistrySettings> {
  if (path === "") return defaultSettings;
  try {
    return parseRegistrySettings(await readFile(path, "utf8"));
  } catch (error) {
    if (codeOf(error) === "not-found") return defaultSettings;
    throw during(`read the settings of registries in ${path}`, error);
  }
}

/** As gRPC has them. */
export interface WireCredentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

export function fromWireCredentials(registry: string, wire: WireCredentials | undefined): Credentials | undefined {
  if (wire === undefined) return undefined;
  const { username, password, identityToken, registryToken } = wire;
  return credentialsFor(registry, { username, password, identitytoken: identityToken, registrytoken: registryToken });
}
