/**
 * Hands events to subscribers. Publishing never waits: each subscriber has a queue, and one that lets it grow beyond its
 * limit loses its subscription with `resource-exhausted` (it subscribes again and compares states).
 */
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { HullError } from "../platform/errors.ts";
import { type EventBody, type EventTopic, packEvent } from "./events.ts";
import { type Envelope, EnvelopeSchema } from "./gen/containerd/types/event_pb.ts";
import { type Filter, fieldsOf, parseFilters } from "./store/filter.ts";

const MAX_QUEUED = 16_384;

interface Subscriber {
  readonly filter: Filter;
  readonly queue: Envelope[];
  overflown: boolean;
  wake: () => void;
}

export class EventBroker {
  readonly #subscribers = new Set<Subscriber>();

  publish<T extends EventTopic>(namespace: string, topic: T, body: EventBody<T>): void {
    const event = { $typeName: "google.protobuf.Any" as const, ...packEvent(topic, body) };
    this.forward(create(EnvelopeSchema, { timestamp: timestampNow(), namespace, topic, event }));
  }

  forward(envelope: Envelope): void {
    const fields = fieldsOf({ topic: envelope.topic, namespace: envelope.namespace });
    for (const subscriber of this.#subscribers) {
      if (!subscriber.filter(fields)) continue;
      if (subscriber.queue.length >= MAX_QUEUED) subscriber.overflown = true;
      else subscriber.queue.push(envelope);
      subscriber.wake();
    }
  }

  /**
   * What is published from now on (the subscription starts with this call, not with the first read) and matches one of the
   * filters. Ends when `signal` aborts.
   */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope> {
    const subscriber: Subscriber = { filter: parseFilters(filters), queue: [], overflown: false, wake: () => {} };
    this.#subscribers.add(subscriber);
    signal.addEventListener("abort", () => subscriber.wake(), { once: true });
    return this.#deliver(subscriber, signal);
  }

  async *#deliver(subscriber: Subscriber, signal: AbortSignal): AsyncGenerator<Envelope> {
    try {
      while (!signal.aborted) {
        for (let next = subscriber.queue.shift(); next; next = subscriber.queue.shift()) yield next;
        if (subscriber.overflown)
          throw new HullError("resource-exhausted", `subscriber is ${MAX_QUEUED} events behind`);
        if (signal.aborted) return;
        await new Promise<void>((resolve) => {
          subscriber.wake = resolve;
        });
      }
    } finally {
      this.#subscribers.delete(subscriber);
    }
  }
}
