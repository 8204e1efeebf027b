/** What clients ask a registry through the engine: GET /distribution/{name}/json, POST /auth. */
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { formatReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import {
  canonicalRegistry,
  credentialsFor,
  DOCKER_HUB_INDEX,
  type WireAuth,
} from "../../registry/client/credentials.ts";
import { patient } from "../containers/patient-client.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { struct, text } from "../http/shape.ts";
import { registryAuth } from "../images/registry-auth.ts";

export interface DistributionPorts {
  readonly containerd: Pick<ContainerdClient, "registries">;
}

export const distributionRoutes = (ports: DistributionPorts): readonly Route[] => [
  {
    method: "GET",
    path: "/distribution/{name}/json",
    handler: (request, response) => inspect(ports, request, response),
  },
  { method: "POST", path: "/auth", handler: (request, response) => login(ports, request, response) },
];

const scopeOf = (request: ApiRequest) => ({ signal: request.signal, parent: request.span.context });

async function inspect({ containerd }: DistributionPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const reference = withDefaultTag(parseReference(request.param("name")));
  const auth = registryAuth(request, reference.domain);
  const asked = { reference: formatReference(reference), ...(auth && { auth }) };
  const { mediaType, digest, size, platforms } = await patient(containerd).registries.inspect(
    asked,
    call(scopeOf(request)),
  );
  response.json(200, {
    Descriptor: { mediaType, digest, size: Number(size) },
    Platforms: platforms.map((platform) => {
      const [os, architecture, variant] = platform.split("/");
      return { architecture, os, ...(variant !== undefined && { variant }) };
    }),
  });
}

const authShape = struct("registry.AuthConfig", {
  username: text,
  password: text,
  auth: text,
  serveraddress: text,
  identitytoken: text,
  registrytoken: text,
});

async function login({ containerd }: DistributionPorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body: WireAuth = await request.json(authShape);
  const server = body.serveraddress || DOCKER_HUB_INDEX;
  const auth = credentialsFor(canonicalRegistry(server), body);
  const { identityToken } = await patient(containerd).registries.login(
    { server, ...(auth && { auth }) },
    call(scopeOf(request)),
  );
  response.json(200, { Status: "Login Succeeded", IdentityToken: identityToken });
}
