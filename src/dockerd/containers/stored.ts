/** A record as the JSON of config.v2.json (Docker's layout and names, plus what only this engine needs under "Hull") and back. Pure. */
import { HullError } from "../../platform/errors.ts";
import type { ContainerConfig, HostConfig, PortMap } from "./config.ts";
import { attachments, type ContainerMount, type ContainerRecord, type Health } from "./record.ts";
import { type ContainerState, isActive } from "./state.ts";

const SCHEMA = 1;

interface StoredConfig {
  readonly ID: string;
  readonly Created: string;
  readonly Name: string;
  readonly Path: string;
  readonly Args: readonly string[];
  readonly Config: ContainerConfig;
  readonly Image: string;
  readonly Driver: string;
  readonly RestartCount: number;
  readonly HasBeenManuallyStopped: boolean;
  readonly HasBeenStartedBefore: boolean;
  readonly MountPoints: Readonly<Record<string, ContainerMount>>;
  readonly NetworkSettings: {
    readonly SandboxID: string;
    readonly SandboxKey: string;
    readonly Ports: PortMap;
  };
  readonly Hull: {
    readonly schema: number;
    readonly state: ContainerState;
    readonly health?: Health;
    readonly graph: Readonly<Record<string, string>>;
    readonly platform: string;
    readonly asked: ContainerRecord["endpoints"];
    readonly got: ContainerRecord["endpoints"];
  };
}

export function toStored(record: ContainerRecord): string {
  const { directory, state, health } = record;
  return JSON.stringify({
    StreamConfig: {},
    State: stateJson(state, health),
    ID: record.id,
    Created: record.created,
    Managed: false,
    Path: record.path,
    Args: record.args,
    Config: record.config,
    Image: record.imageId,
    NetworkSettings: {
      Bridge: "",
      SandboxID: record.sandbox.id,
      SandboxKey: record.sandbox.key,
      Ports: record.sandbox.ports,
      Networks: attachments(record),
      HasSwarmEndpoint: false,
    },
    LogPath: `${directory}/${record.id}-json.log`,
    Name: `/${record.name}`,
    Driver: record.driver,
    OS: "linux",
    MountLabel: "",
    ProcessLabel: "",
    RestartCount: record.restartCount,
    HasBeenStartedBefore: record.startedBefore,
    HasBeenManuallyStopped: record.manuallyStopped,
    MountPoints: Object.fromEntries(record.mounts.map((mount) => [mount.Destination, mount])),
    AppArmorProfile: "",
    HostnamePath: `${directory}/hostname`,
    HostsPath: `${directory}/hosts`,
    ResolvConfPath: `${directory}/resolv.conf`,
    Hull: {
      schema: SCHEMA,
      state,
      ...(health && { health }),
      graph: record.graph,
      platform: record.platform,
      asked: record.endpoints,
      got: record.sandbox.endpoints,
    },
  });
}

/** Throws failed-precondition when the text is not one of ours or from a newer version. */
export function fromStored(json: string, hostJson: string, directory: string): ContainerRecord {
  const stored = JSON.parse(json) as StoredConfig;
  const schema = stored.Hull?.schema;
  if (schema !== SCHEMA)
    throw new HullError(
      "failed-precondition",
      `${directory}/config.v2.json has schema ${schema ?? "none"}, this version knows ${SCHEMA}: it is left as it is`,
    );
  return {
    id: stored.ID,
    name: stored.Name.replace(/^\//, ""),
    created: stored.Created,
    path: stored.Path,
    args: stored.Args,
    config: stored.Config,
    hostConfig: JSON.parse(hostJson) as HostConfig,
    imageId: stored.Image,
    platform: stored.Hull.platform,
    driver: stored.Driver,
    graph: stored.Hull.graph,
    state: stored.Hull.state,
    ...(stored.Hull.health && { health: stored.Hull.health }),
    restartCount: stored.RestartCount,
    manuallyStopped: stored.HasBeenManuallyStopped,
    startedBefore: stored.HasBeenStartedBefore,
    mounts: Object.values(stored.MountPoints),
    endpoints: stored.Hull.asked,
    sandbox: {
      id: stored.NetworkSettings.SandboxID,
      key: stored.NetworkSettings.SandboxKey,
      ports: stored.NetworkSettings.Ports,
      endpoints: stored.Hull.got,
    },
    directory,
  };
}

/** `State` as inspect and config.v2.json show it. */
export function stateJson(state: ContainerState, health: Health | undefined) {
  return {
    Status: state.kind,
    Running: isActive(state) || state.kind === "restarting",
    Paused: state.kind === "paused",
    Restarting: state.kind === "restarting",
    OOMKilled: state.oomKilled,
    Dead: state.kind === "dead",
    Pid: isActive(state) ? state.pid : 0,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(health && { Health: healthJson(health) }),
  };
}

const healthJson = (health: Health) => ({
  Status: health.status,
  FailingStreak: health.failingStreak,
  Log: health.log.map(({ start, end, exitCode, output }) => ({
    Start: start,
    End: end,
    ExitCode: exitCode,
    Output: output,
  })),
});
