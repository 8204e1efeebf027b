/** A tree that is looked through for packages, and what is found in it. */
import type { FileEntry } from "../../files/entry.ts";

export interface ScannedTree {
  readonly entries: readonly FileEntry[];
  /** Of a file; links in the path mean the tree's own root. Undefined: missing, no regular file, or more than `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Buffer | undefined>;
}

export type Ecosystem = "deb" | "apk" | "npm" | "pypi";

export interface FoundPackage {
  readonly ecosystem: Ecosystem;
  readonly name: string;
  readonly version: string;
  /** "pkg:deb/debian/zlib1g@1.2?arch=amd64" */
  readonly url: string;
  /** As the package has it; "" for none. */
  readonly license: string;
  readonly supplier?: string;
  readonly homepage?: string;
  readonly description?: string;
  /** Of what the package was unpacked from, by SPDX's algorithm ("SHA512"); hexadecimal. */
  readonly checksums?: Readonly<Record<string, string>>;
  /** File that says that it is there. */
  readonly evidence: string;
}

/** A file that packages were read from. */
export interface EvidenceFile {
  readonly path: string;
  readonly sha1: string;
  readonly sha256: string;
}

/** "ID=debian" and the like of os-release. */
export interface Distribution {
  /** "debian"; "" where nothing says it. */
  readonly id: string;
  readonly version: string;
}

/** What a scanner of one ecosystem is given. */
export interface Scanning {
  readonly entries: readonly FileEntry[];
  readonly distribution: Distribution;
  /** Remembers the file as evidence. Undefined as of `ScannedTree.read`, and remembered as not read. */
  readonly read: (path: string) => Promise<string | undefined>;
  /** As `read`, of what is evidence of nothing. */
  readonly look: (path: string) => Promise<string | undefined>;
}

export type Scanner = (scanning: Scanning) => Promise<readonly FoundPackage[]>;
