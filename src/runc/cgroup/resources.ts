/** `linux.resources` of the spec for whichever cgroups this machine has. */
import type { Operation } from "../../keel/plan.ts";
import type { SpecResources } from "../../oci/runtime-spec.ts";
import type { HostFacts } from "../host-facts.ts";
import { deviceOperations } from "./device-rules.ts";
import { limitsV1 } from "./limits-v1.ts";
import { limitsV2 } from "./limits-v2.ts";
import { type CgroupPlace, isV2Only } from "./place.ts";

export interface ResourceRequest {
  readonly facts: HostFacts;
  readonly place: CgroupPlace;
  /** Sentences about what was left out are added. */
  readonly warnings: string[];
  readonly document: string;
}

function limits({ facts, place, warnings, document }: ResourceRequest, resources: SpecResources): Operation[] {
  const context = { facts, place, warnings, at: document };
  return isV2Only(place) ? limitsV2(context, resources) : limitsV1(context, resources);
}

/** For a container that is being made. */
export const resourceOperations = (request: ResourceRequest, resources: SpecResources): Operation[] => [
  ...deviceOperations({ place: request.place, at: `${request.document}/devices` }, resources.devices),
  ...limits(request, resources),
];

/** For one that runs: what `resources` does not name stays; device rules only when there are some. */
export const updateResources = (request: ResourceRequest, resources: SpecResources): Operation[] => [
  ...(resources.devices.length > 0
    ? deviceOperations({ place: request.place, at: `${request.document}/devices` }, resources.devices)
    : []),
  ...limits(request, resources),
];
