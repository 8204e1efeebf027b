/*
 * What a container changed: its upper directory against the lowers. For a directory below the upper, the lowers that still matter are
 * those where it is a directory too, cut off at the first that is opaque or has something else there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "apply.h"
#include "plan.h"
#include "tree.h"

enum { MOST_LOWERS = 512 };

struct changes {
  struct run *run;
  int lowers[MOST_LOWERS];
  size_t lower_count;
  struct tar_text text;
  char path[PATH_MAX]; /* without its leading slash */
};

struct level {
  int directory;
  bool told;           /* the directory itself is in the list, or need not be */
  uint16_t *lowers;    /* indexes, top first */
  size_t count;
};

static int tell(struct changes *c, char kind, const char *path) {
  char line[PATH_MAX + 4];
  int n = snprintf(line, sizeof line, "%c /%.*s", kind, PATH_MAX - 1, path);
  if (c->text.length + (size_t)n + 1 > MOST_OUTPUT - 16) return -EMSGSIZE;
  return tar_text_add(&c->text, line, (size_t)n + 1);
}

static bool is_whiteout(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == 0; }

static bool is_opaque(int fd) {
  char value;
  return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 || fgetxattr(fd, "user.overlay.opaque", &value, 1) == 1;
}

/* What the lowers of a level have at c->path: 1 and st, 0: nothing. */
static int find_below(const struct changes *c, const struct level *l, struct stat *st) {
  for (size_t i = 0; i < l->count; i++) {
    int fd = open_in_root(c->lowers[l->lowers[i]], c->path, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0) continue;
    int failed = fstat(fd, st);
    close(fd);
    if (!failed) return !is_whiteout(st);
  }
  return 0;
}

/* The lowers that matter inside c->path. */
static int narrow(const struct changes *c, const struct level *l, struct level *inside) {
  inside->lowers = malloc((l->count + 1) * sizeof *inside->lowers);
  if (!inside->lowers) return -ENOMEM;
  if (is_opaque(inside->directory)) return 0;
  for (size_t i = 0; i < l->count; i++) {
    int fd = open_in_root(c->lowers[l->lowers[i]], c->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd == -ENOENT) continue;
    if (fd < 0) break; /* something else: it hides what is below */
    inside->lowers[inside->count++] = l->lowers[i];
    bool last = is_opaque(fd);
    close(fd);
    if (last) break;
  }
  return 0;
}

static int walk(struct changes *c, struct level *l);

static int tell_parent(struct changes *c, struct level *l) {
  char *slash = strrchr(c->path, '/');
  if (l->told || !slash) return 0;
  l->told = true;
  *slash = 0;
  int error = tell(c, 'C', c->path);
  *slash = '/';
  return error;
}

/* 'A', 'C', 'D', or 0: an unchanged directory, there only for what is in it. */
static char kind_of(const struct changes *c, const struct level *l, const struct stat *now) {
  struct stat before;
  if (is_whiteout(now)) return 'D';
  if (!find_below(c, l, &before)) return 'A';
  if (!S_ISDIR(now->st_mode) || !S_ISDIR(before.st_mode)) return 'C';
  bool same = now->st_mode == before.st_mode && now->st_uid == before.st_uid && now->st_gid == before.st_gid &&
              now->st_mtim.tv_sec == before.st_mtim.tv_sec && now->st_mtim.tv_nsec == before.st_mtim.tv_nsec;
  return same ? 0 : 'C';
}

static int look(struct changes *c, struct level *l, const char *name) {
  struct stat now;
  if (fstatat(l->directory, name, &now, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT ? 0 : -errno;
  char kind = kind_of(c, l, &now);
  int error = kind == 'A' || kind == 'D' ? tell_parent(c, l) : 0;
  if (error == 0 && kind) error = tell(c, kind, c->path);
  if (error || !S_ISDIR(now.st_mode)) return error;
  struct level inside = {.directory = tree_enter(l->directory, name), .told = kind != 0};
  if (inside.directory < 0) return inside.directory == -ENOENT ? 0 : inside.directory;
  error = narrow(c, l, &inside);
  if (error == 0) error = walk(c, &inside);
  free(inside.lowers);
  close(inside.directory);
  return error;
}

static int walk(struct changes *c, struct level *l) {
  struct names names;
  int error = names_read(l->directory, &names);
  size_t length = strlen(c->path);
  for (size_t i = 0; error == 0 && i < names.count; i++) {
    if (snprintf(c->path + length, sizeof c->path - length, "%s%s", length ? "/" : "", names.list[i]) >= (int)(sizeof c->path - length)) error = -ENAMETOOLONG;
    else error = look(c, l, names.list[i]);
    c->path[length] = 0;
  }
  names_free(&names);
  return error;
}

static int open_lowers(struct changes *c, struct blob list) {
  for (const char *path = list_next(list, NULL); path; path = list_next(list, path)) {
    if (c->lower_count == MOST_LOWERS) return run_fail(c->run, -E2BIG, "more than %d layers", MOST_LOWERS);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return run_fail(c->run, -errno, "open %.300s: %s", path, strerror(errno));
    c->lowers[c->lower_count++] = fd;
  }
  return 0;
}

int op_changes(struct run *run, const struct record *r) {
  if (!blob_is_text(r->b[0])) return -EINVAL;
  struct changes *c = calloc(1, sizeof *c);
  uint16_t all[MOST_LOWERS];
  if (!c) return -ENOMEM;
  c->run = run;
  tree_raise_limit();
  struct level top = {.directory = tree_open(r->b[0].bytes), .told = true, .lowers = all};
  int error = top.directory < 0 ? top.directory : open_lowers(c, r->b[1]);
  for (size_t i = 0; i < c->lower_count; i++) all[i] = (uint16_t)i;
  top.count = c->lower_count;
  if (error == 0) error = walk(c, &top);
  if (error == 0) error = run_output(run, c->text.bytes, c->text.length);
  for (size_t i = 0; i < c->lower_count; i++) close(c->lowers[i]);
  if (top.directory >= 0) close(top.directory);
  free(c->text.bytes);
  free(c);
  return error;
}
