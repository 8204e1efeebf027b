#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tree.h"

struct copying {
  int top;             /* of the target: hard links are made by their first path below it */
  struct links links;
  char path[PATH_MAX];
};

struct pair {
  int from, to;
};

enum { LIST_BYTES = 64 * 1024, VALUE_BYTES = 64 * 1024 };

static bool is_overlays_own(const char *name) { return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0; }

int tree_copy_xattrs(int from, int to) {
  static char names[LIST_BYTES], value[VALUE_BYTES];
  ssize_t n = flistxattr(from, names, sizeof names);
  if (n < 0) return errno == EOPNOTSUPP ? 0 : -errno;
  for (const char *name = names; name < names + n; name += strlen(name) + 1) {
    if (is_overlays_own(name)) continue;
    ssize_t length = fgetxattr(from, name, value, sizeof value);
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return -errno;
    /* The target's file system may lack them, or a security module set its own already. */
    if (fsetxattr(to, name, value, (size_t)length, 0) && errno != EOPNOTSUPP && errno != EPERM) return -errno;
  }
  return 0;
}

static int copy_range(int from, int to, off_t offset, off_t length) {
  if (lseek(to, offset, SEEK_SET) < 0) return -errno;
  while (length > 0) {
    off_t at = offset;
    ssize_t n = copy_file_range(from, &at, to, NULL, (size_t)length, 0);
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      at = offset;
      n = sendfile(to, from, &at, (size_t)length); /* between file systems that don't know each other */
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) return 0; /* it was made shorter meanwhile */
    offset += n;
    length -= n;
  }
  return 0;
}

int tree_copy_bytes(int from, int to, off_t size) {
  if (ioctl(to, FICLONE, from) == 0) return 0;
  off_t at = 0;
  while (at < size) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break; /* a hole to the end */
    if (data < 0) data = at;
    off_t end = lseek(from, data, SEEK_HOLE);
    if (end < 0 || end > size) end = size;
    if (data >= size) break;
    int error = copy_range(from, to, data, end - data);
    if (error) return error;
    at = end;
  }
  return ftruncate(to, size) ? -errno : 0;
}

static int copy_attributes(struct pair fds, const struct stat *st) {
  const struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (fchown(fds.to, st->st_uid, st->st_gid)) return -errno;
  int error = tree_copy_xattrs(fds.from, fds.to);
  if (error) return error;
  return fchmod(fds.to, st->st_mode & 07777) || futimens(fds.to, times) ? -errno : 0;
}

static int copy_file(struct pair dirs, const char *name, const struct stat *st) {
  struct pair fds = {openat(dirs.from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), -1};
  if (fds.from < 0) return -errno;
  fds.to = openat(dirs.to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int error = fds.to < 0 ? -errno : tree_copy_bytes(fds.from, fds.to, st->st_size);
  if (error == 0) error = copy_attributes(fds, st);
  if (fds.to >= 0 && close(fds.to) && error == 0) error = -errno;
  close(fds.from);
  return error;
}

static int copy_special(struct pair dirs, const char *name, const struct stat *st) {
  char target[PATH_MAX];
  int failed;
  if (S_ISLNK(st->st_mode)) {
    ssize_t n = readlinkat(dirs.from, name, target, sizeof target - 1);
    if (n < 0) return -errno;
    target[n] = 0;
    failed = symlinkat(target, dirs.to, name);
  } else {
    failed = mknodat(dirs.to, name, st->st_mode, st->st_rdev); /* umask is 0 */
  }
  const struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (failed || fchownat(dirs.to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW)) return -errno;
  return utimensat(dirs.to, name, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int copy_contents(struct copying *c, struct pair dirs);

static int copy_directory(struct copying *c, struct pair dirs, const char *name, const struct stat *st) {
  if (mkdirat(dirs.to, name, 0700) && errno != EEXIST) return -errno;
  struct pair inside = {tree_enter(dirs.from, name), -1};
  if (inside.from < 0) return inside.from == -EXDEV ? 0 : inside.from; /* a mount: its content is not the tree's */
  inside.to = tree_enter(dirs.to, name);
  int error = inside.to < 0 ? inside.to : copy_contents(c, inside);
  if (error == 0) error = copy_attributes(inside, st);
  if (inside.to >= 0) close(inside.to);
  close(inside.from);
  return error;
}

static int copy_one(struct copying *c, struct pair dirs, const char *name) {
  struct stat st;
  int error = 0;
  if (fstatat(dirs.from, name, &st, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT ? 0 : -errno;
  if (S_ISDIR(st.st_mode)) return copy_directory(c, dirs, name, &st);
  const char *first = st.st_nlink > 1 ? links_seen(&c->links, &st, c->path, &error) : NULL;
  if (error) return error;
  if (first) return linkat(c->top, first, dirs.to, name, 0) ? -errno : 0;
  return S_ISREG(st.st_mode) ? copy_file(dirs, name, &st) : copy_special(dirs, name, &st);
}

static int copy_contents(struct copying *c, struct pair dirs) {
  struct names names;
  int error = names_read(dirs.from, &names);
  size_t length = strlen(c->path);
  for (size_t i = 0; error == 0 && i < names.count; i++) {
    if (snprintf(c->path + length, sizeof c->path - length, "%s%s", length ? "/" : "", names.list[i]) >= (int)(sizeof c->path - length)) error = -ENAMETOOLONG;
    else error = copy_one(c, dirs, names.list[i]);
  }
  if (error == 0) c->path[length] = 0; /* else it names the culprit */
  names_free(&names);
  return error;
}

int tree_copy(int from, int to, char *text, size_t text_size) {
  struct copying *c = calloc(1, sizeof *c);
  struct stat st;
  if (!c) return -ENOMEM;
  c->top = to;
  mode_t mask = umask(0);
  int error = fstat(from, &st) ? -errno : copy_contents(c, (struct pair){from, to});
  if (error == 0) error = copy_attributes((struct pair){from, to}, &st);
  if (error) snprintf(text, text_size, "copy \"%.300s\": %s", c->path, strerror(-error));
  umask(mask);
  links_free(&c->links);
  free(c);
  return error;
}
