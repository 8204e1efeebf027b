/**
 * A daemon's JavaScript heap stays small. The runtime's own limit lets a heap grow to three times what lives in it before it collects; after
 * a burst each page of that holds a few objects that stay, and is never given back. Settings are read from the environment, once, when
 * the process starts.
 */
import { existsSync } from "node:fs";

/** How far a heap may grow over what lives in it, and below which size nobody collects. Options of JavaScriptCore. */
export const smallHeap: Readonly<Record<string, string>> = {
  BUN_JSC_heapGrowthMaxIncrease: "0.3",
  BUN_JSC_largeHeapSize: String(2 * 1024 * 1024),
};

interface Executing {
  readonly argv: readonly string[];
  readonly argv0: string;
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * The arguments and the environment to execute this process with again; undefined when it runs as it should, or when it was given
 * sockets (LISTEN_FDS), which would be closed: its unit may set the same variables.
 */
export function again({ argv, argv0, environment }: Executing) {
  if (environment.LISTEN_FDS !== undefined) return undefined;
  if (Object.keys(smallHeap).every((name) => environment[name] !== undefined)) return undefined;
  // The entry of the compiled executable is no argument of its caller.
  const given = argv.slice(argv[1]?.startsWith("/$bunfs/") ? 2 : 1);
  return { argv: [argv0, ...given], environment: { ...smallHeap, ...environment } };
}

/** Executes this process once more, with the same id, arguments and name, unless it has the settings. To be called before anything else. */
export function keepHeapSmall(): void {
  const wanted = again({ argv: process.argv, argv0: process.argv0, environment: process.env });
  if (wanted && existsSync(process.execPath)) process.execve?.(process.execPath, wanted.argv, wanted.environment);
}
