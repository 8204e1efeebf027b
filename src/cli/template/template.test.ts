import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "./template.ts";
import type { Value } from "./value.ts";

const container: Value = {
  Id: "abc",
  State: { Pid: 42, Running: true },
  Config: { Env: ["A=1", "B=2"], Labels: { b: "2", a: "1" }, Cmd: null },
  NetworkSettings: { Ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] } },
  HostConfig: { LogConfig: { Type: "json-file", Config: {} } },
};

const cases: readonly (readonly [string, string])[] = [
  ["{{.State.Pid}}", "42"],
  ["{{ .Id }} {{.State.Running}}", "abc true"],
  ["{{.Config.Env}}", "[A=1 B=2]"],
  ["{{.Config.Labels}}", "map[a:1 b:2]"],
  ["{{.Config.Cmd}}", "[]"],
  ["{{.NetworkSettings.Ports}}", "map[80/tcp:[{0.0.0.0 8080}]]"],
  ["{{.HostConfig.LogConfig}}", "{json-file map[]}"],
  ["{{json .Config.Labels}}", '{"b":"2","a":"1"}'],
  ['{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"],
  ['{{index .Config.Labels "a"}}', "1"],
  ['{{index .Config.Labels "none"}}|', "|"],
  ["{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"],
  ["{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"],
  ["{{range .Config.Cmd}}x{{else}}none{{end}}", "none"],
  ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
  ["{{if and .State.Running (gt .State.Pid 40)}}yes{{end}}", "yes"],
  ['{{if eq .Id "x"}}1{{else if eq .Id "abc"}}2{{end}}', "2"],
  ["{{with .State}}{{.Pid}}{{end}}", "42"],
  ["{{$x := .Id}}{{$x | upper}}", "ABC"],
  ['{{join .Config.Env ","}}', "A=1,B=2"],
  ['{{println "a" .State.Pid}}', "a 42\n"],
  ['{{printf "%-5s|%5d|%q" .Id .State.Pid "x"}}', 'abc  |   42|"x"'],
  ["a {{- .Id -}} b", "aabcb"],
  ["{{/* nothing */}}x", "x"],
  ['{{range .Config.Env}}{{if eq . "B=2"}}{{break}}{{end}}{{.}}{{end}}', "A=1"],
  ["{{len .Config.Env}}", "2"],
  ['{{slice .Id 1}}{{title "hi you"}}{{pad "a" 1 2}}{{truncate .Id 2}}', "bcHi You a  ab"],
];

for (const [source, expected] of cases) {
  test(`${source} prints ${JSON.stringify(expected)}`, () => {
    assert.equal(compile(source).render(container), expected);
  });
}

const bad: readonly (readonly [string, RegExp])[] = [
  ["{{.Id", /unclosed action/],
  ["{{nope .Id}}", /function "nope" not defined/],
  ["{{if .Id}}", /unexpected EOF/],
  ["{{end}}", /unexpected \{\{end\}\}/],
  ["{{}}", /missing value for command/],
  ["{{.Nope}}", /map has no entry for key "Nope"/],
  ['{{"x}}', /unterminated quoted string/],
];

for (const [source, expected] of bad) {
  test(`${source} is refused`, () => {
    assert.throws(() => compile(source).render(container), expected);
  });
}
