/** The container's state as hooks get it on stdin and `state` prints it (runtime.md, "State"). Pure. */

export type OciStatus = "creating" | "created" | "running" | "paused" | "stopped";

export interface OciState {
  readonly id: string;
  readonly status: OciStatus;
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const OCI_VERSION = "1.2.0";

export function formatState({ id, status, pid, bundle, annotations }: OciState): string {
  return JSON.stringify({
    ociVersion: OCI_VERSION,
    id,
    status,
    ...(pid > 0 && { pid }),
    bundle,
    ...(Object.keys(annotations).length > 0 && { annotations }),
  });
}

/** For a hook that runs before the pid is known: keel puts it in. */
export const stateForHook = (state: Omit<OciState, "pid">): string =>
  formatState({ ...state, pid: 1 }).replace('"pid":1,', '"pid":@PID@,');
