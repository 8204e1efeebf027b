/**
 * Places in a container's root that are made only to mount on, and the directories that are made for them: no changes of the container's,
 * neither in `diff` nor in a committed layer.
 */
export const mountPoints: ReadonlySet<string> = new Set([
  "/etc/hostname",
  "/etc/hosts",
  "/etc/resolv.conf",
  "/sbin/docker-init",
  "/dev",
  "/dev/console",
  "/dev/mqueue",
  "/dev/pts",
  "/dev/shm",
  "/proc",
  "/sys",
]);

/** Directories that may be there for nothing but those. */
export const mountPointParents: ReadonlySet<string> = new Set(["/etc", "/sbin"]);
