/** GET /version: Docker's fields; our own name and version are in Platform and Components. */
import { HULL_VERSION } from "../../platform/version.ts";
import { API_VERSION, MIN_API_VERSION } from "../http/version.ts";
import { DOCKER_VERSION } from "./docker-version.ts";
import type { HostFacts } from "./host-facts.ts";

export function versionAnswer(host: HostFacts): object {
  const engine = {
    Version: DOCKER_VERSION,
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: `hull-${HULL_VERSION}`,
    GoVersion: `none (Bun ${process.versions.bun ?? process.version})`,
    Os: "linux",
    Arch: host.arch,
    KernelVersion: host.kernelVersion,
    BuildTime: host.buildTime,
  };
  const { Version, ...details } = engine;
  const own = (name: string) => ({ Name: name, Version: HULL_VERSION, Details: { GitCommit: `hull-${HULL_VERSION}` } });
  return {
    Platform: { Name: `Glasshull ${HULL_VERSION}` },
    Components: [
      { Name: "Engine", Version, Details: { ...details, Experimental: "false" } },
      own("hull-containerd"),
      own("hull-runc"),
      own("hull-netd"),
      own("hull-buildkitd"),
      own("keel"),
    ],
    ...engine,
  };
}
