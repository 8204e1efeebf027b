/** GET /events: the past that was asked for, then what happens, until the client or the given time ends it. */
import { HullError } from "../../platform/errors.ts";
import { parseInstant } from "../http/instant.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import type { Route } from "../http/route.ts";
import { epochNsNow } from "../time.ts";
import type { EngineEvent, EventBus } from "./api.ts";
import { formatEvent, includesEvent, parseEventFilters } from "./format.ts";

/** A reader this far behind is cut off: events must not fill the memory. */
const MAX_QUEUED = 16_384;

export const eventRoutes = (bus: EventBus): readonly Route[] => [
  {
    method: "GET",
    path: "/events",
    untraced: true,
    handler: (request, response) => streamEvents(bus, request, response),
  },
];

async function streamEvents(bus: EventBus, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = parseEventFilters(request.query.text("filters"));
  const since = parseInstant(request.query.text("since"));
  const until = parseInstant(request.query.text("until"));
  if (since !== undefined && until !== undefined && since > until) {
    throw new HullError(
      "invalid-argument",
      `\`since\` time (${since / 1_000_000_000n}) cannot be after \`until\` time (${until / 1_000_000_000n})`,
    );
  }
  const wanted = (event: EngineEvent) =>
    (since === undefined || event.timeNano >= since) &&
    (until === undefined || event.timeNano <= until) &&
    includesEvent(filters, event);
  const queue = new EventQueue(bus, wanted);
  const past = since === undefined && until === undefined ? [] : bus.past().filter(wanted);
  using _subscription = queue;
  const body = response.stream(200, "application/json");
  for (const event of past) await body.write(formatEvent(event, request.version));
  const ended = endOf(request.signal, until);
  for await (const event of queue.take(ended)) await body.write(formatEvent(event, request.version));
}

/** Aborts when the client goes or `until` has passed. */
function endOf(signal: AbortSignal, until: bigint | undefined): AbortSignal {
  if (until === undefined) return signal;
  const leftMs = Math.min(Math.max(0, Number((until - epochNsNow()) / 1_000_000n)), 2 ** 31 - 1);
  return AbortSignal.any([signal, leftMs === 0 ? AbortSignal.abort() : AbortSignal.timeout(leftMs)]);
}

/** Subscribed from construction to disposal. */
class EventQueue implements Disposable {
  #queued: EngineEvent[] = [];
  #overflowed = false;
  #wake: () => void = () => {};
  readonly #subscription: Disposable;

  constructor(bus: EventBus, wanted: (event: EngineEvent) => boolean) {
    this.#subscription = bus.subscribe((event) => {
      if (!wanted(event)) return;
      if (this.#queued.length < MAX_QUEUED) this.#queued.push(event);
      else this.#overflowed = true;
      this.#wake();
    });
  }

  async *take(ended: AbortSignal): AsyncGenerator<EngineEvent> {
    ended.addEventListener("abort", () => this.#wake(), { once: true });
    for (;;) {
      if (this.#overflowed) throw new HullError("resource-exhausted", "the reader of these events is too slow");
      const event = this.#queued.shift();
      if (event) yield event;
      else if (ended.aborted) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
