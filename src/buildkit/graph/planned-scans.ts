/** BUILDKIT_SBOM_SCAN_CONTEXT and BUILDKIT_SBOM_SCAN_STAGE: build arguments, or ARGs of the stages themselves. Pure. */
import type { PlannedScans } from "./plan.ts";
import type { StageState } from "./stage-state.ts";

const CONTEXT = "BUILDKIT_SBOM_SCAN_CONTEXT";
const STAGE = "BUILDKIT_SBOM_SCAN_STAGE";

export interface ScannedStage {
  readonly name: string;
  readonly state: StageState;
}

/** `stages`: what is built beside the target. */
export function plannedScans(
  buildArgs: Readonly<Record<string, string>>,
  target: ScannedStage,
  stages: readonly ScannedStage[],
): PlannedScans {
  const valueIn = ({ state }: ScannedStage, name: string): string => {
    const own = state.args.find((arg) => arg.name === name)?.value;
    return own ?? buildArgs[name] ?? "";
  };
  return {
    context: isOn(target.name, valueIn(target, CONTEXT)),
    stages: stages
      .filter((stage) => isOn(stage.name, valueIn(stage, STAGE)))
      .map(({ name, state }) => ({ name, top: state.vertex })),
  };
}

/** A truth value, or names of stages. */
function isOn(stage: string, value: string): boolean {
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  return value.split(",").some((name) => name.trim() === stage && stage !== "");
}
