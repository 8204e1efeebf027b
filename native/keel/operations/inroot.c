#define _GNU_SOURCE
#include "inroot.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "system.h"

enum { MOST_LINKS = 40, DIRECTORY_MODE = 0755 };
#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

int inroot_open(int root, const char *path, uint64_t flags) {
  int fd = sys_openat2(root, *path ? path : "/", O_PATH | flags, 0, IN_ROOT);
  return fd < 0 ? -errno : fd;
}

/* Splits "/a/b//c/" into "/a/b" and "c". */
static int split(const char *path, char parent[PATH_MAX], char name[256]) {
  size_t end = strlen(path);
  while (end > 0 && path[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start--;
  if (end - start > NAME_MAX || start >= PATH_MAX) return -ENAMETOOLONG;
  memcpy(name, path + start, end - start);
  name[end - start] = 0;
  memcpy(parent, path, start);
  parent[start] = 0;
  return !*name || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : 0;
}

static int make(int root, const char *path, enum inroot_kind kind, unsigned mode, int links);

/* A link that leads nowhere: what it names is made, inside the root. */
static int follow(int root, int parent, const char *parent_path, const char *name, enum inroot_kind kind, unsigned mode, int links) {
  char target[PATH_MAX], joined[PATH_MAX];
  ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
  if (n < 0) return errno == EINVAL ? -EEXIST : -errno;
  target[n] = 0;
  if (*target == '/') return make(root, target, kind, mode, links + 1);
  if (snprintf(joined, sizeof joined, "%s/%s", parent_path, target) >= (int)sizeof joined) return -ENAMETOOLONG;
  return make(root, joined, kind, mode, links + 1);
}

static int make_last(int parent, const char *name, enum inroot_kind kind, unsigned mode) {
  if (kind == INROOT_DIRECTORY) return mkdirat(parent, name, mode) ? -errno : 0;
  int fd = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
  if (fd < 0) return -errno;
  close(fd);
  return 0;
}

static int make(int root, const char *path, enum inroot_kind kind, unsigned mode, int links) {
  int fd = inroot_open(root, path, 0);
  if (fd != -ENOENT) return fd;
  if (links > MOST_LINKS) return -ELOOP;
  char parent_path[PATH_MAX], name[256];
  int error = split(path, parent_path, name);
  if (error) return error;
  int parent = make(root, parent_path, INROOT_DIRECTORY, DIRECTORY_MODE, links);
  if (parent < 0) return parent;
  int directory = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  error = directory < 0 ? -errno : make_last(directory, name, kind, mode);
  if (error == -EEXIST) fd = follow(root, parent, parent_path, name, kind, mode, links);
  else fd = error ? error : inroot_open(root, path, 0);
  if (directory >= 0) close(directory);
  close(parent);
  return fd;
}

int inroot_make(int root, const char *path, enum inroot_kind kind, unsigned mode) { return make(root, path, kind, mode, 0); }

int inroot_parent(int root, const char *path, char name[256]) {
  char parent_path[PATH_MAX];
  int error = split(path, parent_path, name);
  if (error) return error;
  int parent = make(root, parent_path, INROOT_DIRECTORY, DIRECTORY_MODE, 0);
  if (parent < 0) return parent;
  int directory = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  error = directory < 0 ? -errno : 0;
  close(parent);
  return error ? error : directory;
}
