/** Commands of other platforms, which fail before anything of the build runs. */
import { parsePlatform } from "../../oci/platform.ts";
import type { Emulation } from "../../platform/emulators.ts";
import { HullError } from "../../platform/errors.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import type { BuildPlan } from "./plan.ts";
import { located } from "./stages.ts";
import type { RunVertex, Vertex } from "./vertex.ts";
import { inputsOf } from "./vertex-id.ts";

export interface Machine {
  /** "linux/amd64" */
  readonly platform: string;
  readonly emulationOf: (architecture: string) => Emulation;
}

/** Throws failed-precondition at the first RUN, in the order of the file, whose platform this machine does not run. */
export function refuseForeignCommands(plan: BuildPlan, dockerfile: Dockerfile, machine: Machine): void {
  const foreign = commandsOf(plan).filter(({ platform }) => !runs(platform, machine));
  const [first] = foreign.toSorted((a, b) => (a.location?.startLine ?? 0) - (b.location?.startLine ?? 0));
  if (!first) return;
  const error = new HullError("failed-precondition", messageFor(first, machine), { facts: { token: "" } });
  throw first.location ? located(error, first.location, dockerfile) : error;
}

function commandsOf({ platforms }: BuildPlan): RunVertex[] {
  const seen = new Set<Vertex>();
  const pending: Vertex[] = platforms.flatMap(({ target, stages }) => [
    target,
    ...stages.flatMap((draft) => (draft ? [draft.top] : [])),
  ]);
  for (let vertex = pending.pop(); vertex !== undefined; vertex = pending.pop()) {
    if (seen.has(vertex)) continue;
    seen.add(vertex);
    pending.push(...inputsOf(vertex));
  }
  return [...seen].filter((vertex) => vertex.kind === "run");
}

function runs(platform: string, machine: Machine): boolean {
  const { os, architecture } = parsePlatform(platform);
  if (os !== "linux") return false;
  const emulation = machine.emulationOf(architecture);
  return emulation === "native" || emulation === "emulated";
}

function messageFor({ name, platform }: RunVertex, machine: Machine): string {
  const instruction = name.replace(/^\[[^\]]*\] /, "");
  const { os, architecture } = parsePlatform(platform);
  const why =
    os === "linux" && machine.emulationOf(architecture) === "unfixed"
      ? `the emulator that binfmt_misc has for ${architecture} lacks the flag F, so it would have to be in the image`
      : `no emulator is registered for ${os === "linux" ? architecture : os}`;
  const remedy =
    "register one in binfmt_misc with the flag F (qemu-user-static does), or let the stage run here (FROM --platform=$BUILDPLATFORM) and COPY its results";
  return `${instruction}: a command for ${platform} cannot run on this machine (${machine.platform}): ${why}; ${remedy}`;
}
