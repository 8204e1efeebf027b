#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "apply.h"
#include "tree.h"

int apply_fail(struct apply *a, int error, const char *what, const char *name) {
  struct apply_result *r = a->result;
  if (*r->text) return error; /* the first words are the nearest to the cause */
  snprintf(r->entry, sizeof r->entry, "%s", name);
  r->offset = a->tar.entry_offset;
  snprintf(r->text, sizeof r->text, "%s \"%.200s\" (at offset %llu): %s", what, name, (unsigned long long)r->offset, strerror(-error));
  return error;
}

static uint32_t owner(const struct apply *a, const struct tar_entry *e) { return a->options->own ? a->options->uid : e->uid; }
static uint32_t group(const struct apply *a, const struct tar_entry *e) { return a->options->own ? a->options->gid : e->gid; }

/* An access time is never before the modification, as Docker has it. */
static struct apply_times times_of(const struct tar_entry *e) {
  struct timespec modified = {.tv_sec = e->mtime.seconds, .tv_nsec = e->mtime.nanoseconds};
  struct timespec read = {.tv_sec = e->atime.seconds, .tv_nsec = e->atime.nanoseconds};
  return (struct apply_times){{e->atime.set && read.tv_sec > modified.tv_sec ? read : modified, modified}};
}

/* An image must not forge overlayfs' own marks: they could show other layers' files under other names. */
static bool is_overlays_own(const char *name) { return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0; }

/* By descriptor, or (fd -1) by name in the parent, which becomes the working directory: there is no setxattrat before 6.13. */
static int set_xattrs(struct apply *a, const struct tar_entry *e, int fd, const struct spot *at) {
  if (e->xattr_count && fd < 0 && fchdir(at->parent)) return -errno;
  for (size_t i = 0; i < e->xattr_count; i++) {
    const struct tar_xattr *x = &e->xattrs[i];
    if (is_overlays_own(x->name)) continue;
    int failed = fd >= 0 ? fsetxattr(fd, x->name, x->value, x->length, 0) : lsetxattr(at->base, x->name, x->value, x->length, 0);
    if (!failed) continue;
    /* The file system, the kind of file or our rights don't have them: told as a number, not an end. Capabilities are no ornament. */
    if (errno != EOPNOTSUPP && (errno != EPERM || strcmp(x->name, "security.capability") == 0)) return -errno;
    a->result->refused_xattrs++;
  }
  return 0;
}

static int write_extent(struct apply *a, int fd, const struct tar_extent *extent, bool seek) {
  if (seek && lseek(fd, (off_t)extent->offset, SEEK_SET) < 0) return -errno;
  uint64_t left = extent->length;
  while (left) {
    const uint8_t *bytes;
    ssize_t n = tar_data(&a->tar, &bytes);
    if (n <= 0) return n < 0 ? (int)n : -EBADMSG;
    size_t size = (uint64_t)n < left ? (size_t)n : (size_t)left;
    ssize_t written = write(fd, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    tar_take(&a->tar, (size_t)written);
    left -= (size_t)written;
  }
  return 0;
}

static int write_bytes(struct apply *a, const struct tar_entry *e, int fd) {
  uint64_t end = 0;
  int error = 0;
  for (size_t i = 0; error == 0 && i < e->extent_count; i++) {
    if (e->extents[i].length == 0) continue; /* marks the end of a file that ends in a hole */
    error = write_extent(a, fd, &e->extents[i], e->extents[i].offset != end);
    end = e->extents[i].offset + e->extents[i].length;
  }
  if (error == 0 && end != e->size && ftruncate(fd, (off_t)e->size)) error = -errno;
  a->result->file_bytes += e->size;
  return error;
}

static int finish(struct apply *a, const struct tar_entry *e, int fd) {
  if (fchown(fd, owner(a, e), group(a, e))) return -errno;
  int error = set_xattrs(a, e, fd, NULL);
  if (error) return error;
  return fchmod(fd, e->mode) ? -errno : 0;
}

static int make_file(struct apply *a, const struct tar_entry *e, const struct spot *at) {
  int fd = openat(at->parent, at->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return -errno;
  struct apply_times times = times_of(e);
  int error = write_bytes(a, e, fd);
  if (error == 0) error = finish(a, e, fd);
  if (error == 0 && futimens(fd, times.pair)) error = -errno;
  if (close(fd) && error == 0) error = -errno;
  return error;
}

static int remember_times(struct apply *a, const struct tar_entry *e, const char *clean) {
  if (a->late_count == a->late_room) {
    size_t room = a->late_room ? a->late_room * 2 : 256;
    struct late_times *grown = realloc(a->late, room * sizeof *grown);
    if (!grown) return -ENOMEM;
    a->late = grown;
    a->late_room = room;
  }
  char *path = strdup(clean);
  if (!path) return -ENOMEM;
  a->late[a->late_count++] = (struct late_times){path, times_of(e)};
  return 0;
}

static int finish_directory(struct apply *a, const struct tar_entry *e, struct spot at) {
  int fd = openat(at.parent, at.base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = finish(a, e, fd);
  if (error == 0 && at.was_whiteout) error = apply_opaque(a, fd);
  close(fd);
  return error ? error : remember_times(a, e, at.clean);
}

static int make_link(struct apply *a, const struct tar_entry *e, const struct spot *at) {
  char clean[PATH_MAX];
  const char *target;
  struct place place = {.root = a->options->root, .fd = -1};
  int error = path_in_place(a->options->place, e->link, clean);
  if (error) return error;
  const char *slash = strrchr(clean, '/');
  target = slash ? slash + 1 : clean;
  if (!*target) return -EPERM; /* a link to the root */
  /* Unlike place_parent this makes no directories. */
  snprintf(place.parent, sizeof place.parent, "%.*s", slash ? (int)(slash - clean) : 0, clean);
  int from = open_in_root(place.root, place.parent, O_PATH | O_DIRECTORY, 0);
  if (from < 0) return from;
  error = linkat(from, target, at->parent, at->base, 0) ? -errno : 0; /* a link as target is linked itself, not followed */
  close(from);
  return error;
}

/* What has no descriptor of its own to work with. The mode is given at making (umask is 0): chmod would follow a link put in between. */
static int make_special(struct apply *a, const struct tar_entry *e, const struct spot *at) {
  static const struct { char type; mode_t mode; } kinds[] = {{TAR_CHAR, S_IFCHR}, {TAR_BLOCK_DEVICE, S_IFBLK}, {TAR_FIFO, S_IFIFO}};
  int failed = -1;
  if (e->type == TAR_SYMLINK) failed = symlinkat(e->link, at->parent, at->base);
  for (size_t i = 0; i < 3; i++)
    if (kinds[i].type == (char)e->type) failed = mknodat(at->parent, at->base, kinds[i].mode | e->mode, makedev(e->major, e->minor));
  if (failed || fchownat(at->parent, at->base, owner(a, e), group(a, e), AT_SYMLINK_NOFOLLOW)) return -errno;
  if (e->type == TAR_SYMLINK) a->result->file_bytes += strlen(e->link);
  int error = set_xattrs(a, e, -1, at);
  struct apply_times times = times_of(e);
  if (error == 0 && utimensat(at->parent, at->base, times.pair, AT_SYMLINK_NOFOLLOW)) error = -errno;
  return error;
}

static int make(struct apply *a, const struct tar_entry *e, const struct spot *at) {
  switch (e->type) {
    case TAR_FILE: return make_file(a, e, at);
    case TAR_LINK: return make_link(a, e, at);
    case TAR_DIRECTORY: return mkdirat(at->parent, at->base, 0700) ? -errno : 0;
    default: return make_special(a, e, at);
  }
}

/* Makes room for an entry whose name is taken. 1: it stays (a directory that is merged). */
static int replace(struct apply *a, const struct tar_entry *e, struct spot *at) {
  struct stat st;
  if (fstatat(at->parent, at->base, &st, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT ? 0 : -errno;
  bool is = S_ISDIR(st.st_mode), becomes = e->type == TAR_DIRECTORY;
  if (is && becomes) return 1;
  if (a->options->no_overwrite && is != becomes) {
    const char *what = is ? "cannot overwrite directory with non-directory" : "cannot overwrite non-directory with directory";
    return apply_fail(a, is ? -EISDIR : -ENOTDIR, what, e->name);
  }
  at->was_whiteout = S_ISCHR(st.st_mode) && st.st_rdev == 0 && a->options->format == APPLY_OVERLAY;
  int error = tree_remove(at->parent, at->base);
  if (error) return error;
  place_forget(&a->place); /* what is remembered may have been below */
  at->parent = place_parent(&a->place, at->clean, &at->base);
  return at->parent < 0 ? at->parent : 0;
}

static int apply_root(struct apply *a, const struct tar_entry *e) {
  if (e->type != TAR_DIRECTORY) return apply_fail(a, -EBADMSG, "the root itself is not a directory in the archive", e->name);
  if (a->options->format == APPLY_LITERAL) return 0; /* Docker leaves the place it unpacks into as it is */
  int error = finish_directory(a, e, (struct spot){.parent = a->options->root, .base = ".", .clean = ""});
  return error ? apply_fail(a, error, "set the attributes of", e->name) : 0;
}

static int make_over(struct apply *a, const struct tar_entry *e, struct spot *at) {
  int error = make(a, e, at);
  if (error != -EEXIST) return error;
  error = replace(a, e, at);
  return error == 0 ? make(a, e, at) : error < 0 ? error : 0;
}

int apply_entry(struct apply *a, const struct tar_entry *e) {
  char clean[PATH_MAX];
  struct spot at = {.clean = clean};
  int error = path_in_place(a->options->place, e->name, clean);
  if (error) return apply_fail(a, error, "make", e->name);
  if (!*clean) return apply_root(a, e);
  at.parent = place_parent(&a->place, clean, &at.base);
  if (at.parent < 0) return apply_fail(a, at.parent, "make the directory of", e->name);
  error = apply_whiteout(a, e, &at);
  if (error) return error < 0 ? error : 0;
  error = make_over(a, e, &at);
  if (error == 0 && e->type == TAR_DIRECTORY) error = finish_directory(a, e, at);
  if (error == 0 && a->options->format == APPLY_DELETE) error = seen_add(&a->seen, clean);
  return error ? apply_fail(a, error, e->type == TAR_LINK ? "link" : "make", e->name) : 0;
}
