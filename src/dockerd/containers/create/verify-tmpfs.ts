/** Checks of --tmpfs, with dockerd's sentences (moby/sys/mount is the behaviour followed). Pure. */
import { invalid } from "./refusal.ts";
import { cleanPath } from "./settings.ts";

const flags = new Set(
  (
    "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime noatime diratime nodiratime " +
    "relatime norelatime strictatime nostrictatime bind rbind unbindable runbindable private rprivate shared rshared slave rslave"
  ).split(" "),
);
const values = new Set(["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]);

export function verifyTmpfs(destination: string, options: string): void {
  if (!destination.startsWith("/")) throw invalid(`invalid mount path: '${destination}' mount path must be absolute`);
  if (cleanPath(destination) === "/") throw invalid("invalid specification: destination can't be '/'");
  for (const option of options.split(",")) {
    if (option === "" || flags.has(option)) continue;
    const equals = option.indexOf("=");
    const parts = equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
    if (parts.length < 2 || !values.has(parts[0]!))
      throw invalid(`invalid tmpfs option [${parts.map((part) => JSON.stringify(part)).join(" ")}]`);
  }
}
