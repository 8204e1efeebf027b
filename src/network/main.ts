/** hull-netd: networks, addresses, published ports, firewall and DNS of one engine. */

import { mkdirSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { lockRoot } from "../keel/root-lock.ts";
import { KeelServe } from "../keel/serve.ts";
import { HullError, messageOf } from "../platform/errors.ts";
import { type Log, openLog } from "../platform/log.ts";
import { serveConnection } from "../platform/rpc-server.ts";
import { writeNow } from "../platform/standard-output.ts";
import { terminated } from "../platform/termination.ts";
import { listenUnix } from "../platform/unix-listener.ts";
import { SpanStore } from "../trace/store.ts";
import { Tracer } from "../trace/tracer.ts";
import { NETD_SOCKET, REFUSED_EXIT } from "./api.ts";
import { handlers } from "./handlers.ts";
import { kernelOf, Netd } from "./netd.ts";
import { type NetworkSettings, parseSettings } from "./settings.ts";

/** Exit code: 0 after SIGTERM, 1 when it cannot start, REFUSED_EXIT when it never will with these flags. */
export async function main(argv: string[]): Promise<number> {
  let settings: NetworkSettings;
  try {
    settings = parseSettings(argv);
  } catch (error) {
    return refuse(error);
  }
  const log = openLog({ name: "hull-netd", level: settings.logLevel, dataRoot: settings.dataRoot });
  try {
    await serve(settings, log);
    return 0;
  } catch (error) {
    log.error("hull-netd cannot go on", { error: messageOf(error) });
    return error instanceof HullError && error.facts.refused ? refuse(error) : 1;
  }
}

/** What the caller shows is on stderr. */
function refuse(error: unknown): number {
  writeNow("stderr", `${messageOf(error)}\n`);
  return REFUSED_EXIT;
}

async function serve(settings: NetworkSettings, log: Log): Promise<void> {
  const startedAtMs = Date.now();
  mkdirSync(settings.execRoot, { recursive: true, mode: 0o711 });
  const ended = terminated();
  await using stack = new AsyncDisposableStack();
  const spans = stack.use(new SpanStore(join(settings.dataRoot, "traces", "hull-netd.db")));
  const tracer = new Tracer("hull-netd", spans);
  let netd: Netd | undefined;
  const keel = stack.use(
    await KeelServe.open({
      path: settings.keel,
      tracer,
      onQuestion: (question) => netd?.question(question),
      onNetlink: (watchId, messages) => netd?.netlink(watchId, messages),
      onRestarted: (why) => {
        log.warn("keel was started anew", { why });
        netd?.resume().catch((error: unknown) => log.error("after a restart of keel", { error: messageOf(error) }));
      },
      onLockLost: (path, error) => {
        log.error("another hull-netd has taken this root", { path, error: messageOf(error) });
        process.exit(1);
      },
    }),
  );
  await lockRoot(keel, join(settings.execRoot, "netd.lock"), "hull-netd");
  netd = new Netd(settings, kernelOf(keel), log);
  const running = netd;
  await running.start();
  const methods = handlers({ netd, tracer, spans: (traceId) => spans.find({ traceId }), startedAtMs });
  const connections = new Set<Socket>();
  const listener = await listenUnix({
    path: join(settings.execRoot, NETD_SOCKET),
    onConnection: (socket) => {
      connections.add(socket);
      socket.once("close", () => connections.delete(socket));
      serveConnection(socket, methods);
    },
    onRecreated: (error) => {
      if (error === undefined) log.warn("the socket file had gone and was made again");
      else log.error("the socket file cannot be made again", { error: messageOf(error) });
    },
  });
  log.info("ready", { ms: Date.now() - startedAtMs, bridge: running.networks.defaultBridge?.bridge ?? "none" });
  await ended;
  log.info("ending");
  await listener.close();
  const done = await running.standDown();
  log.info(done ? "everything of ours on this host was taken away" : "containers run: their networking stays");
  await running.stop();
  for (const socket of connections) socket.destroy();
}
