/** hull-runc against runc: `run` of the bundle that `runc spec` writes, whole process. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mediansInTurn } from "../measure.ts";
import { ms, type Row, times } from "../row.ts";

/** `rootfs` is a layer tar of the base image. */
export async function runtimeRow(directory: string, rootfs: string, hullRunc: string): Promise<Row> {
  const bundle = join(directory, "bundle");
  mkdirSync(join(bundle, "rootfs"), { recursive: true });
  execFileSync("tar", ["-C", join(bundle, "rootfs"), "-xf", rootfs]);
  execFileSync("runc", ["spec"], { cwd: bundle });
  const path = join(bundle, "config.json");
  const spec = JSON.parse(readFileSync(path, "utf8")) as { process: { terminal: boolean; args: string[] } };
  spec.process.terminal = false;
  spec.process.args = ["true"];
  writeFileSync(path, JSON.stringify(spec));
  const command = (runtime: string) => ({
    command: [
      runtime,
      "--root",
      join(directory, `state-${runtime.replaceAll("/", "-")}`),
      "run",
      `bench-${process.pid}`,
    ],
    cwd: bundle,
  });
  const [ours, theirs] = (await mediansInTurn([command(hullRunc), command("runc")])) as [number, number];
  return {
    what: "`hull-runc run` of the `runc spec` bundle, whole process",
    figure: `${ms(ours)} (${times(theirs / ours)} faster)`,
    peer: `runc ${ms(theirs)}`,
    target: "under runc's time",
    met: ours < theirs,
    must: false,
  };
}
