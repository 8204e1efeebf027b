/** Where buildx is, for tests of it; BUILDX names another place. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const places = [
  process.env.BUILDX ?? "",
  join(homedir(), ".docker/cli-plugins/docker-buildx"),
  "/usr/local/lib/docker/cli-plugins/docker-buildx",
  "/usr/libexec/docker/cli-plugins/docker-buildx",
  "/usr/lib/docker/cli-plugins/docker-buildx",
  join(homedir(), "go/bin/buildx"),
];

/** Undefined: it is not installed. */
export const buildxPlugin = places.find((path) => path !== "" && existsSync(path));
