/** POST /images/create and its progress. */
import { HullError } from "../platform/errors.ts";
import type { Session } from "./session.ts";
import { jsonValues, write } from "./streams/output.ts";

export interface ProgressMessage {
  readonly status?: string;
  readonly stream?: string;
  readonly id?: string;
  readonly progress?: string;
  readonly errorDetail?: { readonly message: string; readonly code?: number };
  readonly aux?: Readonly<Record<string, unknown>>;
}

export interface PullOptions {
  /** Every tag of the repository. */
  readonly allTags?: boolean;
  readonly platform?: string | undefined;
  readonly quiet?: boolean;
  /** run and create print the progress to stderr: stdout is the container's. */
  readonly toStderr?: boolean;
}

/** Splits "name[:tag|@digest]" where the last colon after the last slash is a tag. */
export function splitReference(image: string): { fromImage: string; tag: string } {
  const digest = image.indexOf("@");
  if (digest >= 0) return { fromImage: image.slice(0, digest), tag: image.slice(digest + 1) };
  const colon = image.lastIndexOf(":");
  if (colon > image.lastIndexOf("/")) return { fromImage: image.slice(0, colon), tag: image.slice(colon + 1) };
  return { fromImage: image, tag: "latest" };
}

export async function pullImage(session: Session, image: string, options: PullOptions = {}): Promise<void> {
  // Of no use to a command that finds its image (docs/decisions/0003-what-a-command-loads.md).
  const [{ authHeaders }, { parseReference }] = await Promise.all([
    import("./credentials/credentials.ts"),
    import("../oci/reference.ts"),
  ]);
  const response = await session.call({
    method: "POST",
    path: "/images/create",
    query: { ...(options.allTags ? { fromImage: image, tag: "" } : splitReference(image)), platform: options.platform },
    headers: authHeaders(session.options.configDir, parseReference(image).domain),
  });
  const target = options.toStderr ? "stderr" : "stdout";
  for await (const message of jsonValues<ProgressMessage>(response)) {
    if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
    if (!options.quiet) await write(target, formatProgress(message));
  }
}

/** One line as docker prints it when its output is no terminal. */
export function formatProgress(message: ProgressMessage): string {
  if (message.stream !== undefined) return message.stream;
  if (message.status === undefined) return "";
  const id = message.id === undefined || message.id === "" ? "" : `${message.id}: `;
  return `${id}${message.status}${message.progress ? ` ${message.progress}` : ""}\n`;
}
