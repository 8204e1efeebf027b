/* The private procfs of a run. */
#define _GNU_SOURCE
#include "procfs.h"
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include "system.h"

static int detached(void) {
  int fs = sys_fsopen("proc");
  if (fs < 0) return -errno;
  int fd = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? -1 : sys_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  int error = fd < 0 ? -errno : 0;
  close(fs);
  return error ? error : fd;
}

/* A user namespace may be denied a new procfs, and an LSM may see other paths in it: the mounted one, if it is one. */
static int mounted(void) {
  int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct statfs fs;
  if (fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC) return fd;
  close(fd);
  return -ENOTSUP;
}

static int ensure(struct run *run) {
  if (run->proc < 0) run->proc = detached();
  if (run->proc < 0) run->proc = mounted();
  return run->proc < 0 ? run->proc : 0;
}

/* Nothing may be mounted over what is opened (CVE-2025-52881): no other mount and no magic link on the way. */
static int open_in(int proc, const char *path, int flags) {
  int fd = sys_openat2(proc, path, (uint64_t)flags, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
  return fd < 0 ? -errno : fd;
}

static int open_checked(struct run *run, const char *path, int flags) {
  int error = ensure(run);
  int fd = error ? error : open_in(run->proc, path, flags);
  int again = fd == -EACCES ? mounted() : -1;
  if (again < 0) return fd;
  fd = open_in(again, path, flags);
  close(again);
  return fd;
}

int procfs_write(struct run *run, const char *path, struct blob value) {
  int fd = open_checked(run, path, O_WRONLY);
  if (fd < 0) return fd;
  int error = write(fd, value.bytes, value.length) == (ssize_t)value.length ? 0 : -errno;
  close(fd);
  return error;
}

int procfs_reopen(struct run *run, int fd, int flags) {
  char name[32];
  snprintf(name, sizeof name, "self/fd/%d", fd);
  int error = ensure(run);
  if (error) return error;
  int opened = openat(run->proc, name, flags | O_CLOEXEC); /* the magic link is what is wanted here */
  return opened < 0 ? -errno : opened;
}
