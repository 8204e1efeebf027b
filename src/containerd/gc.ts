/**
 * Collection of what nothing refers to. Roots are images, containers' snapshots, leases, active and view snapshots, and
 * what carries the label containerd.io/gc.root; from there containerd's labels lead on (containerd.io/gc.ref.content*,
 * containerd.io/gc.ref.snapshot.<snapshotter>), and a snapshot holds its parent.
 * `plan` is pure and sees one moment; who makes things in several steps holds them by a lease meanwhile.
 */
import type { LeaseResource } from "./store/leases.ts";

const ROOT = "containerd.io/gc.root";
const CONTENT_REF = "containerd.io/gc.ref.content";
const SNAPSHOT_REF = "containerd.io/gc.ref.snapshot.";

export interface GcSnapshot {
  readonly name: string;
  readonly parent: string;
  readonly kind: "active" | "view" | "committed";
  readonly labels: Readonly<Record<string, string>>;
}

/** One namespace as it is. */
export interface GcView {
  /** Digests that images point at. */
  readonly imageTargets: readonly string[];
  readonly containers: readonly {
    readonly snapshotter: string;
    readonly snapshotKey: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
  readonly leased: readonly LeaseResource[];
  readonly blobs: readonly { readonly digest: string; readonly labels: Readonly<Record<string, string>> }[];
  /** Snapshotter to its snapshots. */
  readonly snapshots: Readonly<Record<string, readonly GcSnapshot[]>>;
  /** A snapshotter's name by any of its names. */
  readonly canonical: (snapshotter: string) => string;
}

export interface GcPlan {
  readonly blobs: readonly string[];
  /** Children before their parents. */
  readonly snapshots: readonly { readonly snapshotter: string; readonly name: string }[];
}

/** What to delete. */
export function planCollection(view: GcView): GcPlan {
  const labelsOf = indexLabels(view);
  const parentOf = new Map(allSnapshots(view).map(([node, snapshot]) => [node, snapshot.parent] as const));
  const marked = new Set<string>();
  const queue = rootsOf(view);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (marked.has(node)) continue;
    marked.add(node);
    queue.push(...refsIn(labelsOf.get(node) ?? {}, view.canonical));
    const parent = parentOf.get(node);
    if (parent) queue.push(`${node.slice(0, node.indexOf("\0"))}\0${parent}`);
  }
  const blobs = view.blobs.map((blob) => blob.digest).filter((digest) => !marked.has(contentNode(digest)));
  return { blobs, snapshots: unmarkedSnapshots(view, marked) };
}

const contentNode = (digest: string): string => `content\0${digest}`;
const snapshotNode = (snapshotter: string, name: string): string => `snapshots/${snapshotter}\0${name}`;

const allSnapshots = (view: GcView): [string, GcSnapshot][] =>
  Object.entries(view.snapshots).flatMap(([snapshotter, list]) =>
    list.map((snapshot): [string, GcSnapshot] => [snapshotNode(snapshotter, snapshot.name), snapshot]),
  );

function indexLabels(view: GcView): Map<string, Readonly<Record<string, string>>> {
  const labels = new Map<string, Readonly<Record<string, string>>>();
  for (const blob of view.blobs) labels.set(contentNode(blob.digest), blob.labels);
  for (const [node, snapshot] of allSnapshots(view)) labels.set(node, snapshot.labels);
  return labels;
}

function rootsOf(view: GcView): string[] {
  const { canonical } = view;
  return [
    ...view.imageTargets.map(contentNode),
    ...view.containers.map((one) => snapshotNode(canonical(one.snapshotter), one.snapshotKey)),
    ...view.containers.flatMap((one) => refsIn(one.labels, canonical)),
    ...view.leased.map((resource) => leasedNode(resource, canonical)),
    ...view.blobs.filter((blob) => ROOT in blob.labels).map((blob) => contentNode(blob.digest)),
    ...allSnapshots(view)
      .filter(([, snapshot]) => snapshot.kind !== "committed" || ROOT in snapshot.labels)
      .map(([node]) => node),
  ];
}

function leasedNode({ type, id }: LeaseResource, canonical: GcView["canonical"]): string {
  return type.startsWith("snapshots/")
    ? snapshotNode(canonical(type.slice("snapshots/".length)), id)
    : `${type}\0${id}`;
}

function refsIn(labels: Readonly<Record<string, string>>, canonical: GcView["canonical"]): string[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    if (key === CONTENT_REF || key.startsWith(`${CONTENT_REF}.`) || key.startsWith(`${CONTENT_REF}/`))
      return [contentNode(value)];
    if (!key.startsWith(SNAPSHOT_REF)) return [];
    const snapshotter = key.slice(SNAPSHOT_REF.length).split("/")[0]!;
    return [snapshotNode(canonical(snapshotter), value)];
  });
}

function unmarkedSnapshots(view: GcView, marked: ReadonlySet<string>): GcPlan["snapshots"] {
  return Object.entries(view.snapshots).flatMap(([snapshotter, list]) => {
    const garbage = new Map(
      list.filter((one) => !marked.has(snapshotNode(snapshotter, one.name))).map((one) => [one.name, one] as const),
    );
    const depth = (name: string): number => {
      let steps = 0;
      for (let at = garbage.get(name); at; at = garbage.get(at.parent)) steps += 1;
      return steps;
    };
    return [...garbage.keys()]
      .map((name) => ({ snapshotter, name, depth: depth(name) }))
      .sort((a, b) => b.depth - a.depth)
      .map(({ name }) => ({ snapshotter, name }));
  });
}
