/** `hull build` over BuildKit's protocol. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { isTerminal } from "../../platform/standard-output.ts";
import { isQuiet } from "../build-options.ts";
import type { Invocation } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { printLine, write } from "../streams/output.ts";
import { parseCall, tellCall } from "./call.ts";
import { contextReport, LARGE_BYTES, leftOutReport } from "./context-report.ts";
import { failureReport, warningsReport } from "./failure-report.ts";
import { ignoredBy, lookAhead } from "./look-ahead.ts";
import { nodeId, sharedKey } from "./node-id.ts";
import { parseOutputs } from "./outputs.ts";
import type { Display } from "./progress/display.ts";
import { PlainDisplay } from "./progress/plain.ts";
import { RawJsonDisplay } from "./progress/raw-json.ts";
import { TtyDisplay } from "./progress/tty.ts";
import { type Attributes, entitlementsOf, frontendAttributes, refuseAbsent } from "./request.ts";
import { type BuildAnswer, newRef, runBuild } from "./run-build.ts";
import { parseAgents, parseSecrets } from "./secret-flags.ts";
import type { SessionContents } from "./session-services.ts";
import { type BuildSource, type NamedContext, openSource } from "./source.ts";
import { type ListedFile, Listings } from "./tree-walk.ts";

export async function buildWithBuildkit({ flags, operands, session }: Invocation): Promise<number> {
  refuseAbsent(flags);
  const call = parseCall(flags);
  const outputs = call ? [] : parseOutputs(flags);
  const entitlements = entitlementsOf(flags);
  const [secrets, agents] = [parseSecrets(flags.list("secret")), parseAgents(flags.list("ssh"))];
  using source = await openSource({
    source: operands[0]!,
    file: flags.text("file"),
    namedContexts: flags.list("build-context"),
    stdin: () => process.stdin,
  });
  const { configDir: configDirectory } = session.options;
  const node = nodeId(configDirectory);
  const directories = directoriesOf(source);
  const display = displayFor(flags.text("progress"), isQuiet(flags));
  const over = new AbortController();
  const listed: ListedFile[] = [];
  const onListed = (directory: string, file: ListedFile): void => {
    if (directory !== "context") return;
    over.abort(); // The daemon has said what it wants.
    listed.push(file);
  };
  const onAsked = async (directory: string): Promise<void> => {
    if (directory === "context") await display.say(largeContext(listed));
  };
  const isLocal = session.address.endpoint.kind === "unix";
  const [ref, startMs] = [newRef(), performance.timeOrigin + performance.now()];
  const explain = () => explained(flags, session, ref);
  const building = runBuild({
    ref,
    traceparent: session.traceparent,
    address: session.address,
    attributes: {
      ...frontendAttributes(flags, source.dockerfile),
      ...contextAttributes(source, node),
      ...(call && { requestid: `frontend.${call.name}` }),
    },
    exporters: outputs.map(({ exporter }) => exporter),
    entitlements,
    contents: {
      ...{ directories, secrets, agents, configDirectory, isLocal, onListed, onAsked },
      ...{ sent: sentContext(source), layouts: layoutsOf(source) },
      destination: outputs.find((one) => one.destination !== undefined)?.destination,
    },
    sharedKey: sharedKey(node, textOf(source.context)),
    display,
  });
  building.catch(() => undefined); // Awaited below.
  await lookAtContext(directories, source, over.signal);
  const answer = await building.catch(async (error: unknown) => {
    session.span("build", startMs, { build: ref });
    await tellWarnings(flags, display);
    if (error instanceof HullError && error.facts.status !== undefined) throw error; // The engine's refusal, not the build's.
    await explain();
    throw new ExitError(1, failureReport(error, display.trace));
  });
  session.span("build", startMs, { build: ref });
  if (!call) await tellWarnings(flags, display);
  if (call) return tellCall({ call, facts: answer.facts, file: shownDockerfile(flags, operands[0]!) });
  await explain();
  if (flags.bool("explain-context")) await explainContext(source, directories, listed);
  await tellAnswer({ flags, answer });
  return 0;
}

/** "" for one that is not large. */
function largeContext(listed: readonly ListedFile[]): string {
  const bytes = listed.reduce((sum, { size }) => sum + size, 0);
  return bytes < LARGE_BYTES ? "" : `This build sends a large context.\n${contextReport(listed)}`;
}

async function explainContext(
  { context, dockerfileDirectory, dockerfile }: BuildSource,
  directories: ReadonlyMap<string, Listings>,
  listed: readonly ListedFile[],
): Promise<void> {
  if (context.kind !== "directory") return;
  const place = { context: context.path, dockerfileDirectory: dockerfileDirectory ?? context.path, dockerfile };
  const leftOut = leftOutReport(directories.get("context")!, ignoredBy(place), listed);
  await write("stderr", `${contextReport(listed)}${leftOut}`);
}

async function explained(flags: Invocation["flags"], session: Invocation["session"], ref: string): Promise<void> {
  if (!flags.bool("explain-cache")) return;
  const { explainCache } = await import("../builds/explain-cache.ts");
  await explainCache(session, ref);
}

/** As buildx calls it: below the context as that was given, or as --file has it. */
const shownDockerfile = (flags: Invocation["flags"], context: string): string =>
  flags.text("file") ?? (context === "-" ? "Dockerfile" : join(context, "Dockerfile"));

/** What goes wrong shows when the files are asked for. */
async function lookAtContext(
  directories: ReadonlyMap<string, Listings>,
  { context, dockerfileDirectory, dockerfile }: BuildSource,
  signal: AbortSignal,
): Promise<void> {
  const main = directories.get("context");
  if (!main || context.kind !== "directory" || dockerfileDirectory === undefined) return;
  const source = { context: context.path, dockerfileDirectory, dockerfile };
  await lookAhead(main, source, signal).catch(() => undefined);
}

/** Named contexts do not stand in for the build's own directories. */
const localName = (name: string): string => (name === "context" || name === "dockerfile" ? `_${name}` : name);

function directoriesOf({ context, dockerfileDirectory, named }: BuildSource): Map<string, Listings> {
  const directories = new Map<string, Listings>();
  const path = context.kind === "directory" ? context.path : undefined;
  if (path !== undefined) directories.set("context", new Listings(path));
  if (dockerfileDirectory !== undefined) {
    const main = directories.get("context");
    directories.set("dockerfile", main && dockerfileDirectory === path ? main : new Listings(dockerfileDirectory));
  }
  for (const [name, given] of named)
    if (given.kind === "directory") directories.set(localName(name), new Listings(given.path));
  return directories;
}

function namedValue(name: string, given: NamedContext): string {
  if (given.kind === "directory") return `local:${localName(name)}`;
  return given.kind === "layout" ? given.layout.reference : given.text;
}

const layoutsOf = ({ named }: BuildSource): SessionContents["layouts"] =>
  new Map(
    [...named.values()].flatMap((given) => (given.kind === "layout" ? [[given.layout.id, given.layout.path]] : [])),
  );

/** What tells builds of one client apart. */
function textOf(context: BuildSource["context"]): string {
  if (context.kind === "directory") return context.path;
  return context.kind === "remote" ? context.url : "";
}

const sentContext = ({ context }: BuildSource): SessionContents["sent"] =>
  new Map(context.kind === "sent" ? [[context.id, context.body]] : []);

/** Keys are of whole paths: directories of the same name are not mixed. */
function contextAttributes({ context, dockerfileDirectory, named }: BuildSource, node: string): Attributes {
  const attributes: Record<string, string> =
    context.kind === "directory"
      ? {
          "sharedkey:localdir:context": sharedKey(node, context.path),
          // What a history calls the build by.
          "vcs:localdir:context": context.path,
        }
      : { context: context.kind === "remote" ? context.url : `http://buildkit-session/${context.id}` };
  if (context.kind !== "directory" && dockerfileDirectory !== undefined) attributes.dockerfilekey = "dockerfile";
  for (const [name, given] of named) {
    attributes[`context:${name}`] = namedValue(name, given);
    if (given.kind === "directory") attributes[`sharedkey:localdir:${localName(name)}`] = sharedKey(node, given.path);
  }
  return attributes;
}

function displayFor(asked: string | undefined, isQuietBuild: boolean): Display {
  const toStderr = (text: string) => write("stderr", text);
  const kind = asked ?? process.env.BUILDKIT_PROGRESS ?? "auto";
  if (isQuietBuild || kind === "quiet") return new PlainDisplay(async () => {});
  if (kind === "rawjson") return new RawJsonDisplay(toStderr);
  if (kind === "tty" && !isTerminal("stderr"))
    throw new HullError("invalid-argument", "failed to get console: provided file is not a console");
  if (kind === "plain" || !isTerminal("stderr")) return new PlainDisplay(toStderr);
  return new TtyDisplay({
    write: toStderr,
    size: () => ({ rows: process.stderr.rows ?? 0, columns: process.stderr.columns ?? 0 }),
    place: "docker:default",
    colors: (process.env.NO_COLOR ?? "") === "",
  });
}

/** Where they would not stand between other things. */
async function tellWarnings(flags: Invocation["flags"], { trace }: Display): Promise<void> {
  if (isQuiet(flags) || flags.text("progress") === "rawjson") return;
  await write("stderr", warningsReport(trace, flags.bool("debug")));
}

interface Told {
  readonly flags: Invocation["flags"];
  readonly answer: BuildAnswer;
}

async function tellAnswer({ flags, answer: { facts, ref } }: Told): Promise<void> {
  const id = facts["containerimage.config.digest"] ?? facts["containerimage.digest"] ?? "";
  const idFile = flags.text("iidfile");
  if (idFile !== undefined) writeFileSync(idFile, id);
  const metadataFile = flags.text("metadata-file");
  const metadata = Object.fromEntries(
    Object.entries({ ...facts, "buildx.build.ref": `default/default/${ref}` })
      .map(([name, value]) => [name, decoded(value)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  if (metadataFile !== undefined) writeFileSync(metadataFile, JSON.stringify(metadata, undefined, 2));
  if (isQuiet(flags) && id !== "") await printLine(id);
}

/** JSON in base64, as some values are. */
function decoded(value: string): unknown {
  if (!/^[A-Za-z0-9+/]{8,}={0,2}$/.test(value)) return value;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, "base64").toString());
    return typeof parsed === "object" ? parsed : value;
  } catch {
    return value;
  }
}
