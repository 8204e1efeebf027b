/** The parts of GET /containers/{id}/json that commands use. */
export interface ContainerDetails {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Running: boolean; readonly Paused: boolean; readonly Restarting: boolean };
  readonly Config: {
    readonly Tty: boolean;
    readonly OpenStdin: boolean;
    readonly Labels: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig: { readonly AutoRemove: boolean; readonly LogConfig: { readonly Type: string } };
  readonly NetworkSettings: {
    readonly Ports: Readonly<
      Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>
    > | null;
  };
}
