/** What a build that found no room is told to do about it. */
import { messageOf } from "../platform/errors.ts";
import { isNoSpace } from "../platform/reserve.ts";

const ADVICE =
  'the disk of the engine\'s data root is full: free some of it, for example with "docker builder prune" or "docker system prune", and run the build again; what was finished is kept';

/** The error's own words, and what to do where it is a full disk. */
export function messageWithAdvice(error: unknown): string {
  const message = messageOf(error);
  return isNoSpace(error) || /\bno space left on device\b/i.test(message) ? `${message}: ${ADVICE}` : message;
}
