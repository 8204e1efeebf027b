/* An entry made of a file as it is on disk. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tar_write.h"

enum { NAMES_BYTES = 64 * 1024, VALUES_BYTES = 256 * 1024 };

/* What a layer carries: capabilities and what users set. Security labels are the host's, overlay's marks are not the file's. */
static bool is_carried(const char *name) {
  return strcmp(name, "security.capability") == 0 || (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

/* By name in the directory: no descriptor of a device or a FIFO is needed that way. */
int tar_carried_xattrs(int directory, const char *in, struct tar_xattr list[TAR_MOST_XATTRS], size_t *count) {
  static char names[NAMES_BYTES], values[VALUES_BYTES]; /* untouched pages cost nothing; one per process */
  *count = 0;
  if (fchdir(directory)) return -errno;
  ssize_t n = llistxattr(in, names, sizeof names);
  if (n < 0) return errno == EOPNOTSUPP ? 0 : -errno;
  size_t used = 0;
  for (const char *name = names; name < names + n && *count < TAR_MOST_XATTRS; name += strlen(name) + 1) {
    if (!is_carried(name)) continue;
    ssize_t length = lgetxattr(in, name, values + used, sizeof values - used);
    if (length < 0 && errno == ENODATA) continue; /* removed meanwhile */
    if (length < 0) return -errno;
    list[(*count)++] = (struct tar_xattr){name, values + used, (uint32_t)length};
    used += (size_t)length;
  }
  return 0;
}

static enum tar_type type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return TAR_DIRECTORY;
    case S_IFLNK: return TAR_SYMLINK;
    case S_IFCHR: return TAR_CHAR;
    case S_IFBLK: return TAR_BLOCK_DEVICE;
    case S_IFIFO: return TAR_FIFO;
    default: return TAR_FILE;
  }
}

static int write_regular(struct tar_writer *w, const struct tar_source *s, struct tar_entry *e) {
  int fd = openat(s->directory, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat now;
  int error = fstat(fd, &now) ? -errno : S_ISREG(now.st_mode) ? 0 : -EAGAIN; /* something else stands there now */
  if (error == 0) {
    e->size = (uint64_t)now.st_size;
    error = tar_write_entry(w, e);
  }
  if (error == 0) error = tar_write_file(w, fd, e->size);
  close(fd);
  return error;
}

int tar_write_path(struct tar_writer *w, const struct tar_source *s) {
  char target[PATH_MAX];
  if (S_ISSOCK(s->st.st_mode)) return 0;
  struct tar_entry e = {
      .name = s->as, .type = type_of(s->st.st_mode), .mode = s->st.st_mode & 07777, .uid = s->st.st_uid, .gid = s->st.st_gid,
      .mtime = {s->st.st_mtim.tv_sec, 0, true}};
  if (s->hard_link) {
    e.type = TAR_LINK;
    e.link = s->hard_link;
    return tar_write_entry(w, &e);
  }
  struct tar_xattr xattrs[TAR_MOST_XATTRS];
  int error = tar_carried_xattrs(s->directory, s->name, xattrs, &e.xattr_count);
  e.xattrs = xattrs;
  if (e.type == TAR_CHAR || e.type == TAR_BLOCK_DEVICE) {
    e.major = major(s->st.st_rdev);
    e.minor = minor(s->st.st_rdev);
  }
  if (error == 0 && e.type == TAR_SYMLINK) {
    ssize_t n = readlinkat(s->directory, s->name, target, sizeof target - 1);
    if (n < 0) error = -errno;
    target[n < 0 ? 0 : n] = 0;
    e.link = target;
  }
  if (error == 0) error = e.type == TAR_FILE ? write_regular(w, s, &e) : tar_write_entry(w, &e);
  return error;
}
