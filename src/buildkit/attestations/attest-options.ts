/** What is to be said of a result: the options "attest:provenance" and "attest:sbom" of the frontend. Pure. */
import { HullError } from "../../platform/errors.ts";

export interface ProvenanceOptions {
  readonly mode: "min" | "max";
  /** Of the SLSA specification. */
  readonly version: "v0.2" | "v1";
  readonly builderId: string;
  readonly reproducible: boolean;
  /** Kept in the history alone: the image has none. */
  readonly inlineOnly: boolean;
}

export interface AttestOptions {
  readonly provenance: ProvenanceOptions | undefined;
  readonly sbom: boolean;
}

const bad = (what: string): HullError => new HullError("invalid-argument", what);

/** Throws invalid-argument for a value that cannot be, unimplemented for a scanner that is an image. */
export function parseAttestOptions(attributes: Readonly<Record<string, string>>): AttestOptions {
  const asked = new Map(
    Object.entries(attributes).flatMap(([name, value]) => {
      const type = /^(?:attest:|build-arg:BUILDKIT_ATTEST_)(.*)$/.exec(name)?.[1];
      return type === undefined ? [] : [[type.toLowerCase(), value]];
    }),
  );
  const other = [...asked.keys()].find((type) => type !== "provenance" && type !== "sbom");
  if (other !== undefined) throw bad(`unknown attestation type ${JSON.stringify(other)}: use provenance or sbom`);
  const [provenance, sbom] = [asked.get("provenance"), asked.get("sbom")];
  return {
    provenance: provenance === undefined ? undefined : provenanceOptions(provenance),
    sbom: sbom !== undefined && wantsSbom(sbom),
  };
}

const fieldsOf = (text: string): Map<string, string> =>
  new Map(
    text
      .split(",")
      .filter((field) => field !== "")
      .map((field) => {
        const equals = field.indexOf("=");
        return equals < 0 ? [field, "true"] : [field.slice(0, equals), field.slice(equals + 1)];
      }),
  );

function booleanOf(fields: ReadonlyMap<string, string>, name: string): boolean {
  const text = fields.get(name) ?? "false";
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw bad(`invalid value ${JSON.stringify(text)} for ${name} of an attestation: want a boolean`);
}

export const maximal: ProvenanceOptions = {
  ...{ mode: "max", version: "v0.2", builderId: "", reproducible: false, inlineOnly: true },
};

const known = ["mode", "version", "builder-id", "reproducible", "inline-only", "disabled", "filename", "type"];

function provenanceOptions(text: string): ProvenanceOptions | undefined {
  const fields = fieldsOf(text);
  if (booleanOf(fields, "disabled")) return undefined;
  const unknown = [...fields.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw bad(`unknown option ${JSON.stringify(unknown)} of provenance: use mode, version, builder-id, reproducible`);
  const [mode, version] = [fields.get("mode") ?? "max", fields.get("version") ?? "v0.2"];
  if (mode !== "min" && mode !== "max" && mode !== "full")
    throw bad(`invalid provenance mode ${JSON.stringify(mode)}: use min or max`);
  if (version !== "v0.2" && version !== "v1")
    throw bad(`invalid provenance SLSA version ${JSON.stringify(version)}: use v0.2 or v1`);
  return {
    mode: mode === "min" ? "min" : "max",
    version,
    builderId: fields.get("builder-id") ?? "",
    reproducible: booleanOf(fields, "reproducible"),
    inlineOnly: booleanOf(fields, "inline-only"),
  };
}

function wantsSbom(text: string): boolean {
  const fields = fieldsOf(text);
  if (booleanOf(fields, "disabled")) return false;
  const generator = fields.get("generator") ?? "";
  if (generator !== "")
    throw new HullError(
      "unimplemented",
      `SBOM generator ${JSON.stringify(generator)}: scanners that are images are not run; leave generator out for the builder's own scanner`,
    );
  return true;
}
