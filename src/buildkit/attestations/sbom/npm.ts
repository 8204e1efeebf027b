/** Packages of npm: what is installed in node_modules, and what lock files name (docs.npmjs.com, package-lock-json). */
import { formatPackageUrl } from "../purl.ts";
import type { FoundPackage, Scanner } from "./scanned-tree.ts";

type Json = Readonly<Record<string, unknown>>;

const INSTALLED = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/;
const LOCK = /(?:^|\/)(?:package-lock|npm-shrinkwrap)\.json$|(?:^|\/)node_modules\/\.package-lock\.json$/;

export const scanNpm: Scanner = async ({ entries, read }) => {
  const found = new Map<string, FoundPackage>();
  const add = (one: FoundPackage): void => {
    const known = found.get(one.url);
    // A lock file knows checksums, the package itself its licence.
    found.set(one.url, known ? { ...one, ...known, license: known.license || one.license, ...sums(known, one) } : one);
  };
  for (const { path, kind } of entries) {
    if (kind !== "file" || !(INSTALLED.test(path) || LOCK.test(path))) continue;
    const document = parsed(await read(path));
    if (!document) continue;
    for (const one of LOCK.test(path) ? lockedIn(document, path) : installed(document, path)) add(one);
  }
  return [...found.values()];
};

function sums(known: FoundPackage, one: FoundPackage): Pick<FoundPackage, "checksums"> {
  const checksums = { ...one.checksums, ...known.checksums };
  return Object.keys(checksums).length > 0 ? { checksums } : {};
}

/** Undefined for what is no JSON object: it is nobody's package. */
function parsed(text: string | undefined): Json | undefined {
  try {
    const value: unknown = JSON.parse(text?.replace(/^\uFEFF/, "") ?? "null");
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function installed(document: Json, evidence: string): FoundPackage[] {
  const [name, version] = [textOf(document.name), textOf(document.version)];
  return name === "" || version === "" ? [] : [packageOf({ name, version, document, evidence })];
}

function lockedIn(document: Json, evidence: string): FoundPackage[] {
  if (isObject(document.packages))
    return Object.entries(document.packages).flatMap(([place, entry]) => {
      const inside = place.split("node_modules/").at(-1) ?? "";
      if (!place.includes("node_modules/") || !isObject(entry) || entry.link === true) return [];
      return lockedAs(textOf(entry.name) || inside, entry, evidence);
    });
  return dependenciesIn(document, evidence);
}

/** Lock files of npm 6. */
function dependenciesIn(document: Json, evidence: string): FoundPackage[] {
  const found: FoundPackage[] = [];
  const pending: unknown[] = [document.dependencies];
  for (let next = pending.pop(); pending.length > 0 || next !== undefined; next = pending.pop()) {
    if (!isObject(next)) continue;
    for (const [name, entry] of Object.entries(next)) {
      if (!isObject(entry)) continue;
      found.push(...lockedAs(name, entry, evidence));
      pending.push(entry.dependencies);
    }
  }
  return found;
}

function lockedAs(name: string, entry: Json, evidence: string): FoundPackage[] {
  const version = textOf(entry.version);
  return name === "" || version === "" ? [] : [packageOf({ name, version, document: entry, evidence })];
}

interface Named {
  readonly name: string;
  readonly version: string;
  readonly document: Json;
  readonly evidence: string;
}

function packageOf({ name, version, document, evidence }: Named): FoundPackage {
  const [scope, bare] = name.startsWith("@") ? name.split("/", 2) : ["", name];
  const checksums = checksumsOf(textOf(document.integrity));
  const homepage = textOf(document.homepage);
  return {
    ...{ ecosystem: "npm", name, version, evidence, license: licenseOf(document) },
    ...(homepage !== "" && { homepage }),
    ...(textOf(document.description) !== "" && { description: textOf(document.description) }),
    ...(Object.keys(checksums).length > 0 && { checksums }),
    url: formatPackageUrl({ type: "npm", namespace: scope ?? "", name: bare || name, version }),
  };
}

/** Old packages have objects, or several of them. */
function licenseOf({ license, licenses }: Json): string {
  const one = (value: unknown): string => textOf(value) || (isObject(value) ? textOf(value.type) : "");
  if (license !== undefined) return one(license);
  const all = (Array.isArray(licenses) ? licenses : []).map(one).filter((name) => name !== "");
  return all.length > 1 ? `(${all.join(" OR ")})` : (all[0] ?? "");
}

/** "sha512-..." (w3.org/TR/SRI). */
function checksumsOf(integrity: string): Record<string, string> {
  const pairs = integrity.split(/\s+/).flatMap((text) => {
    const [, algorithm, value] = /^(sha1|sha256|sha384|sha512)-([A-Za-z0-9+/=]+)/.exec(text) ?? [];
    return algorithm && value ? [[algorithm.toUpperCase(), Buffer.from(value, "base64").toString("hex")] as const] : [];
  });
  return Object.fromEntries(pairs);
}
