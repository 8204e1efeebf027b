/** Runs a program of the host through keel, so that no daemon forks. */
import { operation } from "../../keel/plan.ts";
import { HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";

export interface CommandResult {
  /** As a shell shows it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 20_000;
const ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"];

export async function command(kernel: Kernel, argv: readonly string[], stdin: string): Promise<CommandResult> {
  const { outputs } = await kernel.run([
    operation("command", { timeoutMs: TIMEOUT_MS, argv, envp: ENVIRONMENT, stdin }, { subject: argv[0] ?? "" }),
  ]);
  return decodeCommandResult(outputs.get(0));
}

/** u32 wait status, u32 length of stdout, stdout, stderr. */
export function decodeCommandResult(output: Buffer | undefined): CommandResult {
  if (!output || output.length < 8) throw new HullError("internal", "keel answered a command without its result");
  const wait = output.readUInt32LE(0);
  const end = 8 + output.readUInt32LE(4);
  const signal = wait & 0x7f;
  return {
    status: signal === 0 ? (wait >> 8) & 0xff : 128 + signal,
    stdout: output.toString("utf8", 8, end),
    stderr: output.toString("utf8", end),
  };
}
