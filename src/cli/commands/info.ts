import type { Command } from "../command.ts";
import { unescapeTabs } from "../format/listing.ts";
import { bytesSize } from "../format/units.ts";
import { print, printLine, warn } from "../streams/output.ts";
import { compile } from "../template/template.ts";
import type { Value } from "../template/value.ts";

type Info = Readonly<Record<string, Value>>;

/** Lines of the report: label and how its value is found. */
const lines: readonly (readonly [string, (info: Info) => Value])[] = [
  ["Containers", (info) => info.Containers],
  [" Running", (info) => info.ContainersRunning],
  [" Paused", (info) => info.ContainersPaused],
  [" Stopped", (info) => info.ContainersStopped],
  ["Images", (info) => info.Images],
  ["Server Version", (info) => info.ServerVersion],
  ["Storage Driver", (info) => info.Driver],
  ["Logging Driver", (info) => info.LoggingDriver],
  ["Cgroup Driver", (info) => info.CgroupDriver],
  ["Cgroup Version", (info) => info.CgroupVersion],
  ["Swarm", (info) => (info.Swarm as { LocalNodeState?: string } | undefined)?.LocalNodeState],
  [
    "Runtimes",
    (info) =>
      Object.keys((info.Runtimes ?? {}) as object)
        .sort()
        .join(" "),
  ],
  ["Default Runtime", (info) => info.DefaultRuntime],
  ["Init Binary", (info) => info.InitBinary],
  ["Kernel Version", (info) => info.KernelVersion],
  ["Operating System", (info) => info.OperatingSystem],
  ["OSType", (info) => info.OSType],
  ["Architecture", (info) => info.Architecture],
  ["CPUs", (info) => info.NCPU],
  ["Total Memory", (info) => bytesSize(Number(info.MemTotal ?? 0))],
  ["Name", (info) => info.Name],
  ["ID", (info) => info.ID],
  ["Docker Root Dir", (info) => info.DockerRootDir],
  ["Debug Mode", (info) => info.Debug],
  ["Experimental", (info) => info.ExperimentalBuild],
  ["Live Restore Enabled", (info) => info.LiveRestoreEnabled],
];

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    {
      name: "format",
      short: "f",
      kind: "string",
      help: "Format output using a custom template: 'json' or a Go template",
    },
  ],
  async run({ flags, session }) {
    const info = await session.json<Info>({ path: "/info" });
    const format = flags.text("format");
    if (format !== undefined) {
      await printLine(format === "json" ? JSON.stringify(info) : compile(unescapeTabs(format)).render(info));
      return 0;
    }
    await print(`Client:\n Context:    ${session.options.context ?? "default"}\n Debug Mode: false\n\nServer:\n`);
    for (const [label, find] of lines) {
      const value = find(info);
      if (value !== undefined && value !== "") await printLine(` ${label}: ${value}`);
    }
    for (const option of ["SecurityOptions", "Labels"] as const) {
      const list = (info[option] ?? []) as readonly string[];
      if (list.length > 0)
        await printLine(
          ` ${option === "Labels" ? "Labels" : "Security Options"}:\n${list.map((item) => `  ${item.replace(/^name=/, "")}`).join("\n")}`,
        );
    }
    for (const warning of (info.Warnings ?? []) as readonly string[]) await warn(warning);
    return 0;
  },
};
