/**
 * What every gRPC call has: a namespace, perhaps a lease, a span, an abort signal. One interceptor makes it from the headers, ends
 * the span and turns HullErrors into gRPC statuses.
 */
import { type Code, ConnectError, createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { codeOf, grpcStatusOf, HullError, messageOf } from "../../platform/errors.ts";
import { parseTraceparent } from "../../trace/context.ts";
import type { Span, Tracer } from "../../trace/tracer.ts";
import { parseIdentifier } from "../identifier.ts";

export interface Call {
  readonly span: Span;
  readonly lease: string | undefined;
  readonly signal: AbortSignal;
}

const callKey = createContextKey<Call | undefined>(undefined);

/** Calls that wait for something to happen: a span of theirs says nothing. */
const waiting = new Set(["Subscribe", "Wait"]);
/** Calls that clients repeat all the time and that end in memory. */
const quiet = new Set(["Spans", "Status"]);

export function callInterceptor(tracer: Tracer): Interceptor {
  return (next) => async (request) => {
    const { header, method, signal } = request;
    const parent = parseTraceparent(header.get("traceparent") ?? undefined);
    const recorded = parent !== undefined || !(waiting.has(method.name) || quiet.has(method.name));
    const span = recorded
      ? tracer.start(`${serviceNameOf(method.parent.typeName)}.${method.name}`, { parent })
      : silent(tracer);
    request.contextValues.set(callKey, { span, signal, lease: header.get("containerd-lease") ?? undefined });
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: ended(response.message, span) };
      span.end();
      return response;
    } catch (error) {
      span.end(error);
      throw toConnectError(error);
    }
  };
}

const serviceNameOf = (typeName: string): string => typeName.slice(typeName.lastIndexOf(".") + 1).toLowerCase();

/** A span that is never recorded. */
function silent(tracer: Tracer): Span {
  const { context } = tracer.start("");
  const span: Span = {
    context,
    set: () => {},
    child: (name, attributes) => tracer.start(name, { attributes: attributes ?? {} }),
    end: () => {},
    [Symbol.dispose]: () => {},
  };
  return span;
}

async function* ended<T>(messages: AsyncIterable<T>, span: Span): AsyncGenerator<T> {
  try {
    yield* messages;
    span.end();
  } catch (error) {
    span.end(error);
    throw toConnectError(error);
  } finally {
    span.end();
  }
}

/** The call of a handler's context. */
export function callOf(context: HandlerContext): Call {
  const call = context.values.get(callKey);
  if (call === undefined) throw new Error("the call interceptor is missing");
  return call;
}

/** The client's namespace. Throws `failed-precondition` without one, as containerd does. */
export function namespaceOf(context: HandlerContext): string {
  const name = context.requestHeader.get("containerd-namespace");
  if (name === null || name === "")
    throw new HullError("failed-precondition", "namespace is required: failed precondition");
  return parseIdentifier(name, "namespace");
}

/** gRPC status with our code and facts beside it. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const code = codeOf(error);
  const headers: Record<string, string> = { "hull-error-code": code };
  if (error instanceof HullError && Object.keys(error.facts).length > 0) {
    headers["hull-error-facts"] = encodeURIComponent(JSON.stringify(error.facts));
  }
  return new ConnectError(messageOf(error), grpcStatusOf[code] as Code, headers, undefined, error);
}
