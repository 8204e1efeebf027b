/** One more process in a container, as the API sees it: created (nothing runs), started once, inspectable for a while after its end. */
export interface ExecSettings {
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly tty: boolean;
  readonly detachKeys: string;
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly privileged: boolean;
  readonly command: readonly string[];
  readonly consoleSize: readonly [number, number];
}

export type ExecState =
  | { readonly kind: "created" }
  | { readonly kind: "running"; readonly pid: number }
  | { readonly kind: "ended"; readonly pid: number; readonly exitCode: number };

export class Exec {
  state: ExecState = { kind: "created" };
  /** Claimed by a start: a second one is refused. */
  claimed = false;
  readonly #ended = Promise.withResolvers<void>();

  constructor(
    readonly id: string,
    readonly containerId: string,
    public settings: ExecSettings,
  ) {}

  /** The terminal's size as the client has it now. */
  resizeBeforeStart(consoleSize: readonly [number, number]): void {
    this.settings = { ...this.settings, consoleSize };
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  started(pid: number): void {
    if (this.state.kind === "created") this.state = { kind: "running", pid };
  }

  /** False when its end was known already. */
  end(exitCode: number, pid: number): boolean {
    if (this.state.kind === "ended") return false;
    this.state = { kind: "ended", pid, exitCode };
    this.#ended.resolve();
    return true;
  }
}

/** GET /exec/{id}/json */
export function inspectExec({ id, containerId, settings, state }: Exec): object {
  return {
    ID: id,
    Running: state.kind === "running",
    ExitCode: state.kind === "ended" ? state.exitCode : null,
    ProcessConfig: {
      tty: settings.tty,
      entrypoint: settings.command[0] ?? "",
      arguments: settings.command.slice(1),
      privileged: settings.privileged,
      ...(settings.user !== "" && { user: settings.user }),
    },
    OpenStdin: settings.attachStdin,
    OpenStderr: settings.attachStderr,
    OpenStdout: settings.attachStdout,
    CanRemove: false, // Docker says true in its last minutes before it is forgotten.
    ContainerID: containerId,
    DetachKeys: detachKeysBase64(settings.detachKeys),
    Pid: state.kind === "created" ? 0 : state.pid,
  };
}

/** Go writes []byte as base64. */
const detachKeysBase64 = (keys: string): string => Buffer.from(keys).toString("base64");
