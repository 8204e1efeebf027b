/** Signals that we get and the container shall have (`--sig-proxy`). */
import type { Session } from "../session.ts";

const forwarded: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
];

/** Forwards until disposed. A signal that can't be delivered (the container has ended) is dropped, as with docker. */
export function forwardSignals(session: Session, containerId: string): Disposable {
  const handlers = forwarded.map((signal) => {
    const handler = () => {
      session
        .call({ method: "POST", path: `/containers/${containerId}/kill`, query: { signal: signal.slice(3) } })
        .catch(() => undefined);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  return {
    [Symbol.dispose]: () => {
      for (const { signal, handler } of handlers) process.off(signal, handler);
    },
  };
}
