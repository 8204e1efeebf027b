#define _GNU_SOURCE
#include "archive_root.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "apply.h"
#include "inroot.h"
#include "system.h"

/* The namespace and the root are of one process: its start time would tell a reused id, but hulld holds its pidfd until we answer. */
static int enter_process(int pid, const char **what) {
  char path[64];
  *what = "enter the process";
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
  int ns = open(path, O_RDONLY | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/%d/root", pid);
  int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (ns < 0 || root < 0) return errno == ENOENT ? -ESRCH : -errno;
  prctl(PR_SET_DUMPABLE, 0);
  if (setns(ns, CLONE_NEWNS) || fchdir(root) || chroot(".")) return -errno;
  close(ns);
  return root;
}

static int attach(int tree, int at) {
  return sys_move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ? -errno : 0;
}

static int read_only(int tree) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  return sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes) ? -errno : 0;
}

/* "SOURCE:DESTINATION[:ro]"; a colon in a path can't be said. */
static int bind_one(const char *root_path, const char *text) {
  char source[PATH_MAX];
  const char *colon = strchr(text, ':');
  if (!colon || colon - text >= PATH_MAX) return -EINVAL;
  snprintf(source, sizeof source, "%.*s", (int)(colon - text), text);
  char target[PATH_MAX];
  if (snprintf(target, sizeof target, "%s", colon + 1) >= (int)sizeof target) return -ENAMETOOLONG;
  size_t length = strlen(target);
  bool ro = length > 3 && strcmp(target + length - 3, ":ro") == 0;
  if (ro) target[length - 3] = 0;
  struct stat st;
  if (stat(source, &st)) return -errno;
  int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int at = root < 0 ? -errno : inroot_make(root, target, S_ISDIR(st.st_mode) ? INROOT_DIRECTORY : INROOT_FILE, 0755);
  if (root >= 0) close(root);
  if (at < 0) return at;
  int tree = sys_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | AT_RECURSIVE), error = tree < 0 ? -errno : 0;
  if (error == 0 && ro) error = read_only(tree);
  if (error == 0) error = attach(tree, at);
  if (tree >= 0) close(tree);
  close(at);
  return error;
}

static int root_read_only(const char *path) {
  int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE), at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int error = tree < 0 || at < 0 ? -errno : read_only(tree);
  if (error == 0) error = attach(tree, at);
  if (tree >= 0) close(tree);
  if (at >= 0) close(at);
  return error;
}

/* Mount points are made while the root can still be written. */
static int make_points(const struct archive_arguments *a) {
  for (size_t i = 0; i < a->bind_count; i++) {
    int error = bind_one(a->root, a->binds[i]);
    if (error) return error;
  }
  return 0;
}

static int own_namespace(const struct archive_arguments *a, const char **what) {
  *what = "make a mount namespace";
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)) return -errno;
  *what = "bind into the root";
  int error = make_points(a);
  if (error || !a->read_only) return error;
  *what = "make the root read-only";
  error = root_read_only(a->root);
  if (error) return error;
  *what = "bind into the root"; /* again, on top of what is read-only now */
  return make_points(a);
}

int archive_root(const struct archive_arguments *a, const char **what) {
  if (a->pid) return enter_process(a->pid, what);
  if (a->root && (a->bind_count || a->read_only)) {
    int error = own_namespace(a, what);
    if (error) return error;
  }
  *what = "open";
  int root = open(a->root ? a->root : a->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root < 0 ? -errno : root;
}
