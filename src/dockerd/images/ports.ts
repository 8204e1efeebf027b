/** What the image routes work with. */
import type { ApiRequest } from "../http/request.ts";
import type { ImageArchives, Scope } from "./archives.ts";
import type { Image } from "./catalog.ts";
import type { GraphDriver } from "./format.ts";
import type { Images } from "./service.ts";

export interface ImagePorts {
  readonly images: Images;
  readonly archives: ImageArchives;
  /** Where an image's layers are; never waits long. */
  readonly graphDriver: (image: Image) => Promise<GraphDriver>;
}

export const scopeOf = (request: ApiRequest): Scope => ({ signal: request.signal, parent: request.span.context });
