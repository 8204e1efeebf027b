/**
 * Builds the projects with a real buildkitd and writes golden.json for each: `bun test/e2e/projects/make-golden.ts BUILDKITD BUILDCTL [NAME...]`, as root, with runc.
 * Such a buildkitd is built from Go's module proxy: `go build ./cmd/buildkitd ./cmd/buildctl` in a copy of github.com/moby/buildkit.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeBaseImage } from "../../../src/cli/base-image.ts";
import { until } from "../../engine.ts";
import { SavedImages } from "../../image-layers.ts";
import { comparable, listProjects, type Project, prepareContext, projectsDirectory, TEST_TOKEN } from "./projects.ts";

const [buildkitd, buildctl, ...names] = process.argv.slice(2);
if (buildkitd === undefined || buildctl === undefined)
  throw new Error("usage: make-golden.ts BUILDKITD BUILDCTL [NAME...]");
const directory = mkdtempSync("/var/tmp/hull-golden-");
const address = `unix://${directory}/buildkitd.sock`;

/** The base image as an OCI layout; its manifest's digest. */
function layOutBase(at: string): string {
  using base = makeBaseImage("busybox:latest");
  const unpacked = join(directory, "base");
  mkdirSync(unpacked);
  execFileSync("tar", ["-xf", base.archive, "-C", unpacked]);
  const [{ Config, Layers }] = JSON.parse(readFileSync(join(unpacked, "manifest.json"), "utf8"));
  mkdirSync(join(at, "blobs/sha256"), { recursive: true });
  const put = (bytes: Buffer, mediaType: string) => {
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(at, "blobs/sha256", hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const config = put(readFileSync(join(unpacked, Config)), "application/vnd.oci.image.config.v1+json");
  const layers = [put(readFileSync(join(unpacked, Layers[0])), "application/vnd.oci.image.layer.v1.tar")];
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = put(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers })), mediaType);
  writeFileSync(join(at, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(at, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
  return manifest.digest;
}

/** `docker build`'s arguments as buildctl's. */
function frontendArguments({ args }: Project): string[] {
  const pairs = args.flatMap((word, i) => (word.startsWith("--") ? [[word, args[i + 1]!] as const] : []));
  return pairs.flatMap(([flag, value]) => {
    if (flag === "--secret") return ["--secret", value];
    if (flag === "--target") return ["--opt", `target=${value}`];
    return ["--opt", `${flag.slice(2)}:${value}`];
  });
}

const daemon = spawn(
  buildkitd,
  ["--addr", address, "--root", join(directory, "root"), "--oci-worker-net=host", "--oci-worker-snapshotter=overlayfs"],
  { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, HOME: directory } },
);
try {
  const control = (args: readonly string[]) =>
    execFileSync(buildctl, ["--addr", address, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, HULL_TEST_TOKEN: TEST_TOKEN },
    }).toString();
  await until("buildkitd answers", () => {
    try {
      return control(["debug", "workers"]) !== "";
    } catch {
      return false;
    }
  });
  const layout = join(directory, "layout");
  const digest = layOutBase(layout);
  const builtBy = execFileSync(buildkitd, ["--version"]).toString().trim();
  for (const project of listProjects().filter(
    ({ name, usesTools }) => !usesTools && (names.length === 0 || names.includes(name)),
  )) {
    const { name } = project;
    const context = join(directory, `context-${name}`);
    prepareContext(project, context);
    const archive = join(directory, `${name}.tar`);
    const local = ["--local", `context=${context}`, "--local", `dockerfile=${context}`];
    const base = ["--oci-layout", `base=${layout}`, "--opt", `context:busybox=oci-layout://base@${digest}`];
    const latest = ["--opt", `context:busybox:latest=oci-layout://base@${digest}`];
    const output = ["--output", `type=docker,name=${name}:latest,dest=${archive},compression=uncompressed`];
    control([
      "build",
      "--frontend=dockerfile.v0",
      ...local,
      ...base,
      ...latest,
      ...frontendArguments(project),
      ...output,
    ]);
    using images = new SavedImages(archive);
    const image = comparable(images.image(`${name}:latest`), 1, true);
    writeFileSync(
      join(projectsDirectory, name, "golden.json"),
      `${JSON.stringify({ builtBy, ...image }, undefined, 1)}\n`,
    );
    console.log(name);
  }
} finally {
  daemon.kill("SIGTERM");
  await new Promise((resolve) => daemon.once("exit", resolve));
  rmSync(directory, { recursive: true, force: true });
}
