/** `hull` beside the real `docker` command on one engine: for the same arguments the same output, errors and exit code. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  // Called by docker's name, so that usage texts agree too.
  mkdirSync(engine.path("bin"));
  symlinkSync(join(root, "dist/bin/hull"), engine.path("bin/docker"));
  await engine.ok("network", "create", "--subnet", "10.91.0.0/24", "--label", "n=1", "net1");
  await engine.ok("volume", "create", "--label", "v=1", "vol1");
  const ports = ["-p", "127.0.0.1:8095:80", "-p", "9101-9102:9101-9102/udp", "--expose", "90", "--expose", "91"];
  const settings = [
    "-e",
    "A=1",
    "--label",
    "k=v",
    "--label",
    "a.b=c",
    "-v",
    "vol1:/v",
    "-m",
    "64m",
    "--network",
    "net1",
  ];
  await engine.ok("run", "-d", "--name", "one", ...ports, ...settings, "busybox", "sleep", "1000");
  await engine.docker("run", "--name", "two", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3");
  await engine.ok("create", "--name", "three", "busybox", "true");
  await engine.ok("tag", "busybox", "some/image:1");
});
after(async () => {
  await engine.ok("rm", "-f", "one", "two", "three");
  await engine.ok("network", "rm", "net1");
  await engine.ok("volume", "rm", "vol1");
  await engine[Symbol.asyncDispose]();
});

/** What differs from call to call. */
const settled = ({ stdout, stderr, code }: Ran): Ran => {
  const steady = (text: string): string =>
    text.replace(/\d+(\.\d+)?(?=(%|[kMG]?i?B)\b)/g, "N").replace(/(\d+|Less than a) (second|minute)s?( ago)?/g, "T");
  return { stdout: steady(stdout), stderr: steady(stderr), code };
};

async function assertSame(args: readonly string[]): Promise<Ran> {
  const env = { DOCKER_HOST: `unix://${engine.socket}` };
  const [theirs, ours] = await Promise.all([
    run(["docker", ...args], env),
    run([engine.path("bin/docker"), ...args], env),
  ]);
  assert.deepEqual(settled(ours), settled(theirs));
  return theirs;
}

const templates = [
  "{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}",
  "{{json .Config.Labels}} {{json .HostConfig.PortBindings}} {{json .NetworkSettings.Ports}}",
  '{{index .Config.Labels "k"}}|{{index .Config.Labels "none"}}|{{index .Config.Cmd 0}}',
  "{{range .Config.Env}}{{println .}}{{end}}",
  "{{range $name, $one := .NetworkSettings.Networks}}{{$name}}={{$one.IPAddress}} {{end}}",
  "{{if .State.Running}}up{{else if .State.Dead}}dead{{else}}down{{end}}",
  '{{join .Config.Cmd ","}} {{len .Mounts}} {{lower "AB"}} {{upper "ab"}} {{title "ab cd"}}',
  '{{printf "%s-%d-%v-%q" .Name .State.ExitCode .State.Running .Config.Image}}',
  '{{with .Config.Cmd}}{{.}}{{else}}none{{end}} {{split .Name "/"}} {{pad "x" 1 2}}| {{truncate "abcdef" 3}}',
  "{{.Config.Env}} {{.HostConfig.CapAdd}} {{.HostConfig.Memory}} {{.HostConfig.Sysctls}} {{.Config.Cmd}}",
  "{{.HostConfig.RestartPolicy}} {{.HostConfig.LogConfig}} {{.State.OOMKilled}}",
  '{{eq .Name "/one"}} {{ne .Name "x" | not}} {{and true .State.Running}} {{or .State.Running false}}',
  "{{- .Name -}} {{/* comment */}}",
  "json",
];
for (const template of templates)
  test(`inspect --format ${template}`, async () => {
    await assertSame(["inspect", "--format", template, "one", "two"]);
  });

const tables: readonly (readonly string[])[] = [
  ["ps", "--no-trunc"],
  ["ps", "-a", "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}\t{{.Labels}}\t{{.Networks}}\t{{.Mounts}}"],
  ["ps", "-a", "--format", '{{.Names}}:{{.Label "k"}}:{{.State}}:{{.Command}}:{{.LocalVolumes}}'],
  ["ps", "--format", "json"],
  ["ps", "-aq"],
  ["ps", "-a", "--filter", "status=exited", "--filter", "name=t", "--format", "{{.Names}}"],
  ["ps", "-l", "--format", "{{.Names}}"],
  ["images", "busybox"],
  ["images", "--digests", "--no-trunc", "busybox"],
  ["images", "--format", "table {{.Repository}}\t{{.Tag}}\t{{.Size}}", "busybox"],
  ["images", "--filter", "reference=some/*", "-q"],
  ["network", "ls"],
  ["network", "ls", "--filter", "label=n", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}}"],
  ["network", "inspect", "net1"],
  ["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}} {{.Labels}}", "net1"],
  ["volume", "ls"],
  ["volume", "ls", "-q", "-f", "label=v"],
  ["volume", "inspect", "vol1"],
  ["inspect", "one"],
  ["inspect", "--type", "image", "busybox"],
  ["image", "inspect", "busybox", "-f", "{{.Os}}/{{.Architecture}} {{json .RepoTags}}"],
  ["history", "busybox"],
  ["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "busybox"],
  ["port", "one"],
  ["port", "one", "80"],
  ["top", "one", "-o", "pid,comm"],
  ["diff", "two"],
  ["logs", "two"],
  ["logs", "--tail", "1", "-t", "two"],
  ["system", "df"],
  ["system", "df", "-v"],
  ["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "one"],
  ["version", "--format", "{{.Server.Version}} {{.Server.Os}}"],
  ["info", "--format", "{{.Driver}} {{.ServerVersion}} {{.ContainersRunning}} {{.Images}}"],
  ["exec", "one", "sh", "-c", "echo out; echo err >&2; exit 7"],
  ["exec", "one", "no-such-program"],
  ["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 5"],
  ["run", "--rm", "busybox", "no-such-program"],
  ["run", "--rm", "busybox", "/etc"],
  ["wait", "two"],
];
for (const args of tables) test(args.join(" "), async () => void (await assertSame(args)));

const mistakes: readonly (readonly string[])[] = [
  ["ps", "--nope"],
  ["ps", "-Z"],
  ["ps", "--filter", "name"],
  ["ps", "--filter", "nope=1"],
  ["run"],
  ["run", "--name", "one", "busybox"],
  ["run", "-a", "foo", "busybox"],
  ["run", "-m", "-5", "busybox"],
  ["run", "--cpus", "x", "busybox"],
  ["run", "--add-host", "foo", "busybox"],
  ["run", "--dns", "foo", "busybox"],
  ["run", "--ulimit", "foo=1", "busybox"],
  ["run", "--sysctl", "foo", "busybox"],
  ["run", "--mount", "type=volume,src=a", "busybox"],
  ["run", "--mount", "type=tmpfs,dst=/x,tmpfs-size=abc", "busybox"],
  ["run", "--network", "name=net1,foo=bar", "busybox"],
  ["run", "--network-alias", "foo", "busybox"],
  ["run", "--network", "nosuch", "busybox"],
  ["run", "-v", "/a:/b:ro:rw", "busybox"],
  ["run", "-p", "99999:1", "busybox"],
  ["run", "--expose", "abc", "busybox"],
  ["run", "--device", "a:b:c:d", "busybox"],
  ["run", "--security-opt", "foo", "busybox"],
  ["run", "--health-retries", "-1", "busybox"],
  ["run", "--rm", "--restart", "always", "busybox"],
  ["run", "--pull", "foo", "busybox"],
  ["run", "--env-file", "/no/such/file", "busybox"],
  ["start", "nosuch"],
  ["stop", "nosuch", "two"],
  ["kill", "two"],
  ["kill", "-s", "NOPE", "one"],
  ["rm", "one"],
  ["rm", "nosuch"],
  ["exec", "two", "true"],
  ["exec", "one"],
  ["logs", "nosuch"],
  ["attach", "two"],
  ["port", "one", "81"],
  ["port", "one", "foo"],
  ["rename", "one", "two"],
  ["update", "one"],
  ["update", "--restart", "foo", "one"],
  ["cp", "one:/nosuch", "."],
  ["cp", "a", "b"],
  ["inspect", "nosuch"],
  ["inspect", "-f", "{{.Nope}}", "one"],
  ["inspect", "-f", "{{", "one"],
  ["rmi", "nosuch"],
  ["rmi", "-f", "nosuch"],
  ["tag", "nosuch", "x"],
  ["network", "create", "net1"],
  ["network", "rm", "bridge"],
  ["volume", "rm", "vol1"],
  ["volume", "inspect", "nosuch"],
  ["top", "two"],
  ["pause", "two"],
  ["unpause", "one"],
];
for (const args of mistakes)
  test(`the mistake in ${args.join(" ")} is told in the same words`, async () => {
    await assertSame(args);
  });
