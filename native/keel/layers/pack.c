#define _GNU_SOURCE
#include "pack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

static bool is_whiteout(const struct packing *p, const struct stat *st) { return p->whiteouts && S_ISCHR(st->st_mode) && st->st_rdev == 0; }

static bool is_kernels(int fd) {
  static const unsigned long magics[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC, MQUEUE_MAGIC,
                                         DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC};
  struct statfs fs;
  if (fstatfs(fd, &fs)) return false;
  for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
    if ((unsigned long)fs.f_type == magics[i]) return true;
  return false;
}

static bool has_mark(int fd, const char *trusted, const char *user) {
  char value[8];
  return fgetxattr(fd, trusted, value, sizeof value) >= 1 || fgetxattr(fd, user, value, sizeof value) >= 1;
}

static int put_marker(struct packing *p, const char *prefix, const char *base, const struct stat *st) {
  char name[PATH_MAX];
  const char *slash = strrchr(p->name, '/');
  /* For an opaque directory the marker is inside it, for a whiteout beside. */
  int before = base ? (slash ? (int)(slash - p->name) + 1 : 0) : (int)strlen(p->name);
  if (snprintf(name, sizeof name, "%.*s%s%s%s", before, p->name, !base && before ? "/" : "", prefix, base ? base : "") >= (int)sizeof name) return -ENAMETOOLONG;
  const struct tar_entry e = {.name = name, .type = TAR_FILE, .mode = 0600, .uid = st->st_uid, .gid = st->st_gid, .mtime = {st->st_mtim.tv_sec, 0, true}};
  return tar_write_entry(p->writer, &e);
}

static int pack_one(struct packing *p, int directory, const char *name);

static bool is_left_out(struct packing *p, int directory, const char *name, const struct stat *st);

/* Nothing is in it, or only what is left out. */
static bool holds_nothing(struct packing *p, int directory, const char *name) {
  struct names names;
  int fd = tree_enter(directory, name);
  if (fd < 0) return false;
  bool nothing = names_read(fd, &names) == 0;
  size_t length = strlen(p->name);
  for (size_t i = 0; nothing && i < names.count; i++) {
    struct stat st;
    int n = snprintf(p->name + length, sizeof p->name - length, "/%s", names.list[i]);
    nothing = n < (int)(sizeof p->name - length) && fstatat(fd, names.list[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && is_left_out(p, fd, names.list[i], &st);
  }
  p->name[length] = 0;
  names_free(&names);
  close(fd);
  return nothing;
}

/* As the runtime makes them: an empty file, or a directory of root's with the usual mode. Anything else is the container's own. */
static bool is_left_out(struct packing *p, int directory, const char *name, const struct stat *st) {
  bool listed = false;
  for (const char *one = list_next(p->left_out, NULL); one && !listed; one = list_next(p->left_out, one)) listed = strcmp(one, p->name) == 0;
  if (!listed) return false;
  if (S_ISREG(st->st_mode)) return st->st_size == 0;
  return S_ISDIR(st->st_mode) && (st->st_mode & 07777) == 0755 && st->st_uid == 0 && st->st_gid == 0 && holds_nothing(p, directory, name);
}

static int pack_children(struct packing *p, int fd) {
  struct names names;
  int error = names_read(fd, &names);
  if (error) return error;
  size_t at = strlen(p->name);
  const char *between = at && p->name[at - 1] != '/' ? "/" : "";
  for (size_t i = 0; error == 0 && i < names.count; i++) {
    if (snprintf(p->name + at, sizeof p->name - at, "%s%s", between, names.list[i]) >= (int)(sizeof p->name - at)) error = -ENAMETOOLONG;
    else error = pack_one(p, fd, names.list[i]);
  }
  p->name[at] = 0;
  names_free(&names);
  return error;
}

static int pack_inside(struct packing *p, int directory, const char *name, const struct stat *st) {
  int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
  int error = 0;
  if (p->whiteouts && (has_mark(fd, "trusted.overlay.redirect", "user.overlay.redirect"))) error = -EOPNOTSUPP;
  if (error == 0 && p->whiteouts && has_mark(fd, "trusted.overlay.opaque", "user.overlay.opaque")) error = put_marker(p, ".wh..wh..opq", NULL, st);
  if (error == 0) error = pack_children(p, fd);
  close(fd);
  return error;
}

static int pack_one(struct packing *p, int directory, const char *name) {
  struct tar_source source = {.directory = directory, .name = name, .as = p->name};
  if (fstatat(directory, name, &source.st, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT ? 0 : -errno; /* gone since it was listed */
  if (p->left_out.length && is_left_out(p, directory, name, &source.st)) return 0;
  if (is_whiteout(p, &source.st)) return put_marker(p, ".wh.", name, &source.st);
  int error = 0;
  bool directory_itself = S_ISDIR(source.st.st_mode);
  if (!directory_itself && source.st.st_nlink > 1) source.hard_link = links_seen(&p->links, &source.st, p->name, &error);
  if (error == 0 && *p->name) error = tar_write_path(p->writer, &source);
  if (error == -ENOENT || error == -ELOOP || error == -EAGAIN) return 0; /* replaced while we looked: only before its header was written */
  if (error || !directory_itself) return error;
  if (p->skip_kernel) {
    int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool skip = fd >= 0 && is_kernels(fd);
    if (fd >= 0) close(fd);
    if (skip) return 0;
  }
  return pack_inside(p, directory, name, &source.st);
}

int pack_tree(struct packing *p, int directory, const char *name) {
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW)) return -errno;
  if (!S_ISDIR(st.st_mode)) return pack_one(p, directory, name);
  /* What was asked for by name is given, wherever it lies. */
  const struct tar_source source = {.directory = directory, .name = name, .as = p->name, .st = st};
  int error = *p->name ? tar_write_path(p->writer, &source) : 0;
  return error ? error : pack_inside(p, directory, name, &st);
}

void pack_close(struct packing *p) { links_free(&p->links); }
