/** Credentials of a client's session for registries. */
import { codeOf } from "../../platform/errors.ts";
import { type Credentials, DOCKER_HUB, DOCKER_HUB_HOST } from "../../registry/client/credentials.ts";
import { Auth } from "../gen/moby/filesync/v1/filesync_pb.ts";
import type { Session } from "./session.ts";

/** A client that is not asked for any has none to offer. */
const none = new Set(["not-found", "unimplemented", "failed-precondition"]);

/** By a reference's domain. A secret without a name is an identity token. */
export const sessionCredentials =
  (session: Session, signal: AbortSignal) =>
  async (registry: string): Promise<Credentials | undefined> => {
    const Host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
    try {
      const { Username: username, Secret: secret } = await session.call(Auth.method.credentials, { Host }, signal);
      if (secret === "") return undefined;
      const own = username === "" ? { identityToken: secret, password: "" } : { identityToken: "", password: secret };
      return { username, registryToken: "", ...own };
    } catch (error) {
      if (none.has(codeOf(error))) return undefined;
      throw error;
    }
  };
