import manifest from "../../package.json" with { type: "json" };

/** The version of every part: they are one executable. */
export const HULL_VERSION: string = manifest.version;
