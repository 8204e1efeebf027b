/** What is attested of images: provenance and lists of their packages, as they are stored, shown, pushed and kept in the history. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildxPlugin } from "../buildx-plugin.ts";
import { type Ran, run, TestEngine } from "../engine.ts";
import { TestRegistry } from "../registry.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
let registry: TestRegistry;
const skip = buildxPlugin === undefined ? "buildx is not installed (BUILDX=PATH names it)" : false;
before(async () => {
  engine = await TestEngine.start();
  registry = await TestRegistry.start();
  if (buildxPlugin === undefined) return;
  mkdirSync(engine.path("config/cli-plugins"), { recursive: true });
  copyFileSync(buildxPlugin, engine.path("config/cli-plugins/docker-buildx"));
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

const env = () => ({
  DOCKER_HOST: `unix://${engine.socket}`,
  DOCKER_CONFIG: engine.path("config"),
  TOKEN: "s3cr3t-token",
});
const build = (...args: string[]): Promise<Ran> => run([join(root, "dist/bin/hull"), "build", ...args], env());
const buildx = (...args: string[]): Promise<Ran> => run(["docker", "buildx", ...args], env());

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Readonly<Record<string, string>>;
}
interface Index {
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}
interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}
interface Statement {
  readonly _type: string;
  readonly predicateType: string;
  readonly subject: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[];
  // biome-ignore lint/suspicious/noExplicitAny: documents of two specifications, looked at place by place.
  readonly predicate: any;
}
type Read = (digest: string) => Buffer;

const stored: Read = (digest) =>
  readFileSync(join(engine.dataRoot, "containerd/content/blobs/sha256", digest.replace("sha256:", "")));

/** By predicate type, of each image's attestations; everything is checked by its digest. */
function statementsOf(index: Index, read: Read): Map<string, Statement[]> {
  const json = <T>({ digest, size }: Descriptor): T => {
    const bytes = read(digest);
    assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
    assert.equal(bytes.length, size);
    return JSON.parse(bytes.toString()) as T;
  };
  const images = index.manifests.filter(({ annotations }) => !annotations?.["vnd.docker.reference.type"]);
  const found = new Map<string, Statement[]>();
  for (const entry of index.manifests.filter((one) => !images.includes(one))) {
    assert.equal(entry.annotations?.["vnd.docker.reference.type"], "attestation-manifest");
    assert.deepEqual(entry.platform, { architecture: "unknown", os: "unknown" });
    const about = entry.annotations?.["vnd.docker.reference.digest"];
    assert.ok(images.some(({ digest }) => digest === about));
    const { config, layers } = json<Manifest>(entry);
    assert.deepEqual(
      json<{ rootfs: { diff_ids: string[] } }>(config).rootfs.diff_ids,
      layers.map(({ digest }) => digest),
    );
    for (const layer of layers) {
      assert.equal(layer.mediaType, "application/vnd.in-toto+json");
      const statement = json<Statement>(layer);
      assert.equal(statement.predicateType, layer.annotations?.["in-toto.io/predicate-type"]);
      assert.ok(statement.subject.every(({ digest }) => `sha256:${digest.sha256}` === about));
      found.set(statement.predicateType, [...(found.get(statement.predicateType) ?? []), statement]);
    }
  }
  return found;
}

async function attested(name: string, directory: string, ...flags: string[]): Promise<Map<string, Statement[]>> {
  const metadata = engine.path(`${name.replaceAll("/", "-")}.json`);
  await engine.must(build("-t", name, "--metadata-file", metadata, ...flags, directory));
  const facts = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, string>;
  const index = JSON.parse(stored(facts["containerimage.digest"]!).toString()) as Index;
  return statementsOf(index, stored);
}

const SLSA_02 = "https://slsa.dev/provenance/v0.2";
const SLSA_1 = "https://slsa.dev/provenance/v1";
const SPDX = "https://spdx.dev/Document";

const app = (): string =>
  engine.directory("app", {
    Dockerfile: `FROM busybox AS made
ARG FLAVOUR=none
RUN --mount=type=secret,id=token test -s /run/secrets/token && echo $FLAVOUR > /made
FROM busybox
COPY --from=made /made /made
COPY file /file
CMD cat /file
`,
    file: "of the context\n",
  });
const given = ["--secret", "id=token,env=TOKEN", "--build-arg", "FLAVOUR=vanilla", "--label", "of=test"];

test("provenance in mode max: materials, parameters, Dockerfile and graph; nothing of a secret but its name", async () => {
  const found = await attested("max", app(), ...given, "--provenance=mode=max,builder-id=https://example.com/here");
  const [{ predicate, subject, _type } = assert.fail()] = found.get(SLSA_02) ?? [];
  assert.equal(_type, "https://in-toto.io/Statement/v0.1");
  assert.deepEqual(
    subject.map(({ name }) => name),
    ["pkg:docker/max@latest?platform=linux%2Famd64"],
  );
  assert.equal(predicate.builder.id, "https://example.com/here");
  assert.equal(predicate.buildType, "https://mobyproject.org/buildkit@v1");
  assert.equal(predicate.materials.length, 1);
  assert.equal(predicate.materials[0].uri, "pkg:docker/busybox@latest?platform=linux%2Famd64");
  assert.match(predicate.materials[0].digest.sha256, /^[0-9a-f]{64}$/);
  const { parameters, configSource, environment } = predicate.invocation;
  assert.deepEqual(configSource, { entryPoint: "Dockerfile" });
  assert.deepEqual(environment, { platform: "linux/amd64" });
  assert.equal(parameters.args["build-arg:FLAVOUR"], "vanilla");
  assert.equal(parameters.args["label:of"], "test");
  assert.deepEqual(parameters.secrets, [{ id: "token", optional: true }]);
  assert.deepEqual(parameters.locals, [{ name: "context" }, { name: "dockerfile" }]);
  const { completeness, reproducible, ...metadata } = predicate.metadata;
  assert.deepEqual(completeness, { parameters: true, environment: true, materials: false });
  assert.equal(reproducible, false);
  assert.ok(Date.parse(metadata.buildStartedOn) <= Date.parse(metadata.buildFinishedOn));
  const { source } = metadata["https://mobyproject.org/buildkit@v1#metadata"];
  assert.match(Buffer.from(source.infos[0].data, "base64").toString(), /^FROM busybox AS made\n/);
  const steps = predicate.buildConfig.llbDefinition as { id: string; op: { Op: Record<string, unknown> } }[];
  assert.deepEqual(steps.flatMap(({ op }) => Object.keys(op.Op)).sort(), ["exec", "file", "file", "source", "source"]);
  assert.deepEqual(source.locations[steps.find(({ op }) => "exec" in op.Op)!.id].locations[0].ranges[0].start, {
    line: 3,
  });
  assert.doesNotMatch(JSON.stringify([...found.values()]), /s3cr3t/);
});

test("provenance in mode min has no build arguments and no graph; v1 has the other shape", async () => {
  const min = await attested("min", app(), ...given, "--attest", "type=provenance,mode=min");
  const [{ predicate } = assert.fail()] = min.get(SLSA_02) ?? [];
  assert.doesNotMatch(JSON.stringify(predicate), /vanilla|llbDefinition|token|FROM busybox/);
  assert.equal(predicate.metadata.completeness.parameters, false);
  const one = await attested("one", app(), ...given, "--provenance=version=v1,mode=max,reproducible=true");
  const [{ predicate: v1 } = assert.fail()] = one.get(SLSA_1) ?? [];
  assert.equal(v1.buildDefinition.externalParameters.request.args["build-arg:FLAVOUR"], "vanilla");
  assert.equal(v1.buildDefinition.externalParameters.configSource.path, "Dockerfile");
  assert.equal(v1.buildDefinition.internalParameters.builderPlatform, "linux/amd64");
  assert.match(v1.buildDefinition.resolvedDependencies[0].uri, /^pkg:docker\/busybox@latest/);
  assert.equal(v1.runDetails.metadata.buildkit_reproducible, true);
});

const PACKAGES = {
  "tree/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
  "tree/var/lib/dpkg/status":
    "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.2.13\nMaintainer: M <m@example.com>\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
  "tree/usr/share/doc/zlib1g/copyright": "Format: https://x\n\nFiles: *\nLicense: Zlib\n text\n",
  "tree/lib/apk/db/installed": "C:Q1qqqqqqqqqqqqqqqqqqqqqqqqqqo=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\n\n",
  "tree/srv/node_modules/@a/b/package.json": '{"name":"@a/b","version":"2.0.0","license":"Apache-2.0"}',
  "tree/srv/node_modules/bad/package.json": "{",
  "tree/usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA":
    "Name: six\nVersion: 1.16\nLicense: MIT\n\nName: no\n",
};

const namesIn = ({ predicate }: Statement): string[] =>
  (predicate.packages as { externalRefs?: { referenceLocator: string }[] }[])
    .flatMap(({ externalRefs = [] }) => externalRefs.map(({ referenceLocator }) => referenceLocator))
    .sort();

test("a list of packages: of dpkg, apk, npm and PyPI; of stages and the context where arguments ask for it", async () => {
  const directory = engine.directory("packages", {
    ...PACKAGES,
    Dockerfile: `FROM busybox AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY tree/srv /srv
FROM busybox
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
COPY --from=tools /srv/node_modules/bad /bad
COPY tree /
RUN ln -s /proc/1/root/etc/shadow /usr/lib/python3/dist-packages/x.egg-info; mkdir /o.egg-info; ln -s ../../../../etc/hostname /o.egg-info/PKG-INFO
`,
  });
  const found = await attested("packages", directory, "--sbom=true");
  assert.deepEqual([...found.keys()], [SPDX]);
  const documents = new Map(found.get(SPDX)!.map((statement) => [String(statement.predicate.name), statement]));
  assert.deepEqual([...documents.keys()], ["sbom", "sbom-tools", "sbom-context"]);
  assert.deepEqual(namesIn(documents.get("sbom")!), [
    "pkg:apk/debian/musl@1.2.4-r2?arch=x86_64&distro=debian-12",
    "pkg:deb/debian/zlib1g@1:1.2.13?arch=amd64&distro=debian-12",
    "pkg:npm/%40a/b@2.0.0",
    "pkg:pypi/six@1.16",
  ]);
  assert.deepEqual(namesIn(documents.get("sbom-tools")!), ["pkg:npm/%40a/b@2.0.0"]);
  assert.deepEqual(namesIn(documents.get("sbom-context")!), ["pkg:npm/%40a/b@2.0.0"].concat("pkg:pypi/six@1.16"));
  const { predicate } = documents.get("sbom")!;
  assert.equal(predicate.spdxVersion, "SPDX-2.3");
  const zlib = predicate.packages.find(({ name }: { name: string }) => name === "zlib1g");
  assert.equal(zlib.licenseDeclared, "Zlib");
  const status = predicate.files.find(({ fileName }: { fileName: string }) => fileName === "./var/lib/dpkg/status");
  assert.equal(
    status.checksums[1].checksumValue,
    createHash("sha256").update(PACKAGES["tree/var/lib/dpkg/status"]).digest("hex"),
  );
});

test("an image with attestations is listed once, runs, is saved and loaded, and takes its attestations to a registry", async () => {
  const name = `${registry.host}/attested:1`;
  const directory = app();
  await engine.must(
    build("-t", name, ...given, "--platform", "linux/amd64", "--provenance=mode=max", "--sbom=true", directory),
  );
  assert.equal((await engine.ok("images", "-q", "--filter", `reference=${name}`)).split("\n").length, 1);
  assert.equal(await engine.inspect(name, "{{.Os}}/{{.Architecture}}"), "linux/amd64");
  assert.equal(await engine.ok("run", "--rm", name), "of the context");
  const id = await engine.inspect(name, "{{.Id}}");
  await engine.ok("save", "-o", engine.path("attested.tar"), name);
  await engine.ok("push", name);
  const text = (await engine.must(registry.inspect("attested:1"))).trim();
  const index = JSON.parse(text) as Index;
  assert.equal(index.mediaType, "application/vnd.oci.image.index.v1+json");
  const statements = statementsOf(index, (digest) => readFileSync(registry.blobPath(digest)));
  assert.deepEqual([...statements.keys()].sort(), [SLSA_02, SPDX].sort());
  await engine.ok("rmi", name);
  await engine.ok("pull", name);
  assert.equal(await engine.inspect(name, "{{.Id}}"), id);
  assert.equal(await engine.ok("run", "--rm", name), "of the context");
  await engine.ok("load", "-i", engine.path("attested.tar"));
});

test("several platforms go to a registry whole", async () => {
  const name = `${registry.host}/several:1`;
  const directory = engine.directory("several", {
    Dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n",
    amd64: "a",
    arm64: "b",
  });
  await engine.must(build("-t", name, "--platform", "linux/amd64,linux/arm64", "--provenance=true", directory));
  await engine.ok("push", name);
  const index = JSON.parse(await engine.must(registry.inspect("several:1"))) as Index;
  assert.deepEqual(
    index.manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`),
    ["linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"],
  );
  assert.equal(statementsOf(index, (digest) => readFileSync(registry.blobPath(digest))).get(SLSA_02)?.length, 2);
  for (const { digest } of index.manifests) {
    const { layers } = JSON.parse(readFileSync(registry.blobPath(digest), "utf8")) as Manifest;
    for (const layer of layers) assert.equal(readFileSync(registry.blobPath(layer.digest)).length, layer.size);
  }
});

test("of a result as files it is written beside them, about each of them", async () => {
  const directory = engine.directory("files", { Dockerfile: "FROM scratch\nCOPY sub /sub\n", "sub/f": "one\n" });
  const flags = ["--provenance=mode=min", "--sbom=true"];
  const out = engine.path("files-out");
  await engine.must(build(...flags, "-o", out, directory));
  assert.deepEqual(readdirSync(out).sort(), ["provenance.json", "sbom.spdx.json", "sub"]);
  const one = { sha256: createHash("sha256").update("one\n").digest("hex") };
  for (const [name, type] of [
    ["provenance.json", SLSA_02],
    ["sbom.spdx.json", SPDX],
  ] as const) {
    const { subject, predicateType } = JSON.parse(readFileSync(join(out, name), "utf8")) as Statement;
    assert.deepEqual([subject, predicateType], [[{ name: "sub/f", digest: one }], type]);
  }
  const tar = engine.path("files.tar");
  const platforms = ["--platform", "linux/amd64,linux/arm64"];
  await engine.must(build(...flags, ...platforms, "-o", `type=tar,dest=${tar},attestation-prefix=my-`, directory));
  const listed = await engine.must(run(["tar", "-tf", tar], {}));
  for (const place of ["linux_amd64", "linux_arm64"])
    for (const name of ["my-provenance.json", "my-sbom.spdx.json", "sub/f"])
      assert.ok(listed.split("\n").includes(`${place}/${name}`), listed);
  const taken = engine.directory("taken", {
    Dockerfile: "FROM scratch\nCOPY provenance.json /\n",
    "provenance.json": "{}",
  });
  const refused = await build(...flags, "-o", engine.path("taken-out"), taken);
  assert.match(refused.stderr, /the result has a file of this name; choose another attestation-prefix/);
});

test("what cannot be attested is refused before anything is built", async () => {
  const cases = [
    [["--sbom=generator=example.com/scanner"], /scanners that are images are not run/],
    [["--provenance=mode=most"], /invalid provenance mode "most": use min or max/],
    [["--provenance=version=v7"], /use v0\.2 or v1/],
    [["--attest", "type=poem"], /unknown attestation type "poem"/],
    [["--attest", "mode=max"], /has no type/],
  ] as const;
  for (const [flags, words] of cases) {
    const { code, stderr } = await build(...flags, app());
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, /RUN/);
  }
});

test("buildx builds with attestations and inspects what was pushed; its history has them", { skip }, async () => {
  const name = `${registry.host}/by-buildx:1`;
  await engine.must(buildx("build", "-t", name, ...given, "--provenance=mode=max", "--sbom=true", app()));
  const kept = JSON.parse(
    await engine.must(buildx("history", "inspect", "attachment", "--type", "provenance")),
  ) as object;
  assert.match(JSON.stringify(kept), /vanilla/);
  assert.match(
    await engine.must(buildx("history", "inspect", "attachment", "--type", "index")),
    /attestation-manifest/,
  );
  await engine.ok("push", name);
  const inspected = await engine.must(buildx("imagetools", "inspect", name));
  assert.match(inspected, /application\/vnd\.oci\.image\.index\.v1\+json/);
  assert.match(inspected, /vnd\.docker\.reference\.type:\s+attestation-manifest/);
  const slsa = await engine.must(
    buildx("imagetools", "inspect", "--format", "{{json .Provenance.SLSA.buildType}}", name),
  );
  assert.match(slsa, /mobyproject\.org\/buildkit@v1/);
  const spdx = await engine.must(buildx("imagetools", "inspect", "--format", "{{json .SBOM.SPDX.spdxVersion}}", name));
  assert.match(spdx, /SPDX-2\.3/);
  const single = engine.directory("plain", { Dockerfile: "FROM busybox\nCMD true\n" });
  await engine.must(buildx("build", "-t", "plain", single));
  const target = JSON.parse(
    await engine.must(buildx("history", "inspect", "attachment", "--type", "provenance")),
  ) as Statement["predicate"];
  assert.equal((target.predicate ?? target).buildType, "https://mobyproject.org/buildkit@v1");
});
