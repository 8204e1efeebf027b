/** Versions of the Engine API: "1.51". */
export const API_VERSION = "1.51";
export const MIN_API_VERSION = "1.24";

/** Negative when a is older than b. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
