/** hull-buildkitd: builds images from Dockerfiles. Started by hulld when it is needed; ends itself when it has had no work for a while. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { lockRoot } from "../keel/root-lock.ts";
import { KeelServe } from "../keel/serve.ts";
import { messageOf } from "../platform/errors.ts";
import { type Log, openLog } from "../platform/log.ts";
import { writeNow } from "../platform/standard-output.ts";
import { terminated } from "../platform/termination.ts";
import { listenUnix } from "../platform/unix-listener.ts";
import { SpanStore } from "../trace/store.ts";
import { Tracer } from "../trace/tracer.ts";
import { BUILDKITD_SOCKET, REFUSED_EXIT } from "./api.ts";
import { HASH_ARGUMENT, hashFiles } from "./context/hash-process.ts";
import { composeBuilder } from "./daemon/compose.ts";
import { BuilderServer, NO_WORK } from "./daemon/server.ts";
import { type BuilderSettings, parseSettings } from "./settings.ts";

/** Exit code: 0 after SIGTERM or without work, 1 when it cannot start, REFUSED_EXIT when it never will with these flags. */
export async function main(argv: string[]): Promise<number> {
  if (argv[0] === HASH_ARGUMENT) return hashFiles(argv[1] ?? "");
  let settings: BuilderSettings;
  try {
    settings = parseSettings(argv);
  } catch (error) {
    writeNow("stderr", `${messageOf(error)}\n`);
    return REFUSED_EXIT;
  }
  const log = openLog({ name: "hull-buildkitd", level: settings.logLevel, dataRoot: settings.dataRoot });
  try {
    await serve(settings, log);
    return 0;
  } catch (error) {
    log.error("hull-buildkitd cannot go on", { error: messageOf(error) });
    return 1;
  }
}

async function serve(settings: BuilderSettings, log: Log): Promise<void> {
  const startedAtMs = Date.now();
  mkdirSync(join(settings.dataRoot, "buildkit"), { recursive: true, mode: 0o711 });
  mkdirSync(join(settings.execRoot, "buildkit"), { recursive: true, mode: 0o711 });
  const ended = terminated();
  await using stack = new AsyncDisposableStack();
  const spans = stack.use(new SpanStore(join(settings.dataRoot, "traces", "hull-buildkitd.db")));
  const tracer = new Tracer("hull-buildkitd", spans);
  const keel = stack.use(
    await KeelServe.open({
      path: settings.keel,
      tracer,
      onRestarted: (why) => log.warn("keel was started anew", { why }),
      onLockLost: (path, error) => {
        log.error("another hull-buildkitd has taken this root", { path, error: messageOf(error) });
        process.exit(1);
      },
    }),
  );
  await lockRoot(keel, join(settings.execRoot, "buildkit", "lock"), "hull-buildkitd");
  const builder = await composeBuilder({ settings, keel, tracer, log });
  stack.use(builder);
  const server = new BuilderServer({
    spans: (traceId) => spans.find({ traceId }),
    builder,
    tracer,
    log,
    startedAtMs,
    idleMs: settings.idleSeconds * 1000,
  });
  const listener = await listenUnix({
    path: join(settings.execRoot, BUILDKITD_SOCKET),
    onConnection: (socket) => server.accept(socket),
    allowHalfOpen: true,
    onRecreated: (error) => {
      if (error === undefined) log.warn("the socket file had gone and was made again");
      else log.error("the socket file cannot be made again", { error: messageOf(error) });
    },
  });
  log.info("ready", { ms: Date.now() - startedAtMs });
  const why = await Promise.race([ended, server.idle]);
  log.info("ending", { why });
  await listener.close();
  await server.close();
  if (why === NO_WORK) await builder.collect();
}
