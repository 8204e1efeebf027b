/** containerd.services.images.v1 */
import type { ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { Collector } from "../collector.ts";
import type { Images } from "../gen/containerd/services/images/v1/images_pb.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { ImageRecord } from "../store/images.ts";
import type { Stores } from "../stores.ts";
import { namespaceOf } from "./call.ts";
import { checkMask, fromWireDescriptor, masked, maskedLabels, toTimestamp, toWireDescriptor } from "./convert.ts";

export function imagesService(stores: Stores, collector: Collector): ServiceImpl<typeof Images> {
  const { images } = stores;
  return {
    get: ({ name }, context) => ({ image: toWire(images.get(namespaceOf(context), name)) }),
    list: ({ filters }, context) => {
      const matches = parseFilters(filters);
      const found = images.list(namespaceOf(context)).filter((image) => matches(fieldsOfImage(image)));
      return { images: found.map(toWire) };
    },
    create: ({ image }, context) => {
      const namespace = namespaceOf(context);
      stores.namespaces.ensure(namespace);
      const target = fromWireDescriptor(image?.target, "image.target");
      return { image: toWire(images.create(namespace, { name: image!.name, labels: image!.labels, target })) };
    },
    update: ({ image, updateMask }, context) => {
      if (image === undefined) throw new HullError("invalid-argument", "image is missing");
      const namespace = namespaceOf(context);
      const paths = updateMask?.paths;
      checkMask(paths, ["labels", "target"], `image "${image.name}"`);
      const before = images.get(namespace, image.name);
      const labels = maskedLabels(before.labels, image.labels, paths);
      const target = masked(paths, "target") ? fromWireDescriptor(image.target, "image.target") : before.target;
      collector.schedule();
      return { image: toWire(images.update(namespace, image.name, { labels, target })) };
    },
    delete: async ({ name, sync, target }, context) => {
      const namespace = namespaceOf(context);
      const image = images.get(namespace, name);
      if (target !== undefined && target.digest !== image.target.digest) {
        throw new HullError("not-found", `image ${name} has another target: not found`);
      }
      images.delete(namespace, name);
      if (sync) await collector.collect();
      else collector.schedule();
      return {};
    },
  };
}

const toWire = (image: ImageRecord) => ({
  name: image.name,
  labels: { ...image.labels },
  target: toWireDescriptor(image.target),
  createdAt: toTimestamp(image.createdAt),
  updatedAt: toTimestamp(image.updatedAt),
});

const fieldsOfImage = ({ name, labels, target }: ImageRecord) =>
  fieldsOf({ name, labels, target: { digest: target.digest, mediatype: target.mediaType } });
