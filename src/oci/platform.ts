/** Platforms of images: "linux/arm64/v8" (image-spec image-index.md, containerd's matching rules). */
import { HullError } from "../platform/errors.ts";

export interface Platform {
  readonly os: string;
  /** Go's name: amd64, arm64, 386, arm. */
  readonly architecture: string;
  readonly variant?: string;
}

const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  ia32: "386",
  i386: "386",
  i686: "386",
  armhf: "arm",
  armel: "arm",
};

/** This machine's. */
export const hostPlatform = (): Platform => normalizePlatform({ os: "linux", architecture: process.arch });

/** Go's names; arm64's v8 and amd64's v1 are the default and left out. */
export function normalizePlatform(platform: Platform): Platform {
  const architecture = architectures[platform.architecture.toLowerCase()] ?? platform.architecture.toLowerCase();
  const given = platform.variant?.toLowerCase().replace(/^(\d)/, "v$1");
  const variant = isDefaultVariant(architecture, given) ? undefined : given;
  const assumed = architecture === "arm" ? (variant ?? "v7") : variant;
  return { os: platform.os.toLowerCase(), architecture, ...(assumed !== undefined && { variant: assumed }) };
}

const isDefaultVariant = (architecture: string, variant: string | undefined): boolean =>
  variant === undefined ||
  variant === "" ||
  (architecture === "arm64" && variant === "v8") ||
  (architecture === "amd64" && variant === "v1");

/** "linux/amd64", "arm64" (the machine's system), "linux" (the machine's architecture). Throws `invalid-argument`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  if (parts.length > 3 || !parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) {
    throw new HullError("invalid-argument", `"${text}" is an invalid platform: want os/architecture[/variant]`);
  }
  const [first, second, variant] = parts as [string, string?, string?];
  if (second === undefined) {
    const known = ["linux", "windows", "darwin", "freebsd"].includes(first.toLowerCase());
    return known
      ? { ...hostPlatform(), os: first.toLowerCase() }
      : normalizePlatform({ os: "linux", architecture: first });
  }
  return normalizePlatform({ os: first, architecture: second, ...(variant !== undefined && { variant }) });
}

export const formatPlatform = (platform: Platform): string =>
  [platform.os, platform.architecture, platform.variant].filter((part) => part).join("/");

/**
 * How well an image's platform serves the wanted one: 0 not at all, higher is better. A lower arm or amd64 variant runs on a
 * higher one.
 */
export function platformFit(wanted: Platform, offered: Platform): number {
  const want = normalizePlatform(wanted);
  const offer = normalizePlatform(offered);
  if (want.os !== offer.os || want.architecture !== offer.architecture) return 0;
  if (want.variant === offer.variant) return 100;
  const [wantLevel, offerLevel] = [levelOf(want), levelOf(offer)];
  return offerLevel > wantLevel ? 0 : 1 + offerLevel;
}

const levelOf = (platform: Platform): number => {
  const floor = platform.architecture === "arm64" ? 8 : 1;
  return platform.variant === undefined ? floor : Number(platform.variant.replace(/^v/, "")) || floor;
};
