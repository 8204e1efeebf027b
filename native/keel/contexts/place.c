#define _GNU_SOURCE
#include "place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "system.h"

static const uint64_t BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

static int refuse(struct placer *p, int error, const char *before, const char *path, const char *after) {
  snprintf(p->problem, sizeof p->problem, "%s/%.*s%s", before, PATH_MAX - 1, path, after);
  return error;
}

/* Descriptor, or -errno. */
static int open_below(int directory, const char *path, int flags) {
  int fd = sys_openat2(directory, *path ? path : ".", (uint64_t)flags, 0, BELOW);
  return fd < 0 ? -errno : fd;
}

static void leave_parent(struct placer *p) {
  if (p->in_upper >= 0) close(p->in_upper);
  if (p->in_lower >= 0) close(p->in_lower);
  p->in_upper = p->in_lower = -1;
}

/* What the base has there; false: nothing. */
static bool in_base(const struct placer *p, int directory, const char *name, struct stat *st) {
  (void)p;
  return directory >= 0 && fstatat(directory, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int remember_time(struct placer *p, const char *path, struct timespec time) {
  if (p->time_count == p->time_room) {
    size_t room = p->time_room ? 2 * p->time_room : 64;
    struct timed *grown = realloc(p->times, room * sizeof *grown);
    if (!grown) return -ENOMEM;
    p->times = grown;
    p->time_room = room;
  }
  char *copy = strdup(path);
  if (!copy) return -ENOMEM;
  p->times[p->time_count++] = (struct timed){copy, time};
  return 0;
}

/* A directory that is missing in the layer: as the base has it, or new. */
static int make_parent(struct placer *p, int above, int above_base, const char *name, const char *path) {
  struct stat base;
  bool known = in_base(p, above_base, name, &base);
  if (known && !S_ISDIR(base.st_mode)) return refuse(p, -ENOTDIR, "", path, ": not a directory");
  if (mkdirat(above, name, 0755)) return errno == EEXIST ? refuse(p, -ENOTDIR, "", path, ": not a directory") : -errno;
  if (fchownat(above, name, known ? base.st_uid : p->uid, known ? base.st_gid : p->gid, AT_SYMLINK_NOFOLLOW)) return -errno;
  if (fchmodat(above, name, known ? base.st_mode & 07777 : 0755, 0)) return -errno;
  return known ? remember_time(p, path, base.st_mtim) : 0;
}

static int open_directory(int above, const char *name) { return openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

/* Component by component from the layer's root. */
static int enter_parent(struct placer *p, const char *path, size_t length) {
  leave_parent(p);
  memcpy(p->parent, path, length);
  p->parent[length] = 0;
  p->in_upper = fcntl(p->upper, F_DUPFD_CLOEXEC, 0);
  p->in_lower = p->lower >= 0 ? fcntl(p->lower, F_DUPFD_CLOEXEC, 0) : -1;
  if (p->in_upper < 0) return -errno;
  for (char *at = p->parent; length && *at;) {
    size_t n = strcspn(at, "/");
    char after = at[n];
    at[n] = 0;
    int upper = open_directory(p->in_upper, at), error = upper < 0 ? -errno : 0;
    if (error == -ENOENT) {
      error = make_parent(p, p->in_upper, p->in_lower, at, p->parent);
      upper = error ? -1 : open_directory(p->in_upper, at);
      if (error == 0 && upper < 0) error = -errno;
    } else if (error == -ENOTDIR || error == -ELOOP) {
      error = refuse(p, -ENOTDIR, "", p->parent, ": not a directory");
    }
    int lower = error == 0 && p->in_lower >= 0 ? open_directory(p->in_lower, at) : -1;
    leave_parent(p);
    p->in_upper = upper;
    p->in_lower = lower;
    at[n] = after;
    if (error) return error;
    at += n + (after ? 1 : 0);
  }
  return 0;
}

static int find_parent(struct placer *p, const char *path, const char **base) {
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) : 0;
  *base = slash ? slash + 1 : path;
  if (p->in_upper >= 0 && strncmp(p->parent, path, length) == 0 && p->parent[length] == 0) return 0;
  int error = enter_parent(p, path, length);
  if (error) leave_parent(p);
  return error;
}

static int digit(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

static int set_xattrs(int parent, const char *name, const struct placement *m) {
  static char value[65536];
  if (m->entry.xattr_count && fchdir(parent)) return -errno;
  for (size_t i = 0; i < m->entry.xattr_count; i++) {
    const char *hex = m->xattrs[2 * i + 1];
    size_t length = strlen(hex) / 2;
    if (length > sizeof value) return -E2BIG;
    for (size_t j = 0; j < length; j++) value[j] = (char)(digit(hex[2 * j]) * 16 + digit(hex[2 * j + 1]));
    /* A file system may lack them. */
    if (lsetxattr(name, m->xattrs[2 * i], value, length, 0) && errno != EOPNOTSUPP) return -errno;
  }
  return 0;
}

static struct timespec time_of(const struct index_entry *e) { return (struct timespec){e->seconds, e->nanoseconds}; }

/* Owner first: it takes capabilities away. */
static int set_attributes(int parent, const char *name, const struct placement *m) {
  const struct index_entry *e = &m->entry;
  const struct timespec times[2] = {time_of(e), time_of(e)};
  if (fchownat(parent, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW)) return -errno;
  if (e->kind != 'l' && fchmodat(parent, name, e->mode, 0)) return -errno;
  int error = set_xattrs(parent, name, m);
  return error ? error : utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int place_directory(struct placer *p, const char *name, const struct placement *m) {
  struct stat st;
  const char *path = m->entry.path;
  if (fstatat(p->in_upper, name, &st, AT_SYMLINK_NOFOLLOW)) {
    if (in_base(p, p->in_lower, name, &st) && !S_ISDIR(st.st_mode)) return refuse(p, -ENOTDIR, "cannot copy to non-directory: ", path, "");
    if (mkdirat(p->in_upper, name, 0755)) return -errno;
  } else if (!S_ISDIR(st.st_mode)) {
    return refuse(p, -ENOTDIR, "cannot copy to non-directory: ", path, "");
  }
  int error = set_attributes(p->in_upper, name, m);
  return error ? error : remember_time(p, path, time_of(&m->entry));
}

/* 1: it is not to be linked, or can't be. */
static int link_object(struct placer *p, const char *name, const struct placement *m) {
  const struct index_entry *e = &m->entry, *o = &m->object;
  char object[OBJECT_PATH_BYTES];
  struct stat st;
  int error;
  bool same = e->mode == o->mode && e->uid == o->uid && e->gid == o->gid && e->seconds == o->seconds && e->nanoseconds == o->nanoseconds;
  if (!m->has_object || !same || e->xattr_count) return 1;
  object_path(o, object);
  if (fstatat(p->store, object, &st, AT_SYMLINK_NOFOLLOW)) return -errno;
  /* Two names of one file in a layer would be a hard link there. */
  if (links_seen(&p->linked, &st, e->path, &error)) return 1;
  if (error) return error;
  if (linkat(p->store, object, p->in_upper, name, 0) == 0) return 0;
  return errno == EMLINK || errno == EXDEV || errno == EPERM ? 1 : -errno;
}

/* Empty files need no object. */
static int make_empty(struct placer *p, const char *name, const struct placement *m) {
  int fd = openat(p->in_upper, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || close(fd)) return -errno;
  return set_attributes(p->in_upper, name, m);
}

static int copy_file(struct placer *p, const char *name, const struct placement *m) {
  char object[OBJECT_PATH_BYTES];
  struct stat st;
  if (m->has_object) object_path(&m->object, object);
  else if (p->source < 0) return make_empty(p, name, m);
  int from = m->has_object ? open_below(p->store, object, O_RDONLY) : open_below(p->source, m->source, O_RDONLY | O_NONBLOCK);
  if (from < 0) return from;
  int error = fstat(from, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
  int to = error ? -1 : openat(p->in_upper, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (error == 0) error = to < 0 ? -errno : tree_copy_bytes(from, to, st.st_size);
  if (to >= 0 && close(to) && error == 0) error = -errno;
  close(from);
  return error ? error : set_attributes(p->in_upper, name, m);
}

static int make_special(struct placer *p, const char *name, const struct placement *m) {
  const struct index_entry *e = &m->entry;
  mode_t type = e->kind == 'p' ? S_IFIFO : e->kind == 'c' ? S_IFCHR : S_IFBLK;
  if (e->kind == 's') return refuse(p, -EINVAL, "", e->path, ": a socket cannot be copied");
  int failed = e->kind == 'l' ? symlinkat(e->link, p->in_upper, name) : mknodat(p->in_upper, name, type | 0600, e->kind == 'p' ? 0 : makedev(e->major, e->minor));
  return failed ? -errno : set_attributes(p->in_upper, name, m);
}

static int make_link(struct placer *p, const char *name, const struct placement *m) {
  int target = open_below(p->upper, m->entry.link, O_PATH | O_NOFOLLOW);
  if (target < 0) return target;
  int error = linkat(target, "", p->in_upper, name, AT_EMPTY_PATH) ? -errno : 0;
  close(target);
  return error;
}

static int place_other(struct placer *p, const char *name, const struct placement *m) {
  struct stat st;
  const struct index_entry *e = &m->entry;
  bool own = fstatat(p->in_upper, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if ((own || in_base(p, p->in_lower, name, &st)) && S_ISDIR(st.st_mode)) return refuse(p, -EISDIR, "cannot copy to non-directory: ", e->path, " is a directory");
  if (own && unlinkat(p->in_upper, name, 0)) return -errno;
  if (e->kind == 'h') return make_link(p, name, m);
  if (e->kind != 'f') return make_special(p, name, m);
  int error = link_object(p, name, m);
  return error == 1 ? copy_file(p, name, m) : error;
}

int place_one(struct placer *p, const struct placement *m) {
  const char *name;
  *p->problem = 0;
  if (*m->entry.path == 0) {
    /* The root itself. */
    int error = enter_parent(p, "", 0);
    if (error == 0) error = set_attributes(p->in_upper, ".", m);
    return error ? error : remember_time(p, "", time_of(&m->entry));
  }
  int error = find_parent(p, m->entry.path, &name);
  if (error) return error;
  return m->entry.kind == 'd' ? place_directory(p, name, m) : place_other(p, name, m);
}

int place_times(struct placer *p) {
  leave_parent(p);
  for (size_t i = p->time_count; i-- > 0;) {
    const struct timespec times[2] = {p->times[i].time, p->times[i].time};
    int fd = open_below(p->upper, p->times[i].path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return fd;
    int error = futimens(fd, times) ? -errno : 0;
    close(fd);
    if (error) return error;
  }
  return 0;
}

void place_close(struct placer *p) {
  leave_parent(p);
  for (size_t i = 0; i < p->time_count; i++) free(p->times[i].path);
  free(p->times);
  links_free(&p->linked);
}
