/** WORKDIR and RUN. */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { RunInstruction, TextInstruction } from "../dockerfile/ast.ts";
import { expandIn, shownText } from "./expansion.ts";
import { commandOf } from "./run-command.ts";
import { planMounts } from "./run-mounts.ts";
import { recorded, recordedChange, type StageState, type StageWork, shellOf } from "./stage-state.ts";
import { commandVariables } from "./variables.ts";
import type { RunMount, RunVertex } from "./vertex.ts";

/** What all vertices of an instruction say alike. */
export const vertexBase = (state: StageState, work: StageWork, name: string) => ({
  name,
  location: work.location,
  ignoreCache: work.ignoreCache,
  platform: state.platform,
});

export function applyWorkdir(instruction: TextInstruction, state: StageState, work: StageWork): StageState {
  const path = expandIn(instruction.text, state, work);
  const classic = work.request.dialect === "classic";
  if (path === "" && classic) throw new HullError("invalid-argument", "cannot normalize nothing");
  const workingDirectory = resolvedWorkdir(state.config.workingDirectory, path);
  const changed = { ...state, config: { ...state.config, workingDirectory } };
  const text = `WORKDIR ${workingDirectory}`;
  // BuildKit makes no layer for the root; the classic builder makes one, which is empty.
  if (workingDirectory === "/" && !classic) return recordedChange(changed, work, text);
  const name = work.numbering.next(shownText(instruction.original, { state: changed, work, command: false }));
  const after = {
    ...vertexBase(state, work, name),
    kind: "directory",
    base: state.vertex,
    path: posix.resolve(workingDirectory),
    owner: classic || state.config.user === "" ? undefined : state.config.user,
  } as const;
  const command = classic ? [...shellOf(state.config), `#(nop) ${text}`] : [text];
  return recorded(changed, { command, what: "directory" }, after);
}

const resolvedWorkdir = (current: string, path: string): string => {
  if (path === "") return current === "" ? "/" : current;
  return path.startsWith("/") ? path : posix.join("/", current, path);
};

export function applyRun(instruction: RunInstruction, state: StageState, work: StageWork): StageState {
  refuseFlags(instruction, work);
  const { argv, pipes, summary } = commandOf(instruction, state);
  const variables = commandVariables(state, work);
  const classic = work.request.dialect === "classic";
  const { mounts, masked } = planMounts(instruction, state, work);
  const shown = shownText(`${instruction.original}${summary}`, {
    state: withMasked(state, masked),
    work,
    command: true,
  });
  const after: RunVertex = {
    ...vertexBase(state, work, work.numbering.next(shown)),
    kind: "run",
    base: state.vertex,
    argv,
    env: variables.env,
    uncachedEnv: variables.uncached,
    workingDirectory: state.config.workingDirectory || "/",
    user: state.config.user,
    mounts: classic ? volumesOf(state) : mounts,
    network: networkOf(instruction, work),
    security: instruction.security === "insecure" ? "insecure" : "sandbox",
    hostname: work.request.buildArgs.BUILDKIT_SANDBOX_HOSTNAME || (work.request.hostname ?? ""),
    extraHosts: work.request.extraHosts,
    limits: work.request.limits,
    pipes,
  };
  const text = [...variables.history, ...argv];
  const command = classic ? text : [`RUN ${text.join(" ")} # buildkit`];
  return recorded(state, { command, what: "run" }, after);
}

/** Of dockerd's own builder commands have their image's volumes, each time anew. */
const volumesOf = ({ config }: StageState): readonly RunMount[] =>
  (config.volumes ?? []).map((path) => ({ kind: "volume", target: posix.resolve("/", path) }));

/** Secrets that are environment variables are shown as "****". */
const withMasked = (state: StageState, names: readonly string[]): StageState =>
  names.length === 0
    ? state
    : { ...state, environment: [...state.environment, ...names.map((name) => `${name}=****`)] };

function refuseFlags(instruction: RunInstruction, { request }: StageWork): void {
  const { mounts, network, security, devices } = instruction;
  if (request.dialect === "classic") {
    const given = {
      mount: mounts.length > 0,
      network: network !== "",
      security: security !== "",
      device: devices.length > 0,
    };
    const flag = Object.entries(given).find(([, isGiven]) => isGiven)?.[0];
    if (flag !== undefined) throw needsBuildkit(flag);
  }
  if (devices.length > 0) {
    throw new HullError("unimplemented", "RUN --device is not supported: devices cannot be given to build steps");
  }
  if (security === "insecure" && !request.entitlements?.includes("security.insecure")) {
    throw new HullError("permission-denied", "security.insecure is not allowed: build with --allow security.insecure");
  }
}

/** In the classic builder's words. */
export const needsBuildkit = (flag: string): HullError =>
  new HullError(
    "invalid-argument",
    `the --${flag} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled`,
  );

function networkOf({ network }: RunInstruction, { request }: StageWork): RunVertex["network"] {
  const chosen = network === "none" || network === "host" ? network : request.network;
  if (chosen === "host" && request.dialect === "buildkit" && !request.entitlements?.includes("network.host"))
    throw new HullError("permission-denied", "network.host is not allowed: build with --allow network.host");
  return chosen;
}
