/** ARG in a stage. */
import type { ArgInstruction } from "../dockerfile/ast.ts";
import { expand } from "../dockerfile/expand.ts";
import { expandIn } from "./expansion.ts";
import type { Argument, StageState, StageWork } from "./stage-state.ts";
import { formatArgument, globalScope, lastSet, ownValue, stageScope } from "./variables.ts";

/** Arguments to BuildKit itself: no variables of the stage. */
const notInEnvironment: ReadonlySet<string> = new Set(["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"]);

/** The state with the arguments in scope, and their text in the history. */
export function declareArguments(
  instruction: ArgInstruction,
  state: StageState,
  work: StageWork,
): { readonly state: StageState; readonly text: string } {
  const texts: string[] = [];
  let now = state;
  for (const { name, value: text } of instruction.args) {
    // The classic builder expands the whole line first, BuildKit one after another.
    const before = work.request.dialect === "classic" ? state : now;
    const value = chosenValue({ name, value: text }, before, work);
    texts.push(value === undefined ? name : `${name}=${value}`);
    now = withArgument(now, { name, value });
  }
  return { state: now, text: `ARG ${texts.join(" ")}` };
}

/** A default that is not used may name what is not set. */
function chosenValue({ name, value: text }: Argument, state: StageState, work: StageWork): string | undefined {
  const { request, globals, dockerfile } = work;
  const mode = { escape: dockerfile.directives.escape };
  if (request.dialect === "classic")
    return text === undefined ? undefined : expand(text, stageScope(state, work), mode);
  const given = ownValue(request.buildArgs, name);
  if (given !== undefined) return given;
  return text === undefined ? globalScope(globals).find(name) : expandIn(text, state, work);
}

function withArgument(state: StageState, arg: Argument): StageState {
  const at = state.args.findIndex(({ name }) => name === arg.name);
  const args = at < 0 ? [...state.args, arg] : state.args.with(at, arg);
  const kept = arg.value === undefined || notInEnvironment.has(arg.name);
  return { ...state, args, environment: kept ? state.environment : lastSet(state.environment, formatArgument(arg)) };
}
