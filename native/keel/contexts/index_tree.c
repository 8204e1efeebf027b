/* The index of a directory as it is seen: a merged view of layers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "apply.h"
#include "archive_root.h"
#include "files.h"
#include "ingest.h"
#include "tar_write.h"
#include "tree.h"

enum { READ_BYTES = 256 * 1024, BULK_NICE = 5 };

void files_begin(const char *name) {
  prctl(PR_SET_NAME, name);
  errno = 0;
  if (nice(BULK_NICE) == -1 && errno) fprintf(stderr, "nice: %s\n", strerror(errno)); /* no reason not to work */
}

struct census {
  struct index index;
  struct links links;
  uint8_t *memory;
  bool unread;         /* files are not hashed */
  char path[PATH_MAX]; /* of the entry in hand */
};

static int hash(struct census *c, int directory, const char *name, struct index_entry *e) {
  uint8_t digest[SHA256_BYTES];
  struct sha256 sum;
  ssize_t n;
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  sha256_init(&sum);
  for (e->size = 0; (n = read(fd, c->memory, READ_BYTES)) > 0; e->size += (uint64_t)n) sha256_add(&sum, c->memory, (size_t)n);
  int error = n < 0 ? -errno : 0;
  close(fd);
  sha256_end(&sum, digest);
  sha256_text(digest, e->sha256);
  return error;
}

static char kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    default: return 's';
  }
}

static int describe(struct census *c, int directory, const char *name, const struct stat *st, struct index_entry *e) {
  struct tar_xattr xattrs[TAR_MOST_XATTRS];
  char target[PATH_MAX] = "";
  size_t count;
  int error = 0;
  const char *first = S_ISDIR(st->st_mode) || st->st_nlink < 2 ? NULL : links_seen(&c->links, st, c->path, &error);
  *e = (struct index_entry){.kind = first ? 'h' : kind_of(st->st_mode), .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid,
                            .seconds = st->st_mtim.tv_sec, .nanoseconds = (uint32_t)st->st_mtim.tv_nsec};
  bool device = e->kind == 'c' || e->kind == 'b';
  e->major = device ? major(st->st_rdev) : 0;
  e->minor = device ? minor(st->st_rdev) : 0;
  if (e->kind == 'f') e->size = (uint64_t)st->st_size;
  if (error == 0 && e->kind == 'f' && !c->unread) error = hash(c, directory, name, e);
  if (error == 0 && e->kind == 'l') {
    ssize_t n = readlinkat(directory, name, target, sizeof target - 1);
    if (n < 0) error = -errno;
    target[n < 0 ? 0 : n] = 0;
  }
  if (error == 0 && !first) error = tar_carried_xattrs(directory, name, xattrs, &count);
  if (error == 0 && !first) error = index_xattrs(e, xattrs, count);
  e->path = strdup(c->path);
  e->link = strdup(first ? first : target);
  if (error == 0) error = e->path && e->link ? index_add(&c->index, e) : -ENOMEM;
  if (error) free(e->path), free(e->link), free(e->xattrs);
  return error;
}

static int walk(struct census *c, int directory);

static int look(struct census *c, int directory, const char *name) {
  struct stat st;
  struct index_entry e;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW)) return -errno;
  int error = describe(c, directory, name, &st, &e);
  if (error || !S_ISDIR(st.st_mode)) return error;
  int inside = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inside < 0) return -errno;
  error = walk(c, inside);
  close(inside);
  return error;
}

static int walk(struct census *c, int directory) {
  struct names names;
  size_t length = strlen(c->path);
  int error = names_read(directory, &names);
  if (error) return error;
  for (size_t i = 0; i < names.count && error == 0; i++) {
    if (length + strlen(names.list[i]) + 2 > sizeof c->path) error = -ENAMETOOLONG;
    else snprintf(c->path + length, sizeof c->path - length, "%s%s", length ? "/" : "", names.list[i]);
    if (error == 0) error = look(c, directory, names.list[i]);
    if (error == 0) c->path[length] = 0; /* else it says whose */
  }
  names_free(&names);
  return error;
}

/* The directories that lead to c->path, and it. */
static int describe_way(struct census *c, int top) {
  char whole[PATH_MAX];
  struct stat st;
  struct index_entry e;
  int error = 0;
  memcpy(whole, c->path, sizeof whole);
  for (size_t end = *whole ? strcspn(whole, "/") : 0; error == 0 && end; end = whole[end] ? end + 1 + strcspn(whole + end + 1, "/") : 0) {
    c->path[0] = 0;
    strncat(c->path, whole, end);
    error = fstatat(top, c->path, &st, AT_SYMLINK_NOFOLLOW) ? -errno : describe(c, top, c->path, &st, &e);
  }
  return error;
}

static int take_census(struct census *c, const char *root, const char *index) {
  int top = tree_open(root);
  if (top < 0) return top;
  int directory = open_in_root(top, c->path, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  int error = directory < 0 ? directory : describe_way(c, top);
  if (error == 0) error = walk(c, directory);
  if (directory >= 0) close(directory);
  close(top);
  return error ? error : index_write(&c->index, index);
}

int index_main(int argc, char **argv) {
  static const struct option long_options[] = {{"root", required_argument, NULL, 'r'}, {"path", required_argument, NULL, 'p'}, {"index", required_argument, NULL, 'i'}, {"unread", no_argument, NULL, 'u'}, {0}};
  static const char usage[] = "usage: keel index --root DIRECTORY --path PATH --index FILE [--unread]";
  struct census c = {.memory = malloc(READ_BYTES)};
  const char *root = NULL, *index = NULL, *path = NULL;
  for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    if (option == 'r') root = optarg;
    else if (option == 'p') path = optarg;
    else if (option == 'i') index = optarg;
    else if (option == 'u') c.unread = true;
    else return archive_report(EINVAL, usage, "", 0);
  }
  if (!root || !path || !index || optind != argc || path_clean(path, c.path)) return archive_report(EINVAL, usage, "", 0);
  files_begin("keel-index");
  tree_raise_limit();
  int error = c.memory ? take_census(&c, root, index) : -ENOMEM;
  int code = error ? archive_report_path(error, "index", c.path) : 0;
  index_free(&c.index);
  links_free(&c.links);
  free(c.memory);
  return code;
}
