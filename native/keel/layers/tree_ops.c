/* The operations on trees. Each runs in the plan's own process. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "apply.h"
#include "plan.h"
#include "stat_text.h"
#include "tree.h"

/* By its parent: what is deleted is the name, never what a link of that name leads to. */
static int remove_path(const char *path) {
  char parent[PATH_MAX];
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  if (length >= sizeof parent) return -ENAMETOOLONG;
  memcpy(parent, path, length);
  parent[length] = 0;
  char *slash = strrchr(parent, '/');
  const char *name = slash ? slash + 1 : parent;
  if (!slash || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return -EINVAL;
  *slash = 0;
  int directory = open(*parent ? parent : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno == ENOENT ? 0 : -errno;
  int error = tree_remove(directory, name);
  close(directory);
  return error;
}

int op_remove_tree(struct run *run, const struct record *r) {
  if (!blob_is_text(r->b[0])) return -EINVAL;
  tree_raise_limit();
  int error = remove_path(r->b[0].bytes);
  return error == -EXDEV ? run_fail(run, -EBUSY, "something is mounted below %.300s", r->b[0].bytes) : error;
}

static int usage_below(int directory, struct links *links, struct tree_usage *u) {
  struct names names;
  int error = names_read(directory, &names);
  for (size_t i = 0; error == 0 && i < names.count; i++) {
    struct stat st;
    if (fstatat(directory, names.list[i], &st, AT_SYMLINK_NOFOLLOW)) {
      if (errno != ENOENT) error = -errno;
      continue; /* gone since it was listed: a live tree changes */
    }
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && links_seen(links, &st, "", &error)) continue;
    u->bytes += (uint64_t)st.st_blocks * 512;
    u->inodes++;
    if (!S_ISDIR(st.st_mode)) continue;
    int inside = tree_enter(directory, names.list[i]);
    if (inside >= 0) {
      error = usage_below(inside, links, u);
      close(inside);
    } else if (inside != -ENOENT && inside != -ENOTDIR && inside != -ELOOP && inside != -EXDEV) {
      error = inside;
    }
  }
  names_free(&names);
  return error;
}

int tree_usage(int directory, struct tree_usage *u) {
  struct links links = {0};
  struct stat st;
  if (fstat(directory, &st)) return -errno;
  *u = (struct tree_usage){(uint64_t)st.st_blocks * 512, 1};
  int error = usage_below(directory, &links, u);
  links_free(&links);
  return error;
}

int op_usage(struct run *run, const struct record *r) {
  struct tree_usage usage;
  if (!blob_is_text(r->b[0])) return -EINVAL;
  tree_raise_limit();
  int fd = tree_open(r->b[0].bytes);
  if (fd < 0) return fd;
  int error = tree_usage(fd, &usage);
  close(fd);
  return error ? error : run_output(run, &usage, sizeof usage);
}

/* One string is a path; two are a root and a path resolved inside it, as links in an image are not ours to follow. */
static int open_source(struct blob from) {
  const char *root = list_next(from, NULL), *inside = root ? list_next(from, root) : NULL;
  if (!root) return -EINVAL;
  int fd = tree_open(root);
  if (fd < 0 || !inside) return fd;
  char clean[PATH_MAX];
  int error = path_clean(inside, clean);
  int below = error ? error : open_in_root(fd, clean, O_RDONLY | O_DIRECTORY, 0);
  close(fd);
  return below;
}

int op_copy_tree(struct run *run, const struct record *r) {
  if (!blob_is_text(r->b[1])) return -EINVAL;
  tree_raise_limit();
  int from = open_source(r->b[0]);
  if (from < 0) return from;
  int to = tree_open(r->b[1].bytes), error = to < 0 ? to : tree_copy(from, to, run->text, sizeof run->text);
  if (to >= 0) close(to);
  close(from);
  return error;
}

int op_stat_in(struct run *run, const struct record *r) {
  char text[STAT_TEXT_BYTES];
  int root = slot_fd(run, r->i[0]);
  if (root < 0) return root;
  if (!blob_is_text(r->b[0])) return -EINVAL;
  int length = stat_text(root, r->b[0].bytes, r->i[1] != 0, text);
  return length < 0 ? length : run_output(run, text, (size_t)length);
}
