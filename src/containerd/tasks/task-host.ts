/** What the task operations work with. */
import type { Tracer } from "../../trace/tracer.ts";
import type { EventBroker } from "../event-broker.ts";
import type { Roots } from "../roots.ts";
import type { Stores } from "../stores.ts";
import type { CgroupParents } from "./cgroup-parents.ts";
import type { Cleanups } from "./cleanups.ts";
import type { NetworkGates } from "./network-gates.ts";
import type { ReadyPlans } from "./ready-plans.ts";
import type { Launcher, RuntimePlans } from "./runtime.ts";
import type { TaskTable } from "./task-table.ts";

export interface TaskHost {
  readonly roots: Roots;
  readonly stores: Stores;
  readonly tasks: TaskTable;
  readonly events: EventBroker;
  readonly launcher: Launcher;
  readonly plans: RuntimePlans;
  readonly cleanups: Cleanups;
  readonly cgroupParents: CgroupParents;
  readonly networkGates: NetworkGates;
  readonly readyPlans: ReadyPlans;
  readonly tracer: Tracer;
  readonly warn: (message: string) => void;
}
