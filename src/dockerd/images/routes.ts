/** /images */
import { HullError } from "../../platform/errors.ts";
import { parseFilters } from "../http/filters.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Handler, Route } from "../http/route.ts";
import { loadImages, saveImages, startImageCreate } from "./archive-routes.ts";
import { formatHistory, formatInspect, formatSummary, sharedBytes } from "./format.ts";
import { filterImages, listFilterNames } from "./list-filters.ts";
import { type ImagePorts, scopeOf } from "./ports.ts";
import { pushImages } from "./push-routes.ts";
import { searchImages } from "./search-routes.ts";
import { pruneImages, removeImage, tagImage } from "./tagging.ts";

type Answer = (ports: ImagePorts, request: ApiRequest, response: ApiResponse) => void | Promise<void>;

export function imageRoutes(ports: ImagePorts): readonly Route[] {
  const to =
    (answer: Answer): Handler =>
    (request, response) =>
      answer(ports, request, response);
  return [
    { method: "GET", path: "/images/json", handler: to(list) },
    { method: "GET", path: "/images/search", handler: to(searchImages) },
    { method: "GET", path: "/images/get", handler: to(saveImages) },
    { method: "GET", path: "/images/{name}/get", handler: to(saveImages) },
    { method: "GET", path: "/images/{name}/json", handler: to(inspect) },
    { method: "GET", path: "/images/{name}/history", handler: to(history) },
    { method: "POST", path: "/images/load", handler: to(loadImages) },
    { method: "POST", path: "/images/create", handler: to(startImageCreate) },
    { method: "POST", path: "/images/prune", since: "1.25", handler: to(prune) },
    { method: "POST", path: "/images/{name}/tag", handler: to(tag) },
    { method: "POST", path: "/images/{name}/push", handler: to(pushImages) },
    { method: "DELETE", path: "/images/{name}", handler: to(remove) },
  ];
}

function list({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): void {
  const filters = parseFilters(request.query.text("filters"), listFilterNames);
  const { catalog } = images;
  const withShared = request.query.bool("shared-size");
  const countsUsers = request.atLeast("1.51");
  const rows = filterImages(catalog, filters).map((image) =>
    formatSummary(image, {
      containers: countsUsers ? images.parts.users(image.id).length : -1,
      sharedBytes: withShared ? sharedBytes(image, catalog) : -1,
    }),
  );
  response.json(200, rows);
}

async function inspect(ports: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const image = ports.images.get(request.param("name"));
  response.json(200, formatInspect(image, await ports.graphDriver(image), request.version));
}

function history({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): void {
  response.json(200, formatHistory(images.get(request.param("name"))));
}

async function tag({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  const wanted = { source: request.param("name"), repository: query.text("repo"), tag: query.text("tag") };
  await tagImage(images, wanted, scopeOf(request));
  response.empty(201);
}

async function remove({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const text = request.param("name");
  if (text.trim() === "") throw new HullError("invalid-argument", "image name cannot be blank");
  response.json(200, await removeImage(images, { text, force: request.query.bool("force") }, scopeOf(request)));
}

async function prune({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = parseFilters(request.query.text("filters"), ["dangling", "label", "label!", "until"]);
  response.json(200, await pruneImages(images, filters, scopeOf(request)));
}
