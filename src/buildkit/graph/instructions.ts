/** One instruction applied to a stage. */
import type { Instruction } from "../dockerfile/ast.ts";
import {
  applyArg,
  applyCmd,
  applyEntrypoint,
  applyEnv,
  applyExpose,
  applyHealthcheck,
  applyLabel,
  applyMaintainer,
  applyOnbuild,
  applyShell,
  applyStopsignal,
  applyUser,
  applyVolume,
} from "./config-instructions.ts";
import { applyCopy } from "./copy-instructions.ts";
import { applyRun, applyWorkdir } from "./layer-instructions.ts";
import type { StageState, StageWork } from "./stage-state.ts";

/** The state after it. Throws invalid-argument without a place. */
export function applyInstruction(instruction: Instruction, state: StageState, work: StageWork): StageState {
  switch (instruction.kind) {
    case "arg":
      return applyArg(instruction, state, work);
    case "env":
      return applyEnv(instruction, state, work);
    case "label":
      return applyLabel(instruction, state, work);
    case "run":
      return applyRun(instruction, state, work);
    case "copy":
    case "add":
      return applyCopy(instruction, state, work);
    case "cmd":
      return applyCmd(instruction, state, work);
    case "entrypoint":
      return applyEntrypoint(instruction, state, work);
    case "workdir":
      return applyWorkdir(instruction, state, work);
    case "user":
      return applyUser(instruction, state, work);
    case "stopsignal":
      return applyStopsignal(instruction, state, work);
    case "maintainer":
      return applyMaintainer(instruction, state, work);
    case "expose":
      return applyExpose(instruction, state, work);
    case "volume":
      return applyVolume(instruction, state, work);
    case "shell":
      return applyShell(instruction, state, work);
    case "healthcheck":
      return applyHealthcheck(instruction, state, work);
    case "onbuild":
      return applyOnbuild(instruction, state, work);
  }
}
