#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "apply.h"

enum { RACE_RETRIES = 32 };

int path_clean(const char *name, char clean[PATH_MAX]) {
  size_t length = 0;
  while (*name) {
    while (*name == '/') name++;
    size_t n = strcspn(name, "/");
    if (n == 2 && name[0] == '.' && name[1] == '.') {
      while (length && clean[length - 1] != '/') length--;
      if (length) length--;
    } else if (n && !(n == 1 && name[0] == '.')) {
      if (n > NAME_MAX || length + n + 2 > PATH_MAX) return -ENAMETOOLONG;
      if (length) clean[length++] = '/';
      memcpy(clean + length, name, n);
      length += n;
    }
    name += n;
  }
  clean[length] = 0;
  return 0;
}

int path_in_place(const char *place, const char *name, char clean[PATH_MAX]) {
  int error = path_clean(name, clean);
  size_t before = place ? strlen(place) : 0, length = error ? 0 : strlen(clean);
  if (error || before == 0 || length == 0) return error;
  if (before + 1 + length + 1 > PATH_MAX) return -ENAMETOOLONG;
  memmove(clean + before + 1, clean, length + 1);
  memcpy(clean, place, before);
  clean[before] = '/';
  return 0;
}

int open_in_root(int root, const char *path, int flags, uint64_t resolve) {
  struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
  for (int i = 0;; i++) {
    long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    if (fd >= 0) return (int)fd;
    /* EAGAIN: something was renamed while ".." was resolved */
    if (errno != EINTR && (errno != EAGAIN || i == RACE_RETRIES)) return -errno;
  }
}

void place_forget(struct place *p) {
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
}

/* Opens the first `length` bytes of `path`; the last component is made when it is missing. Its own parent exists. */
static int open_or_make(int root, char *path, size_t length) {
  char after = path[length];
  path[length] = 0;
  int fd = open_in_root(root, path, O_PATH | O_DIRECTORY, 0);
  if (fd == -ENOENT) {
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (slash) *slash = 0;
    int above = open_in_root(root, slash ? path : "", O_PATH | O_DIRECTORY, 0);
    fd = above;
    if (above >= 0) {
      /* EEXIST: a link that leads nowhere */
      fd = mkdirat(above, name, 0755) ? (errno == EEXIST ? -ENOTDIR : -errno) : openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (fd == -1) fd = -errno;
      close(above);
    }
    if (slash) *slash = '/';
  }
  path[length] = after;
  return fd;
}

static int make_all(int root, char *path) {
  size_t length = strlen(path);
  int fd = -ENOENT;
  for (size_t at = strcspn(path, "/");; at += 1 + strcspn(path + at + 1, "/")) {
    fd = open_or_make(root, path, at);
    if (fd < 0 || at >= length) return fd;
    close(fd);
  }
}

int place_parent(struct place *p, const char *clean, const char **base) {
  const char *slash = strrchr(clean, '/');
  size_t length = slash ? (size_t)(slash - clean) : 0;
  *base = slash ? slash + 1 : clean;
  if (p->fd >= 0 && strncmp(p->parent, clean, length) == 0 && p->parent[length] == 0) return p->fd;
  place_forget(p);
  memcpy(p->parent, clean, length);
  p->parent[length] = 0;
  int fd = open_in_root(p->root, p->parent, O_PATH | O_DIRECTORY, 0);
  if (fd == -ENOENT) fd = make_all(p->root, p->parent);
  if (fd >= 0) p->fd = fd;
  return fd;
}
