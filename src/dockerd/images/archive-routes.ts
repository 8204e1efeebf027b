/** POST /images/load, GET /images/get, POST /images/create: the image routes that carry archives. */
import { HullError } from "../../platform/errors.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import { notYet } from "../system/routes.ts";
import type { LoadStep } from "./archives.ts";
import { type ImagePorts, scopeOf } from "./ports.ts";
import { withErrorsInBand } from "./progress.ts";
import { pullImages } from "./pull-routes.ts";

export async function loadImages({ archives }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const quiet = request.query.bool("quiet", true);
  const stream = response.stream(200, "application/json");
  await withErrorsInBand(stream, async () => {
    for await (const step of archives.load(request.body, platformOf(request), scopeOf(request))) {
      const line = loadLine(step, quiet);
      if (line) await stream.line(line);
    }
  });
}

/** The parameter is JSON ({"os","architecture","variant"}) for load. */
function platformOf(request: ApiRequest): string {
  const json = request.query.text("platform");
  if (json === "") return "";
  try {
    const { os = "linux", architecture = "", variant } = JSON.parse(json) as Record<string, string>;
    return [os, architecture, variant].filter((part) => part).join("/");
  } catch (error) {
    throw new HullError("invalid-argument", `failed to parse platform: ${json}`, { cause: error });
  }
}

function loadLine(step: LoadStep, quiet: boolean): object | undefined {
  if (step.kind === "loaded") {
    return { stream: step.name === "" ? `Loaded image ID: ${step.id}\n` : `Loaded image: ${step.name}\n` };
  }
  if (step.kind === "replaced") {
    return {
      stream: `The image ${step.name} already exists, renaming the old one with ID ${step.id} to empty string\n`,
    };
  }
  if (quiet || step.state === "exists" || step.state === "waiting") return undefined;
  const detail = step.state === "unpacking" ? { current: step.current, total: step.total } : {};
  return {
    status: step.state === "unpacking" ? "Loading layer" : "Load complete",
    progressDetail: detail,
    id: step.diffId.replace("sha256:", "").slice(0, 12),
  };
}

export async function saveImages({ archives }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const inPath = request.findParam("name");
  const names = [...(inPath === undefined ? [] : [inPath]), ...request.query.list("names")];
  if (names.length === 0) throw new HullError("invalid-argument", "no image to save: give names");
  const selection = archives.selection(names);
  const stream = response.stream(200, "application/x-tar");
  for await (const chunk of archives.save(selection, scopeOf(request))) await stream.write(chunk);
}

/** Pull or import, as Docker has it in one route. */
export async function startImageCreate(ports: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  if (query.text("fromImage") !== "") return pullImages(ports, request, response);
  const source = query.text("fromSrc");
  if (source !== "-") notYet(`importing from a URL (${source})`);
  const id = await ports.archives.import(
    {
      body: request.body,
      repository: query.text("repo"),
      tag: query.text("tag"),
      message: query.text("message"),
      changes: query.list("changes"),
    },
    scopeOf(request),
  );
  await response.stream(200, "application/json").line({ status: id });
}
