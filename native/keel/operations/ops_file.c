/* Operations on files by path, and on descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "plan.h"
#include "system.h"

static int result(int returned) { return returned < 0 ? -errno : 0; }

int op_mkdir(struct run *run, const struct record *r) {
  (void)run;
  return result(mkdir(r->b[0].bytes, (mode_t)r->i[0]));
}

int op_mkdir_all(struct run *run, const struct record *r) {
  (void)run;
  char path[4096];
  if (r->b[0].length == 0) return -ENOENT;
  if (r->b[0].length >= sizeof path) return -ENAMETOOLONG;
  memcpy(path, r->b[0].bytes, r->b[0].length + 1);
  for (char *at = path + 1; *at; at++) {
    if (*at != '/') continue;
    *at = 0;
    if (mkdir(path, (mode_t)r->i[0]) && errno != EEXIST) return -errno;
    *at = '/';
  }
  if (mkdir(path, (mode_t)r->i[0]) == 0) return 0;
  struct stat st;
  if (errno != EEXIST) return -errno;
  return stat(path, &st) ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int op_rmdir(struct run *run, const struct record *r) {
  (void)run;
  return result(rmdir(r->b[0].bytes));
}

int op_unlink(struct run *run, const struct record *r) {
  (void)run;
  return result(unlink(r->b[0].bytes));
}

int op_symlink(struct run *run, const struct record *r) {
  (void)run;
  return result(symlink(r->b[0].bytes, r->b[1].bytes));
}

int op_rename(struct run *run, const struct record *r) {
  (void)run;
  return result(rename(r->b[0].bytes, r->b[1].bytes));
}

/* cgroup files take a value whole or not at all: never in pieces. */
static int write_once(int fd, struct blob data) {
  ssize_t n = write(fd, data.bytes, data.length);
  if (n < 0) return -errno;
  if ((uint32_t)n == data.length) return 0;
  while ((uint32_t)n < data.length) {
    ssize_t more = write(fd, data.bytes + n, data.length - (uint32_t)n);
    if (more <= 0) return more < 0 ? -errno : -EIO;
    n += more;
  }
  return 0;
}

int op_write_file(struct run *run, const struct record *r) {
  (void)run;
  int fd = open(r->b[0].bytes, (int)r->i[0] | O_CLOEXEC | O_NOCTTY, (mode_t)r->i[1]);
  if (fd < 0) return -errno;
  int error = r->b[1].length ? write_once(fd, r->b[1]) : 0;
  if (error == 0 && r->i[2]) error = result(fsync(fd));
  if (close(fd) && error == 0) error = -errno;
  return error;
}

int op_read_file(struct run *run, const struct record *r) {
  int fd = open(r->b[0].bytes, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return -errno;
  size_t most = r->i[0] < MOST_OUTPUT ? (size_t)r->i[0] : MOST_OUTPUT, length = 0;
  char *bytes = malloc(most ? most : 1);
  ssize_t n = bytes ? 0 : -1;
  while (bytes && length < most && (n = read(fd, bytes + length, most - length)) > 0) length += (size_t)n;
  int error = !bytes ? -ENOMEM : n < 0 ? -errno : run_output(run, bytes, length);
  free(bytes);
  close(fd);
  return error;
}

int op_chmod(struct run *run, const struct record *r) {
  (void)run;
  return result(chmod(r->b[0].bytes, (mode_t)r->i[0]));
}

int op_lchown(struct run *run, const struct record *r) {
  (void)run;
  return result(lchown(r->b[0].bytes, (uid_t)r->i[0], (gid_t)r->i[1]));
}

int op_setxattr(struct run *run, const struct record *r) {
  (void)run;
  return result(lsetxattr(r->b[0].bytes, r->b[1].bytes, r->b[2].bytes, r->b[2].length, (int)r->i[0]));
}

int op_fsync_path(struct run *run, const struct record *r) {
  (void)run;
  int fd = open(r->b[0].bytes, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  int error = result(fsync(fd));
  close(fd);
  return error;
}

int op_open(struct run *run, const struct record *r) {
  int fd = open(r->b[0].bytes, (int)r->i[1] | O_CLOEXEC | O_NOCTTY, (mode_t)r->i[2]);
  return fd < 0 ? -errno : slot_put(run, r->i[0], fd);
}

int op_openat2(struct run *run, const struct record *r) {
  int dir = slot_fd(run, r->i[1]);
  if (dir < 0) return dir;
  int fd = sys_openat2(dir, r->b[0].bytes, r->i[2], r->i[3], r->i[4]);
  return fd < 0 ? -errno : slot_put(run, r->i[0], fd);
}

int op_close(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  if (fd < 0) return fd;
  run->slots[r->i[0]] = -1;
  return result(close(fd));
}

int op_write_slot(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  return fd < 0 ? fd : write_once(fd, r->b[0]);
}

int op_flock(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  return fd < 0 ? fd : result(flock(fd, LOCK_EX | LOCK_NB));
}
