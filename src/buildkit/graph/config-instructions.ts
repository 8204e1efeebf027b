/** Instructions that change only the image's configuration. */

import { HullError } from "../../platform/errors.ts";
import type {
  ArgInstruction,
  CommandForm,
  CommandInstruction,
  EnvInstruction,
  HealthcheckInstruction,
  ListInstruction,
  OnbuildInstruction,
  TextInstruction,
} from "../dockerfile/ast.ts";
import { expandWords } from "../dockerfile/expand.ts";
import { declareArguments } from "./arguments.ts";
import { expandIn } from "./expansion.ts";
import { parsePorts } from "./exposed-ports.ts";
import { goDuration, goList, goQuoteList, goQuoteNumber } from "./go-format.ts";
import { type Healthcheck, type RunConfig, withEnvironment } from "./run-config.ts";
import { checkSignal } from "./signal-names.ts";
import { recordedChange, type StageState, type StageWork, shellOf } from "./stage-state.ts";
import { lastSet, stageScope } from "./variables.ts";

const configured = (state: StageState, change: Partial<RunConfig>): StageState => ({
  ...state,
  config: { ...state.config, ...change },
});

export function applyEnv(instruction: EnvInstruction, state: StageState, work: StageWork): StageState {
  const pairs = expandedPairs(instruction, state, work);
  let { environment } = state;
  let env = state.config.env;
  for (const { name, value } of pairs) {
    env = withEnvironment(env, name, value);
    environment = lastSet(environment, `${name}=${value}`);
  }
  return recordedChange({ ...configured(state, { env }), environment }, work, pairsText("ENV", pairs));
}

export function applyLabel(instruction: EnvInstruction, state: StageState, work: StageWork): StageState {
  return withLabels(expandedPairs(instruction, state, work), state, work);
}

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

export function withLabels(pairs: readonly NamedValue[], state: StageState, work: StageWork): StageState {
  const added = Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
  const labels = { ...state.config.labels, ...added };
  return recordedChange(configured(state, { labels }), work, pairsText("LABEL", pairs));
}

/** All with the variables from before the line. */
const expandedPairs = ({ pairs }: EnvInstruction, state: StageState, work: StageWork): readonly NamedValue[] =>
  pairs.map(({ name, value }) => ({ name: expandIn(name, state, work), value: expandIn(value, state, work) }));

const pairsText = (keyword: string, pairs: readonly NamedValue[]): string =>
  [keyword, ...pairs.map(({ name, value }) => `${name}=${value}`)].join(" ");

export function applyArg(instruction: ArgInstruction, state: StageState, work: StageWork): StageState {
  const declared = declareArguments(instruction, state, work);
  return recordedChange(declared.state, work, declared.text);
}

export function applyMaintainer({ text }: TextInstruction, state: StageState, work: StageWork): StageState {
  return recordedChange({ ...state, author: text }, work, `MAINTAINER ${text}`);
}

export function applyUser({ text }: TextInstruction, state: StageState, work: StageWork): StageState {
  const user = expandIn(text, state, work);
  return recordedChange(configured(state, { user }), work, `USER ${user}`);
}

export function applyStopsignal({ text }: TextInstruction, state: StageState, work: StageWork): StageState {
  const stopSignal = expandIn(text, state, work);
  checkSignal(stopSignal);
  return recordedChange(configured(state, { stopSignal }), work, `STOPSIGNAL ${stopSignal}`);
}

export function applyVolume({ values }: ListInstruction, state: StageState, work: StageWork): StageState {
  const given = values.map((value) => expandIn(value, state, work));
  if (given.includes("")) throw new HullError("invalid-argument", "VOLUME specified can not be an empty string");
  const volumes = [...new Set([...(state.config.volumes ?? []), ...given])];
  return recordedChange(configured(state, { volumes }), work, `VOLUME ${goList(given)}`);
}

export function applyShell({ values }: ListInstruction, state: StageState, work: StageWork): StageState {
  return recordedChange(configured(state, { shell: values }), work, `SHELL ${goList(values)}`);
}

export function applyExpose({ values }: ListInstruction, state: StageState, work: StageWork): StageState {
  const mode = { escape: work.dockerfile.directives.escape };
  const words = values.flatMap((value) => expandWords(value, stageScope(state, work), mode));
  const ports = parsePorts(words);
  const exposedPorts = [...new Set([...(state.config.exposedPorts ?? []), ...ports])];
  const shown = [...new Set(ports)].sort((a, b) => (a < b ? -1 : 1)).map((port) => `${port}:{}`);
  const text = work.request.dialect === "classic" ? words.join(" ") : `map${goList(shown)}`;
  return recordedChange(configured(state, { exposedPorts }), work, `EXPOSE ${text}`);
}

export function applyCmd({ command }: CommandInstruction, state: StageState, work: StageWork): StageState {
  const cmd = argvOf(command, state.config);
  const classic = work.request.dialect === "classic";
  const changed = configured(state, { cmd, argsEscaped: !classic });
  const set = !classic || cmd.length > 0;
  return recordedChange({ ...changed, cmdSet: state.cmdSet || set }, work, `CMD ${goQuoteList(cmd)}`);
}

/** A CMD that came with the base image goes; one of this stage stays. */
export function applyEntrypoint({ command }: CommandInstruction, state: StageState, work: StageWork): StageState {
  const entrypoint = argvOf(command, state.config);
  const classic = work.request.dialect === "classic";
  const changed = configured(state, {
    entrypoint: entrypoint.length > 0 ? entrypoint : undefined,
    ...(!state.cmdSet && { cmd: undefined }),
    ...(classic && { argsEscaped: false }),
  });
  return recordedChange(changed, work, `ENTRYPOINT ${goQuoteList(entrypoint)}`);
}

/** A command as a process gets it: a shell's own word around the shell form. */
export const argvOf = (command: CommandForm, config: RunConfig): readonly string[] =>
  command.form === "exec" ? command.argv : [...shellOf(config), command.text];

export function applyHealthcheck(instruction: HealthcheckInstruction, state: StageState, work: StageWork): StageState {
  const given = healthcheckOf(instruction);
  const before = state.config.healthcheck;
  if (before && before.test.length > 0 && before.test[0] !== "NONE") {
    work.note(`Note: overriding previous HEALTHCHECK: ${goList(before.test)}`);
  }
  const classic = work.request.dialect === "classic";
  const healthcheck = classic && before ? inherited(given, before) : given;
  return recordedChange(configured(state, { healthcheck }), work, healthcheckText(given, classic));
}

/** As dockerd does when it makes the step's container: what is not given is taken from the image. */
const inherited = (given: Healthcheck, before: Healthcheck): Healthcheck => ({
  test: given.test,
  interval: given.interval || before.interval,
  timeout: given.timeout || before.timeout,
  startPeriod: given.startPeriod || before.startPeriod,
  startInterval: given.startInterval || before.startInterval,
  retries: given.retries || before.retries,
});

function healthcheckOf(instruction: HealthcheckInstruction): Healthcheck {
  return {
    test: healthcheckTest(instruction.command),
    interval: instruction.intervalNs ?? 0,
    timeout: instruction.timeoutNs ?? 0,
    startPeriod: instruction.startPeriodNs ?? 0,
    startInterval: instruction.startIntervalNs,
    retries: instruction.retries ?? 0,
  };
}

function healthcheckTest(command: "none" | CommandForm): readonly string[] {
  if (command === "none") return ["NONE"];
  return command.form === "exec" ? ["CMD", ...command.argv] : ["CMD-SHELL", command.text];
}

/** The classic form is dockerd 20.10's, which knows no start interval: it is there only when it is given. */
function healthcheckText(check: Healthcheck, classic: boolean): string {
  const startInterval = classic && check.startInterval === undefined ? [] : [check.startInterval ?? 0];
  const durations = [check.interval, check.timeout, check.startPeriod, ...startInterval];
  const times = durations.map((duration) => `"${goDuration(duration)}"`).join(" ");
  return `HEALTHCHECK &{${goQuoteList(check.test)} ${times} ${goQuoteNumber(check.retries)}}`;
}

/** Kept for whoever builds on the image. BuildKit's history does not say so. */
export function applyOnbuild({ expression }: OnbuildInstruction, state: StageState, work: StageWork): StageState {
  const changed = configured(state, { onBuild: [...(state.config.onBuild ?? []), expression] });
  return work.request.dialect === "classic" ? recordedChange(changed, work, `ONBUILD ${expression}`) : changed;
}
