/** Packages of Python that are installed: METADATA of dist-info, PKG-INFO of egg-info (packaging.python.org, core metadata). */
import { formatPackageUrl } from "../purl.ts";
import type { FoundPackage, Scanner } from "./scanned-tree.ts";
import { parseStanzas, type Stanza } from "./stanzas.ts";

const METADATA = /\.dist-info\/METADATA$|\.egg-info\/PKG-INFO$|\.egg-info$/;

export const scanPypi: Scanner = async ({ entries, read }) => {
  const found: FoundPackage[] = [];
  for (const { path, kind } of entries) {
    if (kind !== "file" || !METADATA.test(path)) continue;
    const text = await read(path);
    // After the first empty line comes the description, whatever it looks like.
    const [fields] = parseStanzas((text ?? "").split(/\r?\n\r?\n/, 1)[0]!);
    const [name, version] = [fields?.get("name"), fields?.get("version")];
    if (fields && name && version) found.push(packageOf({ name, version, fields, evidence: path }));
  }
  return found;
};

interface Named {
  readonly name: string;
  readonly version: string;
  readonly fields: Stanza;
  readonly evidence: string;
}

function packageOf({ name, version, fields, evidence }: Named): FoundPackage {
  const supplier = fields.get("author-email") || fields.get("author");
  const homepage = fields.get("home-page");
  return {
    ...{ ecosystem: "pypi", name, version, evidence, license: licenseOf(fields) },
    ...(supplier && { supplier }),
    ...(homepage && homepage !== "UNKNOWN" && { homepage }),
    description: fields.get("summary") ?? "",
    url: formatPackageUrl({ type: "pypi", name: name.toLowerCase().replace(/[-_.]+/g, "-"), version }),
  };
}

/** Some put the whole text there. */
function licenseOf(fields: Stanza): string {
  const stated = fields.get("license-expression") || fields.get("license") || "";
  return stated === "UNKNOWN" || stated.includes("\n") || stated.length > 200 ? "" : stated;
}
