/** POST /containers/create with what surrounds it: the id file, and the image pulled when it is missing. */
import { builtins } from "../../platform/builtins.ts";
import { HullError } from "../../platform/errors.ts";
import type { FlagValues } from "../flags.ts";
import { pullImage } from "../pull-image.ts";
import type { Session } from "../session.ts";
import { warn } from "../streams/output.ts";
import { type CreateBody, type CreateRequest, createRequest } from "./create-body.ts";

export interface CreateInput {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  readonly detached: boolean;
  /** See HttpRequest. */
  readonly ahead?: number;
}

export interface Created {
  readonly id: string;
  readonly body: CreateBody;
}

export async function createContainer(session: Session, input: CreateInput): Promise<Created> {
  const { flags, operands, detached, ahead = 0 } = input;
  const request = createRequest(flags, operands, detached);
  const idFile = flags.text("cidfile");
  if (idFile !== undefined && builtins.fs.existsSync(idFile)) {
    throw new HullError(
      "already-exists",
      `container ID file found, make sure the other container isn't running or delete ${idFile}`,
    );
  }
  const pull = pullPolicy(flags.text("pull"));
  const quiet = flags.bool("quiet");
  if (pull === "always") await pullImage(session, request.body.Image, { platform: request.platform, quiet });
  const created = await createOrPull(session, request, { pull, quiet, ahead });
  for (const warning of created.Warnings ?? []) await warn(`WARNING: ${warning}`);
  if (idFile !== undefined) builtins.fs.writeFileSync(idFile, created.Id);
  return { id: created.Id, body: request.body };
}

function pullPolicy(text = "missing"): "always" | "missing" | "never" {
  if (text === "always" || text === "missing" || text === "never") return text;
  throw new HullError(
    "invalid-argument",
    `invalid pull option: '${text}': must be one of "always", "missing" or "never"`,
  );
}

interface CreateAnswer {
  readonly Id: string;
  readonly Warnings?: readonly string[] | null;
}

async function createOrPull(
  session: Session,
  request: CreateRequest,
  options: { readonly pull: "always" | "missing" | "never"; readonly quiet: boolean; readonly ahead: number },
): Promise<CreateAnswer> {
  const { body, name, platform } = request;
  const { ahead } = options;
  const create = () =>
    session.json<CreateAnswer>({ method: "POST", path: "/containers/create", query: { name, platform }, body, ahead });
  try {
    return await create();
  } catch (error) {
    const missing = error instanceof HullError && error.code === "not-found" && /No such image/.test(error.message);
    if (!missing || options.pull !== "missing") throw error;
    if (!options.quiet) await warn(`Unable to find image '${withTag(body.Image)}' locally`);
    await pullImage(session, body.Image, { platform, quiet: options.quiet, toStderr: true });
    return create();
  }
}

const withTag = (image: string): string => (/[:@][^/]*$/.test(image) ? image : `${image}:latest`);
