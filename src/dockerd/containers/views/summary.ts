/** One row of GET /containers/json. Pure. */
import type { PortMap } from "../config.ts";
import { attachments, type ContainerRecord } from "../record.ts";
import { mountJson } from "./inspect.ts";
import { statusText } from "./status-text.ts";

export interface SummaryFacts {
  readonly nowMs: number;
  /** As to be shown: the name it was created with, or the id when that name means another image now. */
  readonly imageName: string;
  readonly size: { readonly rw: number; readonly rootFs: number } | undefined;
}

export function summary(record: ContainerRecord, facts: SummaryFacts): object {
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: facts.imageName,
    ImageID: record.imageId,
    Command: commandText(record),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: portsOf(record.sandbox.ports),
    ...(facts.size && { SizeRw: facts.size.rw, SizeRootFs: facts.size.rootFs }),
    Labels: record.config.Labels,
    State: record.state.kind,
    Status: statusText(record.state, record.health, facts.nowMs),
    HostConfig: {
      NetworkMode: record.hostConfig.NetworkMode,
      ...(record.hostConfig.Annotations && { Annotations: record.hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: attachments(record) },
    Mounts: record.mounts.map(mountJson),
  };
}

/** The first words as a shell would need them. */
export function commandText({ path, args }: ContainerRecord): string {
  const quoted = args.map((arg) => (/[\s"']/.test(arg) || arg === "" ? `'${arg.replaceAll("'", `'\\''`)}'` : arg));
  return [path, ...quoted].join(" ");
}

interface PortRow {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

export function portsOf(ports: PortMap): PortRow[] {
  return Object.entries(ports).flatMap(([key, bindings]): PortRow[] => {
    const [port = "0", type = "tcp"] = key.split("/");
    const base = { PrivatePort: Number(port), Type: type };
    if (!bindings?.length) return [base];
    return bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp, ...base, PublicPort: Number(HostPort) }));
  });
}
