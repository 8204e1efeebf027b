/** `hull build` over the classic protocol: POST /build. */
import { writeFileSync } from "node:fs";
import { openContext } from "../build-context.ts";
import { buildQuery, isQuiet, refuseBuildkitFlags } from "../build-options.ts";
import type { Invocation } from "../command.ts";
import { allAuths, encodeAuth } from "../credentials/credentials.ts";
import { ExitError } from "../exit-error.ts";
import { humanSize } from "../format/units.ts";
import type { ProgressMessage } from "../pull-image.ts";
import { jsonValues, print, write } from "../streams/output.ts";
import { stdoutIsTerminal } from "../streams/terminal.ts";

/** How much is sent between two lines about it. */
const STEP_BYTES = 512 * 1024;

export async function buildClassic({ flags, operands, session }: Invocation): Promise<number> {
  refuseBuildkitFlags(flags);
  const quiet = isQuiet(flags);
  using context = await openContext({ source: operands[0]!, file: flags.text("file"), stdin: process.stdin });
  const response = await session.call({
    method: "POST",
    path: "/build",
    query: { ...buildQuery(flags, context.dockerfile), ...(context.remote !== "" && { remote: context.remote }) },
    headers: {
      "Content-Type": "application/x-tar",
      "X-Registry-Config": encodeAuth(allAuths(session.options.configDir)),
    },
    ...(context.body && { body: quiet ? context.body : told(context.body) }),
  });
  let id = "";
  const held: string[] = [];
  const failure = await show(jsonValues<ProgressMessage>(response), {
    say: (text) => (quiet ? void held.push(text) : print(text)),
    onId: (built) => {
      id = built;
    },
  });
  if (failure) {
    if (quiet) await write("stderr", held.join(""));
    throw new ExitError(failure.code || 1, failure.message);
  }
  if (quiet) await print(held.join(""));
  const file = flags.text("iidfile");
  if (file !== undefined) writeFileSync(file, id || held.join("").trim());
  return 0;
}

interface Shown {
  readonly say: (text: string) => void | Promise<void>;
  readonly onId: (id: string) => void;
}

/** Returns what the build failed of. */
async function show(
  messages: AsyncIterable<ProgressMessage>,
  { say, onId }: Shown,
): Promise<{ readonly code: number; readonly message: string } | undefined> {
  for await (const { stream, aux, errorDetail } of messages) {
    if (errorDetail) return { code: errorDetail.code ?? 0, message: errorDetail.message };
    if (typeof aux?.ID === "string") onId(aux.ID);
    if (stream !== undefined) await say(stream);
  }
  return undefined;
}

/** Says how much has been sent, as docker does: again and again on a terminal, else once. */
async function* told(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const line = (bytes: number) => `Sending build context to Docker daemon ${humanSize(bytes).padStart(8)}\r`;
  let bytes = 0;
  let saidAt = 0;
  for await (const chunk of body) {
    yield chunk;
    bytes += chunk.length;
    if (!stdoutIsTerminal() || bytes - saidAt < STEP_BYTES) continue;
    saidAt = bytes;
    await print(line(bytes));
  }
  await print(`${line(bytes)}\r\n`);
}
