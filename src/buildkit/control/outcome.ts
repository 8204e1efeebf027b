/** What the history keeps of a build's result: where it is, and what is attested of it. */
import { maximal } from "../attestations/attest-options.ts";
import { provenanceOf } from "../attestations/provenance.ts";
import { type Predicate, predicateTypes } from "../attestations/statement.ts";
import type { BuiltImage } from "../build.ts";
import type { BuildOutcome } from "../history/recording.ts";
import type { ExporterAnswer } from "./exporters.ts";

export interface OutcomeFacts {
  readonly images: readonly BuiltImage[];
  readonly multiPlatform: boolean;
  readonly predicates: ReadonlyMap<BuiltImage, readonly Predicate[]>;
  /** By the exporter's index. */
  readonly answers: readonly ExporterAnswer[];
}

/** Provenance is kept of every build, whatever its image has. */
export function outcomeOf({ images, multiPlatform, predicates, answers }: OutcomeFacts): BuildOutcome {
  const attested = images.flatMap((image) => {
    const { origin, platform } = image;
    const lists = (predicates.get(image) ?? []).filter(({ type }) => type === predicateTypes.spdx);
    return [
      ...(origin
        ? [{ platform, predicateType: predicateTypes.provenance02, text: () => textOf(provenanceOf(origin, maximal)) }]
        : []),
      ...lists.map((predicate) => ({ platform, predicateType: predicate.type, text: () => textOf(predicate) })),
    ];
  });
  const targets = answers.flatMap((answer, index) => {
    const text = answer["containerimage.descriptor"];
    return text === undefined ? [] : [[index, JSON.parse(Buffer.from(text, "base64").toString())] as const];
  });
  return { multiPlatform, attested, targets: new Map(targets) };
}

const textOf = ({ value }: Predicate): string => JSON.stringify(value);
