#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tree.h"

enum { DEEPEST = 64 };

int tree_enter(int directory, const char *name) {
  struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
  long fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
  return fd < 0 ? -errno : (int)fd;
}

struct removal {
  int top;             /* where what lies too deep is moved to */
  unsigned moved;
};

static int remove_contents(struct removal *r, int directory, int depth);

/* Too deep for one more descriptor: it becomes a child of the top, whose loop finds it there. */
static int move_up(struct removal *r, int directory, const char *name) {
  char place[40];
  for (;;) {
    snprintf(place, sizeof place, ".keel-removing-%u", r->moved++);
    if (renameat2(directory, name, r->top, place, RENAME_NOREPLACE) == 0 || errno == ENOENT) return 0;
    if (errno != EEXIST) return -errno;
  }
}

static int remove_one(struct removal *r, int directory, const char *name, int depth) {
  if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  if (unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return errno == ENOTDIR ? -EPERM : -errno;
  if (depth == DEEPEST) return move_up(r, directory, name);
  int inside = tree_enter(directory, name);
  if (inside < 0) return inside == -ENOENT ? 0 : inside;
  int error = remove_contents(r, inside, depth + 1);
  close(inside);
  if (error == 0 && unlinkat(directory, name, AT_REMOVEDIR) && errno != ENOENT) error = -errno;
  return error;
}

/* Reads until nothing is left, because the top gets more while it is read. */
static int remove_contents(struct removal *r, int directory, int depth) {
  struct names names = {0};
  int error;
  do {
    names_free(&names);
    error = names_read(directory, &names);
    for (size_t i = 0; error == 0 && i < names.count; i++) error = remove_one(r, directory, names.list[i], depth);
  } while (error == 0 && names.count && depth == 0);
  names_free(&names);
  return error;
}

int tree_remove(int directory, const char *name) {
  if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  int top = tree_enter(directory, name);
  if (top < 0) return top == -ENOENT ? 0 : top == -ENOTDIR ? -EPERM : top;
  struct removal removal = {.top = top};
  int error = remove_contents(&removal, top, 0);
  close(top);
  if (error == 0 && unlinkat(directory, name, AT_REMOVEDIR) && errno != ENOENT) error = -errno;
  return error;
}
