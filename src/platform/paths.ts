/**
 * Where our own executables are. Built: in bin, while the running one, which its launcher there became, is libexec/glasshull/<name> beside it. In
 * development (`bun src/main.ts ROLE`): the runtime with the entry file, and keel in dist/bin of the checkout.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type RoleName = "hull" | "hulld" | "hull-containerd" | "hull-netd" | "hull-buildkitd" | "hull-runc";

/** What to execute: file, then arguments that come before the role's own. */
export interface Invocation {
  readonly file: string;
  readonly args: readonly string[];
}

/** True inside the compiled executable, whose modules live in a virtual file system. */
const compiled = import.meta.url.includes("/$bunfs/");

const checkout = (): string => join(dirname(fileURLToPath(import.meta.url)), "../..");

export const binDirectory = (): string =>
  compiled ? join(dirname(process.execPath), "../../bin") : join(checkout(), "dist/bin");

export const keelPath = (): string => join(binDirectory(), "keel");

export function roleInvocation(role: RoleName): Invocation {
  if (!compiled) return { file: process.execPath, args: [join(checkout(), "src/main.ts"), role] };
  const link = join(binDirectory(), role);
  return existsSync(link) ? { file: link, args: [] } : { file: process.execPath, args: [role] };
}

/** The file whose time of change is the time of the build. */
export const builtFile = (): string => (compiled ? process.execPath : join(checkout(), "package.json"));
