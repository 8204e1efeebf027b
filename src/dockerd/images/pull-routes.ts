/** POST /images/create?fromImage=: pulls of one name or of all tags of a repository, in dockerd's lines. */
import { call } from "../../containerd/client.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../../oci/platform.ts";
import {
  familiarReference,
  familiarRepository,
  formatReference,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import { patient, patientStream } from "../containers/patient-client.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { ResponseStream } from "../http/response-stream.ts";
import { type ImagePorts, scopeOf } from "./ports.ts";
import { withErrorsInBand } from "./progress.ts";
import { registryAuth } from "./registry-auth.ts";
import { announceTransfer, type LayerWords, layerLine } from "./transfer-lines.ts";

export async function pullImages(ports: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const reference = wantedReference(request.query.text("fromImage"), request.query.text("tag"));
  const platform = platformOf(request.query.text("platform"));
  const wholeRepository = reference.tag === undefined && reference.digest === undefined;
  const lines = new PullLines(response);
  await lines.inBand(async () => {
    const names = wholeRepository ? await everyTag(ports, request, reference) : [reference];
    for (const name of names) await pullOne(ports, request, { reference: name, platform, lines });
  });
}

/** A digest may stand in the tag's place; neither means all tags. */
function wantedReference(fromImage: string, tag: string): Reference {
  const name = fromImage.replace(/:$/, "");
  if (tag === "") return parseReference(name);
  return parseReference(tag.includes(":") ? `${name}@${tag}` : `${name}:${tag}`);
}

function platformOf(text: string): string {
  if (text === "") return "";
  const platform = formatPlatform(parsePlatform(text));
  return platform === formatPlatform(hostPlatform()) ? "" : platform;
}

async function everyTag({ images }: ImagePorts, request: ApiRequest, reference: Reference): Promise<Reference[]> {
  const auth = registryAuth(request, reference.domain);
  const repository = repositoryOf(reference);
  const { tags } = await patient(images.parts.containerd).registries.tags(
    { repository, ...(auth && { auth }) },
    call(scopeOf(request)),
  );
  if (tags.length === 0) throw new HullError("not-found", `repository ${familiarRepository(reference)} has no tags`);
  return tags.map((tag) => ({ domain: reference.domain, path: reference.path, tag }));
}

/** The answer begins with its first line; until then a failure has a status of its own. */
class PullLines {
  #stream: ResponseStream | undefined;

  constructor(private readonly response: ApiResponse) {}

  line(value: object): Promise<void> {
    this.#stream ??= this.response.stream(200, "application/json");
    return this.#stream.line(value);
  }

  async inBand(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (this.#stream === undefined) throw error;
      await withErrorsInBand(this.#stream, () => Promise.reject(error));
    }
  }
}

interface OnePull {
  readonly reference: Reference;
  readonly platform: string;
  readonly lines: PullLines;
}

async function pullOne(
  { images }: ImagePorts,
  request: ApiRequest,
  { reference, platform, lines }: OnePull,
): Promise<void> {
  const auth = registryAuth(request, reference.domain);
  const { registries } = images.parts.containerd;
  const named = withDefaultTag(reference);
  const wanted = { reference: formatReference(named), platform, ...(auth && { auth }) };
  const steps = patientStream(() => registries.pull(wanted, call(scopeOf(request))));
  for await (const { step } of steps) {
    if (step.case === "resolved")
      await lines.line({ status: `Pulling from ${named.path}`, id: named.digest ?? named.tag });
    else if (step.case === "layer") await lines.line(layerLine(step.value, words));
    else if (step.case === "notice") await lines.line({ status: step.value });
    else if (step.case === "pulled") {
      const { digest, changed } = step.value;
      await images.reload();
      announceTransfer(images, "pull", named);
      await lines.line({ status: `Digest: ${digest}` });
      const what = changed ? "Downloaded newer image for" : "Image is up to date for";
      await lines.line({ status: `Status: ${what} ${familiarReference(named)}` });
    }
  }
}

const words: LayerWords = {
  bars: { downloading: "Downloading", extracting: "Extracting" },
  plain: {
    pulling: "Pulling fs layer",
    waiting: "Waiting",
    verifying: "Verifying Checksum",
    downloaded: "Download complete",
    pulled: "Pull complete",
    exists: "Already exists",
  },
};
