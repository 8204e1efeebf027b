/**
 * What every gRPC call has: a namespace, perhaps a lease, a span, an abort signal. Made from the headers; its end ends the span.
 */
import type { HandlerContext } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { StartCall } from "../../platform/grpc/server.ts";
import { parseTraceparent } from "../../trace/context.ts";
import type { Span, Tracer } from "../../trace/tracer.ts";
import { parseIdentifier } from "../identifier.ts";

export interface Call {
  readonly span: Span;
  readonly lease: string | undefined;
  readonly signal: AbortSignal;
}

/** Calls that wait for something to happen: a span of theirs says nothing. */
const waiting = new Set(["Subscribe", "Wait"]);
/** Calls that clients repeat all the time and that end in memory. */
const quiet = new Set(["Spans", "Status"]);

/** What of connect's context our services use. */
interface CallContext {
  readonly signal: AbortSignal;
  readonly header: (name: string) => string | undefined;
  readonly call: Call;
}

export const startCalls =
  (tracer: Tracer): StartCall =>
  ({ method, header, signal }) => {
    const parent = parseTraceparent(header("traceparent"));
    const recorded = parent !== undefined || !(waiting.has(method.name) || quiet.has(method.name));
    const span = recorded
      ? tracer.start(`${serviceNameOf(method.parent.typeName)}.${method.name}`, { parent })
      : silent(tracer);
    const context: CallContext = { signal, header, call: { span, signal, lease: header("containerd-lease") } };
    return { context: context as unknown as HandlerContext, end: (error) => span.end(error) };
  };

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

const contextOf = (context: HandlerContext): CallContext => context as unknown as CallContext;

/** The call of a handler's context. */
export const callOf = (context: HandlerContext): Call => contextOf(context).call;

/** The client's namespace. Throws `failed-precondition` without one, as containerd does. */
export function namespaceOf(context: HandlerContext): string {
  const name = contextOf(context).header("containerd-namespace") ?? "";
  if (name === "") throw new HullError("failed-precondition", "namespace is required: failed precondition");
  return parseIdentifier(name, "namespace");
}
