/** What was found as a document of SPDX 2.3 in JSON (spdx.github.io/spdx-spec/v2.3). Pure. */
import { createHash } from "node:crypto";
import { HULL_VERSION } from "../../../platform/version.ts";
import { type LicenseReference, licenseExpression } from "./licenses.ts";
import type { Scan } from "./scan.ts";
import type { EvidenceFile, FoundPackage } from "./scanned-tree.ts";

export interface SpdxFacts {
  /** What was looked through: an image's name, a stage's. */
  readonly name: string;
  readonly createdMs: number;
}

const ROOT = "SPDXRef-DocumentRoot";

export function spdxDocument({ packages, files, unread }: Scan, { name, createdMs }: SpdxFacts): object {
  const references = new Map<string, LicenseReference>();
  const listed = packages.map((one) => ({ one, entry: packageEntry(one, references) }));
  const fileIds = new Map(files.map((file) => [file.path, fileId(file)]));
  const contents = hashOf(JSON.stringify([name, packages, files]));
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name,
    documentNamespace: `urn:glasshull:sbom:${contents}`,
    creationInfo: {
      created: new Date(createdMs).toISOString().replace(/\.\d+Z$/, "Z"),
      creators: [`Tool: glasshull-${HULL_VERSION}`],
      ...(unread.length > 0 && { comment: `Too large to be read: ${unread.join(", ")}` }),
    },
    packages: [
      {
        ...{ SPDXID: ROOT, name, downloadLocation: "NOASSERTION", filesAnalyzed: false },
        ...{ licenseConcluded: "NOASSERTION", licenseDeclared: "NOASSERTION", copyrightText: "NOASSERTION" },
        primaryPackagePurpose: "CONTAINER",
      },
      ...listed.map(({ entry }) => entry),
    ],
    files: files.map(fileEntry),
    ...(references.size > 0 && { hasExtractedLicensingInfos: [...references.values()] }),
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: ROOT },
      ...listed.flatMap(({ one, entry: { SPDXID } }) => [
        { spdxElementId: ROOT, relationshipType: "CONTAINS", relatedSpdxElement: SPDXID },
        ...(fileIds.has(one.evidence) ? [evident(SPDXID, fileIds.get(one.evidence)!)] : []),
      ]),
    ],
  };
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

const evident = (spdxElementId: string, relatedSpdxElement: string): object => ({
  ...{ spdxElementId, relationshipType: "OTHER", relatedSpdxElement },
  comment: "The file says that the package is there.",
});

function packageEntry(one: FoundPackage, references: Map<string, LicenseReference>) {
  const { ecosystem, name, version, url, license, supplier, homepage, description, checksums = {}, evidence } = one;
  const sums = Object.entries(checksums).map(([algorithm, checksumValue]) => ({ algorithm, checksumValue }));
  return {
    SPDXID: `SPDXRef-Package-${ecosystem}-${safe(name)}-${hashOf(`${url} ${evidence}`).slice(0, 16)}`,
    name,
    versionInfo: version,
    ...(supplier && { supplier: `Person: ${supplier.replace(/\s+/g, " ")}` }),
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    ...(homepage && /^https?:\/\/\S+$/.test(homepage) && { homepage }),
    ...(sums.length > 0 && { checksums: sums }),
    sourceInfo: `found in /${evidence}`,
    licenseConcluded: "NOASSERTION",
    licenseDeclared: licenseExpression(license, references),
    copyrightText: "NOASSERTION",
    ...(description && { summary: description }),
    externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: url }],
  };
}

const safe = (text: string): string => text.replace(/[^A-Za-z0-9.-]+/g, "-").replace(/^-+/, "");

const fileId = ({ path }: EvidenceFile): string => `SPDXRef-File-${hashOf(path).slice(0, 16)}`;

const fileEntry = (file: EvidenceFile): object => ({
  SPDXID: fileId(file),
  fileName: `./${file.path}`,
  checksums: [
    { algorithm: "SHA1", checksumValue: file.sha1 },
    { algorithm: "SHA256", checksumValue: file.sha256 },
  ],
  licenseConcluded: "NOASSERTION",
  copyrightText: "NOASSERTION",
});
