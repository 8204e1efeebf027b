/** A trace as text: one line per span in the order of its tree, a bar where its time was, and the slowest part by name. */
import type { SpanRecord } from "./span.ts";

export interface WaterfallOptions {
  /** Columns of the bars. */
  readonly barColumns: number;
  /** Spans shorter than this are folded into one line per parent. */
  readonly foldBelowMs: number;
}

export interface SpanNode {
  readonly span: SpanRecord;
  readonly children: readonly SpanNode[];
}

/** Roots of the trees in `spans`; a span whose parent is missing is a root. Children are ordered by start. */
export function buildTrees(spans: readonly SpanRecord[]): SpanNode[] {
  const byParent = new Map<string, SpanRecord[]>();
  const known = new Set(spans.map((span) => span.spanId));
  const roots: SpanRecord[] = [];
  for (const span of [...spans].sort((a, b) => a.startMs - b.startMs)) {
    if (!known.has(span.parentId)) roots.push(span);
    else byParent.set(span.parentId, [...(byParent.get(span.parentId) ?? []), span]);
  }
  const node = (span: SpanRecord): SpanNode => ({ span, children: (byParent.get(span.spanId) ?? []).map(node) });
  return roots.map(node);
}

/** The time of a span in which none of its children ran, in milliseconds. */
export function selfTimeMs({ span, children }: SpanNode): number {
  return (
    span.durationMs -
    coveredMs(
      span,
      children.map((child) => child.span),
    )
  );
}

/** How much of `span` the union of `others` covers, in milliseconds. */
export function coveredMs(span: SpanRecord, others: readonly SpanRecord[]): number {
  const end = span.startMs + span.durationMs;
  let covered = 0;
  let at = span.startMs;
  for (const other of [...others].sort((a, b) => a.startMs - b.startMs)) {
    const from = Math.max(at, other.startMs);
    const to = Math.min(end, other.startMs + other.durationMs);
    if (to > from) {
      covered += to - from;
      at = to;
    }
  }
  return covered;
}

function* walk(nodes: readonly SpanNode[]): Generator<SpanNode> {
  for (const node of nodes) {
    yield node;
    yield* walk(node.children);
  }
}

/** Spans that only wait for the user's process: no part of ours. */
const waits = (span: SpanRecord): boolean => span.name === "running" || /\/(wait|attach)$/.test(span.name);

/** The span with the most time of its own. */
export function slowestPart(trees: readonly SpanNode[]): { span: SpanRecord; selfMs: number } | undefined {
  let slowest: { span: SpanRecord; selfMs: number } | undefined;
  for (const node of walk(trees)) {
    const selfMs = selfTimeMs(node);
    if (!waits(node.span) && (!slowest || selfMs > slowest.selfMs)) slowest = { span: node.span, selfMs };
  }
  return slowest;
}

export function formatWaterfall(spans: readonly SpanRecord[], options: WaterfallOptions): string {
  if (spans.length === 0) return "no spans\n";
  const trees = buildTrees(spans);
  const start = Math.min(...spans.map((span) => span.startMs));
  const end = Math.max(...spans.map((span) => span.startMs + span.durationMs));
  const scale = { start, width: Math.max(end - start, 0.001), columns: options.barColumns };
  const lines = trees.flatMap((tree) => linesOf(tree, 0, options, scale));
  const first = trees[0]!.span;
  const slowest = slowestPart(trees);
  return [
    `trace ${first.traceId}  ${first.name}  ${milliseconds(end - start)}`,
    "",
    ...lines,
    "",
    slowest
      ? `slowest part: ${describe(slowest.span)} (${slowest.span.service}), ${milliseconds(slowest.selfMs)} of its own`
      : "",
    "",
  ].join("\n");
}

interface Scale {
  readonly start: number;
  readonly width: number;
  readonly columns: number;
}

function linesOf(node: SpanNode, depth: number, options: WaterfallOptions, scale: Scale): string[] {
  const shown = node.children.filter(
    (child) => child.span.durationMs >= options.foldBelowMs || child.span.error !== "",
  );
  const folded = node.children.filter((child) => !shown.includes(child));
  const lines = [line(node.span, depth, scale), ...shown.flatMap((child) => linesOf(child, depth + 1, options, scale))];
  if (folded.length > 0)
    lines.push(
      foldedLine(
        folded.map((child) => child.span),
        depth + 1,
        scale,
      ),
    );
  return lines;
}

function line(span: SpanRecord, depth: number, scale: Scale): string {
  const error = span.error === "" ? "" : `  ! ${span.error}`;
  return `${bar([span], scale)} ${milliseconds(span.durationMs).padStart(10)}  ${span.service.padEnd(15)} ${"  ".repeat(depth)}${describe(span)}${error}`;
}

function foldedLine(spans: readonly SpanRecord[], depth: number, scale: Scale): string {
  const total = spans.reduce((sum, span) => sum + span.durationMs, 0);
  return `${bar(spans, scale)} ${milliseconds(total).padStart(10)}  ${(spans[0]?.service ?? "").padEnd(15)} ${"  ".repeat(depth)}${spans.length} shorter: ${summary(spans)}`;
}

function summary(spans: readonly SpanRecord[]): string {
  const names = [...new Set(spans.map((span) => span.name))];
  return names.length > 6 ? `${names.slice(0, 6).join(", ")}, ...` : names.join(", ");
}

function describe(span: SpanRecord): string {
  const subject = span.attributes.subject ?? "";
  return subject === "" ? span.name : `${span.name} ${subject}`;
}

function bar(spans: readonly SpanRecord[], { start, width, columns }: Scale): string {
  const from = Math.min(...spans.map((span) => span.startMs));
  const to = Math.max(...spans.map((span) => span.startMs + span.durationMs));
  const left = Math.min(columns - 1, Math.floor(((from - start) / width) * columns));
  const right = Math.max(left + 1, Math.ceil(((to - start) / width) * columns));
  return `${" ".repeat(left)}${"█".repeat(Math.min(columns, right) - left)}`.padEnd(columns);
}

const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
