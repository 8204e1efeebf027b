/** What the image operations work with. */
import type { Collector } from "../collector.ts";
import type { Kernel } from "../kernel.ts";
import type { Stores } from "../stores.ts";
import type { ImageReader } from "./image-details.ts";
import type { LayerStore } from "./layer-store.ts";

export interface ImageTools {
  readonly stores: Stores;
  readonly reader: ImageReader;
  readonly layers: LayerStore;
  readonly collector: Collector;
  readonly kernel: Kernel;
  /** Directory for files on their way into the content store. */
  readonly scratch: string;
}
