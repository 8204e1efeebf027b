/** Descriptors that a caller hands on to the container's process: --preserve-fds, and those of socket activation (sd_listen_fds(3)). */
import { readlinkSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";
import { number, type ParsedFlags } from "./flags.ts";

const FIRST = 3;
const MOST = 256;

export interface PreservedFds {
  /** Ours, in the process's order from 3 on. */
  readonly fds: readonly number[];
  /** Variables that tell the process about them. */
  readonly env: readonly string[];
}

/** Throws invalid-argument in runc's words for one that is not open. */
export function preservedFds(flags: ParsedFlags): PreservedFds {
  const { LISTEN_FDS, LISTEN_PID } = process.env;
  const listening = LISTEN_PID === String(process.pid) && /^\d{1,3}$/.test(LISTEN_FDS ?? "") ? Number(LISTEN_FDS) : 0;
  const asked = number(flags, "preserve-fds", 0);
  if (asked < 0 || listening + asked > MOST)
    throw new HullError(
      "invalid-argument",
      `invalid value "${asked}" for flag -preserve-fds: it is not between 0 and ${MOST}`,
    );
  const fds = Array.from({ length: listening + asked }, (_, i) => FIRST + i);
  for (const [i, fd] of fds.slice(listening).entries())
    if (!isInherited(fd))
      throw new HullError("invalid-argument", `unable to stat preserved-fd ${i} (of ${asked}): bad file descriptor`);
  return { fds, env: listening > 0 ? [`LISTEN_FDS=${listening}`, "LISTEN_PID=1"] : [] };
}

/**
 * The runtime's own first descriptor is its epoll's, at the lowest free number: a gap in what was handed to us holds it. (Flags don't tell: the
 * runtime sets close-on-exec on all there are.)
 */
function isInherited(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) !== "anon_inode:[eventpoll]";
  } catch {
    return false; // Not open.
  }
}
