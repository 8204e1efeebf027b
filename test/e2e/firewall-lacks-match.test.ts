/** A host whose iptables has the tables but lacks an extension that our rules need. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { run, TestEngine, until } from "../engine.ts";
import { NetworkLab, webStatus } from "../network-lab.ts";

const lab = new NetworkLab();
let engine: TestEngine;

before(async () => {
  const libraries = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/xtables/libxt_addrtype.so`);
  const hide = `for one in ${libraries.join(" ")}; do [ ! -e $one ] || mount --bind /dev/null $one; done; exec "$@"`;
  engine = await TestEngine.start({ wrap: [...lab.inside, "unshare", "--mount", "sh", "-ec", hide, "sh"] });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

test("the engine serves without NAT and says which extension is missing, and published ports are relayed", async () => {
  await engine.ok("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc");
  await until("the port answers", async () => (await webStatus(lab.inside, "127.0.0.1", 8080)) === "404");
  const status = await run(["curl", "-s", "--unix-socket", engine.socket, "http://hull/hull/v1/status"], {});
  const { degraded } = JSON.parse(status.stdout) as { degraded: string[] };
  assert.match(degraded.join("\n"), /^no IPv4 NAT: iptables-restore: .*addrtype.*; published ports are relayed/m);
  await engine.ok("rm", "-f", "web");
});
