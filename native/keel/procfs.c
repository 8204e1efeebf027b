#define _GNU_SOURCE
#include "procfs.h"
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
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

static int checked_proc(void) {
  int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct statfs fs;
  if (fd < 0) return -errno;
  if (fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC) return fd;
  close(fd);
  return -ENOTSUP;
}

int procfs_write(struct run *run, const char *path, struct blob value) {
  if (run->proc < 0) run->proc = detached();
  if (run->proc < 0) run->proc = checked_proc();
  if (run->proc < 0) return run->proc;
  int fd = sys_openat2(run->proc, path, O_WRONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return -errno;
  int error = write(fd, value.bytes, value.length) == (ssize_t)value.length ? 0 : -errno;
  close(fd);
  return error;
}
