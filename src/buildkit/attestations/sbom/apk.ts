/** Packages of apk (wiki.alpinelinux.org/wiki/Apk_spec): paragraphs of one-letter fields. */
import { formatPackageUrl } from "../purl.ts";
import type { FoundPackage, Scanner, Scanning } from "./scanned-tree.ts";

export const scanApk: Scanner = async (scanning) => {
  const databases = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
  const found: FoundPackage[] = [];
  for (const { path, kind } of scanning.entries) {
    if (kind !== "file" || !databases.includes(path)) continue;
    const text = (await scanning.read(path)) ?? "";
    found.push(...text.split(/\n\n+/).flatMap((paragraph) => packageOf(paragraph, path, scanning)));
  }
  return found;
};

function packageOf(paragraph: string, evidence: string, { distribution }: Scanning): FoundPackage[] {
  const fields = new Map<string, string>();
  for (const line of paragraph.split("\n")) {
    // Its files follow.
    if (line.startsWith("F:")) break;
    if (line[1] === ":" && !fields.has(line[0]!)) fields.set(line[0]!, line.slice(2).trim());
  }
  const [name, version] = [fields.get("P"), fields.get("V")];
  if (!name || !version) return [];
  const { id, version: release } = distribution;
  const [supplier, homepage] = [fields.get("m"), fields.get("U")];
  const sha1 = /^Q1(.+)$/.exec(fields.get("C") ?? "")?.[1];
  return [
    {
      ...{ ecosystem: "apk", name, version, evidence },
      license: fields.get("L") ?? "",
      description: fields.get("T") ?? "",
      ...(supplier !== undefined && { supplier }),
      ...(homepage !== undefined && { homepage }),
      ...(sha1 !== undefined && { checksums: { SHA1: Buffer.from(sha1, "base64").toString("hex") } }),
      url: formatPackageUrl({
        ...{ type: "apk", namespace: id || "alpine", name, version },
        qualifiers: { arch: fields.get("A"), distro: [id, release].filter((part) => part !== "").join("-") },
      }),
    },
  ];
}
