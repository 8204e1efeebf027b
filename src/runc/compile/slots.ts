/** The plan's descriptor slots and who uses them: fixed ones here, the rest are numbered as they are needed. */
export const SLOT = {
  /** The unified cgroup that clone puts the process into. */
  cgroup: 0,
  root: 1,
  /** A mount on its way to its place; free again afterwards. */
  mount: 2,
  namespace: 3,
  fifo: 4,
  /** Mounts that become read-only once everything is in them: from here on. */
  firstDeferred: 10,
} as const;

export const LAST_SLOT = 63;
