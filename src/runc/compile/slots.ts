/** The plan's descriptor slots and who uses them. */
export const SLOT = {
  root: 0,
  /** A mount on its way to its place; free again afterwards. */
  mount: 1,
  /** A user namespace for an id-mapped mount; free again afterwards. */
  userNamespace: 2,
  fifo: 3,
  stateDirectory: 4,
  /** Namespaces to join: eight kinds. */
  namespaces: 8,
  /** The unified cgroup, then the `tasks` files where they are opened early. */
  cgroup: 16,
  /** Sources of binds that the new process could not open any more (it lives in a user namespace). */
  binds: 34,
} as const;

export const LAST_SLOT = 63;
