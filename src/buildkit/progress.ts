/**
 * What a build says while it runs. The classic stream, BuildKit's status stream and the daemon's own list of builds are views of these events.
 * Vertex ids are the graph's (`vertexId`); a vertex that runs for several builds tells each of them.
 */
export type BuildEvent =
  /** Known, not begun: once per vertex and build, before anything else about it. */
  | {
      readonly kind: "vertex";
      readonly id: string;
      readonly name: string;
      readonly inputs: readonly string[];
    }
  | { readonly kind: "waiting"; readonly id: string; readonly atNs: bigint; readonly ahead: number }
  | { readonly kind: "started"; readonly id: string; readonly atNs: bigint }
  | {
      readonly kind: "completed";
      readonly id: string;
      readonly atNs: bigint;
      readonly cached: boolean;
      /** Empty: it went well. */
      readonly error: string;
    }
  /** Output of a command; at most 64 KiB at a time. */
  | {
      readonly kind: "log";
      readonly id: string;
      readonly atNs: bigint;
      readonly stream: 1 | 2;
      readonly data: Uint8Array;
    }
  /** Progress inside a vertex ("transferring context: 2.1MB", "exporting layers"). total 0: not known. */
  | {
      readonly kind: "status";
      readonly id: string;
      readonly name: string;
      readonly current: number;
      readonly total: number;
      readonly startedNs: bigint;
      /** 0n: not completed. */
      readonly completedNs: bigint;
    }
  | {
      readonly kind: "warning";
      /** "" when it belongs to no vertex. */
      readonly id: string;
      /** "WorkdirRelativePath" */
      readonly rule: string;
      readonly short: string;
      readonly detail: string;
      readonly url: string;
      readonly startLine: number;
      readonly endLine: number;
    }
  /** The classic builder's own lines ("Step 2/5 : RUN make"). */
  | {
      readonly kind: "step";
      readonly number: number;
      readonly count: number;
      readonly text: string;
      /** The vertex that does it; "" for one that only changes the configuration. */
      readonly vertex: string;
    };

export type BuildListener = (event: BuildEvent) => void;
