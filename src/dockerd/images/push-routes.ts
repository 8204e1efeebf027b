/** POST /images/{name}/push: one tag or all of a repository's, in dockerd's lines. */
import { call } from "../../containerd/client.ts";
import {
  familiarRepository,
  formatReference,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import { patientStream } from "../containers/patient-client.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { ResponseStream } from "../http/response-stream.ts";
import { type ImagePorts, scopeOf } from "./ports.ts";
import { withErrorsInBand } from "./progress.ts";
import { registryAuth } from "./registry-auth.ts";
import { announceTransfer, type LayerWords, layerLine } from "./transfer-lines.ts";

export async function pushImages(ports: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const repository = parseReference(request.param("name"));
  if (repository.digest !== undefined) throw new HullError("invalid-argument", "cannot push a digest reference");
  const tag = request.query.text("tag") || repository.tag;
  const stream = response.stream(200, "application/json");
  await stream.line({ status: `The push refers to repository [${repositoryOf(repository)}]` });
  await withErrorsInBand(stream, async () => {
    for (const reference of localNames(ports, repository, tag)) await pushOne(ports, request, { reference, stream });
  });
}

function localNames({ images }: ImagePorts, { domain, path }: Reference, tag: string | undefined): Reference[] {
  const records = [...images.catalog.byName.values()].flatMap((image) => image.records);
  const named = records.flatMap(({ reference }) =>
    reference?.domain === domain &&
    reference.path === path &&
    reference.tag !== undefined &&
    reference.digest === undefined
      ? [reference]
      : [],
  );
  const unique = [...new Map(named.map((reference) => [reference.tag, reference])).values()];
  const wanted = tag === undefined ? unique : unique.filter((reference) => reference.tag === tag);
  if (wanted.length > 0) return wanted;
  const shown = familiarRepository({ domain, path });
  const words =
    tag === undefined
      ? `An image does not exist locally with the tag: ${shown}`
      : `tag does not exist: ${shown}:${tag}`;
  if (tag !== undefined && unique.length === 0)
    throw new HullError("not-found", `An image does not exist locally with the tag: ${shown}`);
  throw new HullError("not-found", words);
}

interface OnePush {
  readonly reference: Reference;
  readonly stream: ResponseStream;
}

async function pushOne({ images }: ImagePorts, request: ApiRequest, { reference, stream }: OnePush): Promise<void> {
  const auth = registryAuth(request, reference.domain);
  const named = withDefaultTag(reference);
  const wanted = { reference: formatReference(named), ...(auth && { auth }) };
  const { registries } = images.parts.containerd;
  const steps = patientStream(() => registries.push(wanted, call(scopeOf(request))));
  for await (const { step } of steps) {
    if (step.case === "layer") await stream.line(layerLine(step.value, words));
    if (step.case !== "pushed") continue;
    const { digest, size } = step.value;
    await images.reload();
    announceTransfer(images, "push", named);
    await stream.line({ status: `${named.tag}: digest: ${digest} size: ${size}` });
    await stream.line({ progressDetail: {}, aux: { Tag: named.tag, Digest: digest, Size: Number(size) } });
  }
}

const words: LayerWords = {
  bars: { pushing: "Pushing" },
  plain: {
    preparing: "Preparing",
    waiting: "Waiting",
    pushed: "Pushed",
    exists: "Layer already exists",
    skipped: "Skipped foreign layer",
  },
};
