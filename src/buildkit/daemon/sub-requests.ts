/** What a client may ask about a Dockerfile in the place of a build: BuildKit's sub-requests, whose answers are documents (frontend/subrequests). */
import { HullError } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import { goJson, locationDocument } from "../dockerfile/location-document.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { commentOn, type Outline } from "../graph/outline.ts";
import { planOutline } from "../graph/plan-build.ts";
import type { SourceRange } from "../graph/vertex.ts";
import { checkDockerfile } from "./build-checks.ts";
import { columns } from "./columns.ts";

/** By the names that a result's metadata has: "result.json", "result.txt", "version", ... */
export type RequestAnswer = Readonly<Record<string, string>>;

const VERSION = "1.0.0";

/** By the client's name for it. */
const requests: Readonly<Record<string, (request: BuildRequest) => RequestAnswer | Promise<RequestAnswer>>> = {
  "frontend.lint": async (request) => ({ ...(await checkDockerfile(request)) }),
  "frontend.outline": async (request) => {
    const outline = await planOutline(request, parsed(request));
    return answer(outlineDocument(outline, request), outlineText(outline));
  },
  "frontend.targets": (request) => {
    const targets = targetsOf(parsed(request));
    const document = { targets: targets.map(targetDocument), sources: [request.dockerfile.data.toString("base64")] };
    return answer(document, targetsText(targets));
  },
  "frontend.subrequests.describe": () => answer(described, describedText()),
};

/** Throws unimplemented for one that nobody knows, else what planning throws. */
export async function answerRequest(name: string, request: BuildRequest): Promise<RequestAnswer> {
  if (!Object.hasOwn(requests, name)) throw new HullError("unimplemented", `unsupported request ${name}`);
  return requests[name]!(request);
}

const answer = (document: object, text: string): RequestAnswer => ({
  "result.json": goJson(document),
  "result.txt": text,
  version: VERSION,
});

const parsed = ({ dockerfile: { data, name } }: BuildRequest): Dockerfile => parseDockerfile(data, name);

/** Without what says nothing, as Go's omitempty. */
const brief = (document: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(
    Object.entries(document).filter(
      ([, value]) => value !== "" && value !== false && !(Array.isArray(value) && value.length === 0),
    ),
  );

const placed = (location: SourceRange | undefined): object =>
  location ? { location: locationDocument(location) } : {};

interface Target {
  readonly name: string;
  readonly isDefault: boolean;
  readonly description: string;
  readonly base: string;
  readonly platform: string;
  readonly location: SourceRange;
}

const targetsOf = ({ stages }: Dockerfile): readonly Target[] =>
  stages.map(({ name, from }, index) => ({
    name,
    isDefault: index === stages.length - 1,
    description: commentOn(name, from.comments),
    base: from.image,
    platform: from.platform,
    location: from.location,
  }));

const targetDocument = ({ name, isDefault, description, base, platform, location }: Target): object =>
  brief({ name, default: isDefault, description, base, platform, ...placed(location) });

function targetsText(targets: readonly Target[]): string {
  const rows = targets.map(({ name, isDefault, description }) => [
    isDefault ? `${name} (default)`.trimStart() : name,
    description,
  ]);
  return columns([["TARGET", "DESCRIPTION"], ...rows], 1);
}

function outlineDocument(outline: Outline, { dockerfile }: BuildRequest): object {
  const { name, description, args, secrets, agents } = outline;
  const need = ({ id, required, location }: Outline["secrets"][number]): object =>
    brief({ name: id, required, ...placed(location) });
  return brief({
    ...{ name, description },
    args: args.map(({ name, description, value, location }) => ({
      name,
      ...brief({ description, value, ...placed(location) }),
    })),
    secrets: secrets.map(need),
    ssh: agents.map(need),
    sources: [dockerfile.data.toString("base64")],
  });
}

function outlineText({ name, description, args, secrets, agents }: Outline): string {
  const blocks: string[] = [];
  if (name !== "" || description !== "") {
    const about = description === "" ? [] : [["DESCRIPTION:", description]];
    blocks.push(columns([["TARGET:", name || "(default)"], ...about], 1));
  }
  const values = args.map((arg) => [arg.name, arg.value, arg.description]);
  if (values.length > 0) blocks.push(columns([["BUILD ARG", "VALUE", "DESCRIPTION"], ...values], 3));
  const needs = (title: string, all: Outline["secrets"]): void => {
    if (all.length === 0) return;
    blocks.push(columns([[title, "REQUIRED"], ...all.map(({ id, required }) => [id, required ? "true" : ""])], 3));
  };
  needs("SECRET", secrets);
  needs("SSH", agents);
  return blocks.map((block) => `${block}\n`).join("");
}

const named = (name: string, description = "") => ({ name, description });

const described = [
  ["frontend.outline", "List all parameters current build target supports", [named("target", "Target build stage")]],
  ["frontend.targets", "List all targets current build supports", []],
  ["frontend.subrequests.describe", "List available subrequest types", null],
].map(([name, description, opts]) => ({
  ...{ name: String(name), version: VERSION, type: "rpc", description: String(description), opts },
  inputs: null,
  metadata: [named("result.json"), named("result.txt")],
  refs: null,
}));

const describedText = (): string =>
  columns(
    [
      ["NAME", "VERSION", "DESCRIPTION"],
      ...described.map(({ name, version, description }) => [name.replace(/^frontend\./, ""), version, description]),
    ],
    1,
  );
