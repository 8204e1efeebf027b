/* OCI image-spec, layer.md "Whiteouts": ".wh.NAME" deletes NAME of the layers below, ".wh..wh..opq" hides all they have in a directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "apply.h"
#include "tree.h"

static const char prefix[] = ".wh.", meta_prefix[] = ".wh..wh.", opaque[] = ".wh..wh..opq";

int apply_opaque(struct apply *a, int directory) {
  const char *name = a->options->user_xattr ? "user.overlay.opaque" : "trusted.overlay.opaque";
  return fsetxattr(directory, name, "y", 1, 0) ? -errno : 0;
}

static int open_directory(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int mark_opaque(struct apply *a, int parent, const char *name) {
  int fd = open_directory(parent, name);
  if (fd < 0) return fd;
  int error = apply_opaque(a, fd);
  close(fd);
  return error;
}

static int device_whiteout(struct apply *a, const struct tar_entry *e, int parent, const char *name) {
  if (mknodat(parent, name, S_IFCHR, 0) == 0) {
    uint32_t uid = a->options->own ? a->options->uid : e->uid, gid = a->options->own ? a->options->gid : e->gid;
    return fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
  }
  if (errno != EEXIST) return -errno;
  /* This layer has the name too: whiteouts are about the layers below, so a directory hides theirs and anything else does anyway. */
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW)) return -errno;
  return S_ISDIR(st.st_mode) ? mark_opaque(a, parent, name) : 0;
}

/* Deletes what this archive did not make. `path` is the directory's, with room to grow. */
static int delete_unseen(struct apply *a, int directory, char path[PATH_MAX]) {
  struct names names;
  int error = names_read(directory, &names);
  if (error) return error;
  size_t length = strlen(path);
  for (size_t i = 0; error == 0 && i < names.count; i++) {
    if (snprintf(path + length, PATH_MAX - length, "%s%s", length ? "/" : "", names.list[i]) >= (int)(PATH_MAX - length)) error = -ENAMETOOLONG;
    else if (!seen_has(&a->seen, path)) error = tree_remove(directory, names.list[i]);
    else {
      int inside = open_directory(directory, names.list[i]);
      if (inside >= 0) error = delete_unseen(a, inside, path);
      if (inside >= 0) close(inside);
    }
  }
  path[length] = 0;
  names_free(&names);
  return error;
}

static int delete_all_below(struct apply *a, const struct spot *at) {
  char path[PATH_MAX];
  const char *slash = strrchr(at->clean, '/');
  snprintf(path, sizeof path, "%.*s", slash ? (int)(slash - at->clean) : 0, at->clean);
  int fd = open_directory(at->parent, ".");
  if (fd < 0) return fd;
  int error = delete_unseen(a, fd, path);
  close(fd);
  place_forget(&a->place);
  return error;
}

static int delete_one(struct apply *a, const struct spot *at, const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%.*s%s", (int)(strlen(at->clean) - strlen(at->base)), at->clean, name);
  if (seen_has(&a->seen, path)) return 0;
  int error = tree_remove(at->parent, name);
  place_forget(&a->place);
  return error;
}

int apply_whiteout(struct apply *a, const struct tar_entry *e, const struct spot *at) {
  enum apply_format format = a->options->format;
  if (format == APPLY_LITERAL || strncmp(at->base, prefix, sizeof prefix - 1) != 0) return 0;
  const char *name = at->base + sizeof prefix - 1;
  int error = 0;
  if (strcmp(at->base, opaque) == 0) {
    error = format == APPLY_OVERLAY ? mark_opaque(a, at->parent, ".") : delete_all_below(a, at);
  } else if (strncmp(at->base, meta_prefix, sizeof meta_prefix - 1) == 0) {
    return 1; /* aufs' own book-keeping */
  } else if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return apply_fail(a, -EBADMSG, "a whiteout names no file", e->name);
  } else {
    error = format == APPLY_OVERLAY ? device_whiteout(a, e, at->parent, name) : delete_one(a, at, name);
  }
  return error ? apply_fail(a, error, "apply the whiteout", e->name) : 1;
}
