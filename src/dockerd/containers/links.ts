/**
 * --link on the default bridge: names in /etc/hosts for as long as the container runs. On other networks links are names of the embedded DNS
 * (sandboxes.ts). Docker's variables for linked containers are not made: they are deprecated there.
 */
import { HullError } from "../../platform/errors.ts";
import type { ContainerRecord } from "./record.ts";
import { isActive } from "./state.ts";

/** "container[:alias]" */
export function parseLink(link: string): { readonly reference: string; readonly alias: string } {
  const [reference = "", alias = reference, ...rest] = link.split(":");
  if (reference === "" || alias === "" || rest.length > 0)
    throw new HullError("invalid-argument", `bad format for links: ${link}`);
  return { reference, alias: alias.slice(alias.lastIndexOf("/") + 1) };
}

/** Lines of /etc/hosts. Throws conflict when a linked container does not run, in Docker's words. */
export function linkLines(record: ContainerRecord, lookUp: (reference: string) => ContainerRecord): string[] {
  if (record.hostConfig.NetworkMode !== "bridge") return [];
  return (record.hostConfig.Links ?? []).map(parseLink).map(({ reference, alias }) => {
    const other = lookUp(reference);
    const address = other.sandbox.endpoints.bridge?.IPAddress ?? "";
    if (!isActive(other.state) || address === "")
      throw new HullError(
        "conflict",
        `Cannot link to a non running container: /${other.name} AS /${record.name}/${alias}`,
      );
    const names = [alias, other.config.Hostname, ...(other.name === alias ? [] : [other.name])];
    return `${address}\t${names.join(" ")}`;
  });
}
