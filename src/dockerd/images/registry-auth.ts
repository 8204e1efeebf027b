/** X-Registry-Auth: credentials of a client for one registry. They are passed on and kept nowhere. */
import { credentialsFor, decodeWireAuth } from "../../registry/client/credentials.ts";
import type { ApiRequest } from "../http/request.ts";

/** In the form of hull-containerd's API; undefined: nobody in particular. */
export const registryAuth = (request: ApiRequest, registry: string) =>
  credentialsFor(registry, decodeWireAuth(request.headers.get("x-registry-auth")));
