/** For tests: a whole record of a container that was never started. */
import { hostConfigOf } from "./create/settings.ts";
import { type ContainerRecord, DRIVER, noSandbox } from "./record.ts";
import { newState } from "./state.ts";

const defaults = {
  logDriver: "json-file",
  logOptions: {},
  shmSize: 65536,
  runtime: "runc",
  init: false,
  cgroupns: "private",
  privilegedCgroupns: "private",
  ipcMode: "private",
} as const;

export const recordOf = (changes: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id: "a".repeat(64),
  name: "web",
  created: "2026-01-01T00:00:00.5Z",
  path: "sh",
  args: ["-c", "echo it's"],
  config: {
    Hostname: "h",
    Domainname: "",
    User: "",
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: [],
    Cmd: ["sh"],
    Image: "busybox",
    Volumes: null,
    WorkingDir: "",
    Entrypoint: null,
    OnBuild: null,
    Labels: { a: "b" },
  },
  hostConfig: hostConfigOf(undefined, defaults),
  imageId: "sha256:1",
  platform: "linux",
  driver: DRIVER,
  graph: { UpperDir: "/u" },
  state: newState,
  restartCount: 0,
  manuallyStopped: false,
  startedBefore: false,
  mounts: [],
  endpoints: {},
  sandbox: noSandbox,
  directory: "/d",
  ...changes,
});
