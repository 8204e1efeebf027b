/** Packages of dpkg: its status file, or a file for each in status.d as images without a package manager have them. */
import { formatPackageUrl } from "../purl.ts";
import type { FoundPackage, Scanner, Scanning } from "./scanned-tree.ts";
import { parseStanzas, type Stanza } from "./stanzas.ts";

export const scanDpkg: Scanner = async (scanning) => {
  const found: FoundPackage[] = [];
  const single = /^var\/lib\/dpkg\/status\.d\/[^/]+$/;
  for (const { path, kind } of scanning.entries) {
    const isSingle = single.test(path) && !path.endsWith(".md5sums");
    if (kind !== "file" || (path !== "var/lib/dpkg/status" && !isSingle)) continue;
    const text = await scanning.read(path);
    for (const stanza of parseStanzas(text ?? "")) {
      if (!isInstalled(stanza, isSingle)) continue;
      found.push(await packageOf(stanza, path, scanning));
    }
  }
  return found;
};

function isInstalled(stanza: Stanza, isSingle: boolean): boolean {
  if (!stanza.get("package") || !stanza.get("version")) return false;
  const status = stanza.get("status");
  return status === undefined ? isSingle : status.split(/\s+/).at(-1) === "installed";
}

async function packageOf(stanza: Stanza, evidence: string, scanning: Scanning): Promise<FoundPackage> {
  const [name, version] = [stanza.get("package")!, stanza.get("version")!];
  const { id, version: release } = scanning.distribution;
  const homepage = stanza.get("homepage");
  const supplier = stanza.get("maintainer");
  return {
    ...{ ecosystem: "deb", name, version, evidence },
    license: licensesIn((await scanning.look(`usr/share/doc/${name}/copyright`)) ?? ""),
    ...(supplier !== undefined && { supplier }),
    ...(homepage !== undefined && { homepage }),
    description: stanza.get("description")?.split("\n")[0] ?? "",
    url: formatPackageUrl({
      ...{ type: "deb", namespace: id || "debian", name, version },
      qualifiers: { arch: stanza.get("architecture"), distro: [id, release].filter((part) => part !== "").join("-") },
    }),
  };
}

/** Short names of Debian's machine-readable copyright files (dep-team.pages.debian.net/deps/dep5), by SPDX's; others stay. */
const spdxNames: Readonly<Record<string, string>> = {
  expat: "MIT",
  "apache-2": "Apache-2.0",
  artistic: "Artistic-1.0-Perl",
  "bsd-2-clause": "BSD-2-Clause",
  "bsd-3-clause": "BSD-3-Clause",
  "bsd-4-clause": "BSD-4-Clause",
  "gfdl-1.3": "GFDL-1.3-only",
  "mpl-1.1": "MPL-1.1",
  "mpl-2.0": "MPL-2.0",
  zlib: "Zlib",
};

function spdxName(short: string): string {
  const known = spdxNames[short.toLowerCase()];
  if (known) return known;
  const [, family, version, later] = /^(A?GPL|LGPL)-(\d(?:\.\d)?)(\+?)$/i.exec(short) ?? [];
  if (family === undefined || version === undefined) return short;
  const whole = version.includes(".") ? version : `${version}.0`;
  return `${family.toUpperCase()}-${whole}-${later ? "or-later" : "only"}`;
}

/** All that are named; "" for a file that says it in prose. */
function licensesIn(copyright: string): string {
  if (!/^Format:/im.test(copyright)) return "";
  const named = parseStanzas(copyright).flatMap((stanza) => {
    const first = stanza.get("license")?.split("\n")[0] ?? "";
    return first.split(/\s+(?:and|or)\s+|,\s*/i).map((part) => part.trim());
  });
  return [...new Set(named.filter((name) => /^[A-Za-z0-9.+-]+$/.test(name)).map(spdxName))].sort().join(" AND ");
}
