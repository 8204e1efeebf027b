/**
 * Every command: its path, its short top-level form, its one-line summary and where its code is. Listing and help of the whole need
 * nothing else; a command's own module is loaded when it runs.
 */
import type { Command } from "./command.ts";

export interface CommandEntry {
  /** "container run". */
  readonly path: string;
  /** Other full paths: "run", "container ps". */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

const entry = (
  path: string,
  aliases: readonly string[],
  summary: string,
  load: CommandEntry["load"],
): CommandEntry => ({ path, aliases, summary, load });

export const groups: Readonly<Record<string, string>> = {
  builder: "Manage builds",
  builds: "See what builds did, and why",
  container: "Manage containers",
  context: "Manage contexts",
  engine: "Start, stop and watch the engine",
  image: "Manage images",
  manifest: "Look at manifests of registries",
  network: "Manage networks",
  system: "Manage the engine",
  volume: "Manage volumes",
};

export const commandTable: readonly CommandEntry[] = [
  // -- containers
  entry(
    "container attach",
    ["attach"],
    "Attach local standard input, output, and error streams to a running container",
    () => import("./commands/attach.ts"),
  ),
  entry(
    "container commit",
    ["commit"],
    "Create a new image from a container's changes",
    () => import("./commands/commit.ts"),
  ),
  entry(
    "container cp",
    ["cp"],
    "Copy files/folders between a container and the local filesystem",
    () => import("./commands/cp.ts"),
  ),
  entry("container create", ["create"], "Create a new container", () => import("./commands/create.ts")),
  entry(
    "container diff",
    ["diff"],
    "Inspect changes to files or directories on a container's filesystem",
    () => import("./commands/diff.ts"),
  ),
  entry("container exec", ["exec"], "Execute a command in a running container", () => import("./commands/exec.ts")),
  entry(
    "container export",
    ["export"],
    "Export a container's filesystem as a tar archive",
    () => import("./commands/export.ts"),
  ),
  entry(
    "container inspect",
    [],
    "Display detailed information on one or more containers",
    () => import("./commands/container-inspect.ts"),
  ),
  entry("container kill", ["kill"], "Kill one or more running containers", () => import("./commands/kill.ts")),
  entry("container logs", ["logs"], "Fetch the logs of a container", () => import("./commands/logs.ts")),
  entry("container ls", ["ps", "container ps", "container list"], "List containers", () => import("./commands/ps.ts")),
  entry(
    "container pause",
    ["pause"],
    "Pause all processes within one or more containers",
    () => import("./commands/pause.ts"),
  ),
  entry(
    "container port",
    ["port"],
    "List port mappings or a specific mapping for the container",
    () => import("./commands/port.ts"),
  ),
  entry("container prune", [], "Remove all stopped containers", () => import("./commands/container-prune.ts")),
  entry("container rename", ["rename"], "Rename a container", () => import("./commands/rename.ts")),
  entry("container restart", ["restart"], "Restart one or more containers", () => import("./commands/restart.ts")),
  entry("container rm", ["rm", "container remove"], "Remove one or more containers", () => import("./commands/rm.ts")),
  entry("container run", ["run"], "Create and run a new container from an image", () => import("./commands/run.ts")),
  entry("container start", ["start"], "Start one or more stopped containers", () => import("./commands/start.ts")),
  entry(
    "container stats",
    ["stats"],
    "Display a live stream of container(s) resource usage statistics",
    () => import("./commands/stats.ts"),
  ),
  entry("container stop", ["stop"], "Stop one or more running containers", () => import("./commands/stop.ts")),
  entry("container top", ["top"], "Display the running processes of a container", () => import("./commands/top.ts")),
  entry(
    "container unpause",
    ["unpause"],
    "Unpause all processes within one or more containers",
    () => import("./commands/unpause.ts"),
  ),
  entry(
    "container update",
    ["update"],
    "Update configuration of one or more containers",
    () => import("./commands/update.ts"),
  ),
  entry(
    "container wait",
    ["wait"],
    "Block until one or more containers stop, then print their exit codes",
    () => import("./commands/wait.ts"),
  ),
  // -- images
  entry(
    "image build",
    ["build", "builder build", "buildx build"],
    "Build an image from a Dockerfile",
    () => import("./commands/build.ts"),
  ),
  entry("builder du", [], "Disk usage of the build cache", () => import("./commands/builder-du.ts")),
  entry("builder prune", [], "Remove build cache", () => import("./commands/builder-prune.ts")),
  entry(
    "builds diff",
    [],
    "Say step by step what differs between two builds",
    () => import("./commands/builds-diff.ts"),
  ),
  entry(
    "builds inspect",
    [],
    "Show a build: its steps, why they ran, its results",
    () => import("./commands/builds-inspect.ts"),
  ),
  entry("builds logs", [], "Print what a build said", () => import("./commands/builds-logs.ts")),
  entry(
    "builds ls",
    ["builds list"],
    "List builds, those under way among them",
    () => import("./commands/builds-ls.ts"),
  ),
  entry("builds rm", [], "Remove records of builds", () => import("./commands/builds-rm.ts")),
  entry("image history", ["history"], "Show the history of an image", () => import("./commands/history.ts")),
  entry(
    "image import",
    ["import"],
    "Import the contents from a tarball to create a filesystem image",
    () => import("./commands/import.ts"),
  ),
  entry(
    "image inspect",
    [],
    "Display detailed information on one or more images",
    () => import("./commands/image-inspect.ts"),
  ),
  entry("image load", ["load"], "Load an image from a tar archive or STDIN", () => import("./commands/load.ts")),
  entry("image ls", ["images", "image list"], "List images", () => import("./commands/images.ts")),
  entry("image prune", [], "Remove unused images", () => import("./commands/image-prune.ts")),
  entry("image pull", ["pull"], "Download an image from a registry", () => import("./commands/pull.ts")),
  entry("image push", ["push"], "Upload an image to a registry", () => import("./commands/push.ts")),
  entry("image rm", ["rmi", "image remove"], "Remove one or more images", () => import("./commands/rmi.ts")),
  entry(
    "image save",
    ["save"],
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    () => import("./commands/save.ts"),
  ),
  entry(
    "image tag",
    ["tag"],
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    () => import("./commands/tag.ts"),
  ),
  entry(
    "image make-base",
    [],
    "Make busybox:latest from this machine's Debian packages",
    () => import("./commands/make-base.ts"),
  ),
  // -- networks and volumes
  entry("network connect", [], "Connect a container to a network", () => import("./commands/network-connect.ts")),
  entry("network create", [], "Create a network", () => import("./commands/network-create.ts")),
  entry(
    "network disconnect",
    [],
    "Disconnect a container from a network",
    () => import("./commands/network-disconnect.ts"),
  ),
  entry(
    "network inspect",
    [],
    "Display detailed information on one or more networks",
    () => import("./commands/network-inspect.ts"),
  ),
  entry("network ls", ["network list"], "List networks", () => import("./commands/network-ls.ts")),
  entry("network prune", [], "Remove all unused networks", () => import("./commands/network-prune.ts")),
  entry("network rm", ["network remove"], "Remove one or more networks", () => import("./commands/network-rm.ts")),
  entry("volume create", [], "Create a volume", () => import("./commands/volume-create.ts")),
  entry(
    "volume inspect",
    [],
    "Display detailed information on one or more volumes",
    () => import("./commands/volume-inspect.ts"),
  ),
  entry("volume ls", ["volume list"], "List volumes", () => import("./commands/volume-ls.ts")),
  entry("volume prune", [], "Remove unused local volumes", () => import("./commands/volume-prune.ts")),
  entry("volume rm", ["volume remove"], "Remove one or more volumes", () => import("./commands/volume-rm.ts")),
  // -- system
  entry("system df", [], "Show docker disk usage", () => import("./commands/system-df.ts")),
  entry("system events", ["events"], "Get real time events from the server", () => import("./commands/events.ts")),
  entry("system info", ["info"], "Display system-wide information", () => import("./commands/info.ts")),
  entry("system logs", [], "Show the logs of the engine's own processes", () => import("./commands/system-logs.ts")),
  entry("system prune", [], "Remove unused data", () => import("./commands/system-prune.ts")),
  entry("login", [], "Authenticate to a registry", () => import("./commands/login.ts")),
  entry("logout", [], "Log out from a registry", () => import("./commands/logout.ts")),
  entry(
    "manifest inspect",
    [],
    "Display an image manifest, or manifest list",
    () => import("./commands/manifest-inspect.ts"),
  ),
  entry("search", [], "Search Docker Hub for images", () => import("./commands/search.ts")),
  entry("inspect", [], "Return low-level information on Docker objects", () => import("./commands/inspect.ts")),
  entry("version", [], "Show the Docker version information", () => import("./commands/version.ts")),
  entry(
    "trace",
    [],
    "Show where the time of a command went, down to each kernel call",
    () => import("./commands/trace.ts"),
  ),
  entry("context ls", ["context list"], "List contexts", () => import("./commands/context-ls.ts")),
  entry("context show", [], "Print the name of the current context", () => import("./commands/context-show.ts")),
  entry("context use", [], "Set the current docker context", () => import("./commands/context-use.ts")),
  entry("engine start", [], "Start the engine and keep it alive", () => import("./commands/engine-start.ts")),
  entry(
    "engine status",
    [],
    "Say whether the engine runs, and what is degraded",
    () => import("./commands/engine-status.ts"),
  ),
  entry(
    "engine stop",
    [],
    "Stop the engine; containers go on unless --containers is given",
    () => import("./commands/engine-stop.ts"),
  ),
];
