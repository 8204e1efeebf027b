#define _GNU_SOURCE
#include "gather.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include "archive_root.h"
#include "files.h"
#include "ingest.h"
#include "system.h"

enum { MOST_GROUPS = 65536 };

struct gather {
  int directory;
  uid_t user; /* whose rights files are opened with */
  struct objects objects;
  struct index index;
  char *path, *attributes;
  size_t path_room, attributes_room;
};

/* "DEVICE:INODE" tells that it is the directory that was meant. */
static int open_directory(const char *place, int *pid) {
  struct stat st;
  int fd;
  uint64_t device, inode;
  char end;
  if (sscanf(place, "%d:%d:%" SCNu64 ":%" SCNu64 "%c", pid, &fd, &device, &inode, &end) != 4) return -EINVAL;
  int got = sys_descriptor_of(*pid, fd);
  if (got < 0) return -ESRCH;
  if (fstat(got, &st) == 0 && S_ISDIR(st.st_mode) && st.st_dev == device && st.st_ino == inode) return got;
  close(got);
  return -ESRCH;
}

/* The last of a line's numbers: the one for files. */
static bool last_number(const char *line, const char *name, unsigned *value) {
  size_t length = strlen(name);
  if (strncmp(line, name, length)) return false;
  return sscanf(line + length, "%*u %*u %*u %u", value) == 1;
}

static int take_groups(const char *line) {
  gid_t *groups = malloc(MOST_GROUPS * sizeof *groups);
  size_t count = 0;
  if (!groups) return -ENOMEM;
  for (char *end; count < MOST_GROUPS; line = end) {
    unsigned long group = strtoul(line, &end, 10);
    if (end == line) break;
    groups[count++] = (gid_t)group;
  }
  int error = setgroups(count, groups) ? -errno : 0;
  free(groups);
  return error;
}

/* Its groups are taken at once, its user for each file. */
static int take_identity(struct gather *g, int pid) {
  char path[64], *line = NULL;
  size_t room = 0;
  unsigned user = UINT_MAX, group = UINT_MAX;
  int error = 0;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *status = fopen(path, "re");
  if (!status) return -ESRCH;
  while (error == 0 && getline(&line, &room, status) > 0) {
    last_number(line, "Uid:", &user);
    last_number(line, "Gid:", &group);
    if (strncmp(line, "Groups:", 7) == 0) error = take_groups(line + 7);
  }
  free(line);
  fclose(status);
  if (error == 0 && (user == UINT_MAX || group == UINT_MAX)) error = -ESRCH;
  g->user = user;
  setfsgid(group);
  return error;
}

static int open_file(const struct gather *g, const char *path) {
  setfsuid(g->user);
  int fd = sys_openat2(g->directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  int error = fd < 0 ? -errno : 0;
  setfsuid(0);
  return error ? error : fd;
}

static int take_file(struct gather *g) {
  struct index_entry e = {.kind = 'f'};
  int64_t ns;
  struct stat st;
  char end;
  if (sscanf(g->attributes, "%o %u %u %" SCNd64 "%c", &e.mode, &e.uid, &e.gid, &ns, &end) != 4 || e.mode > 07777) return -EINVAL;
  index_time(&e, ns);
  int fd = open_file(g, g->path), error = fd < 0 ? fd : 0;
  if (fd < 0) return error;
  if (fstat(fd, &st) || !S_ISREG(st.st_mode)) error = -ENOENT; /* something else has its name now */
  if (error == 0) error = objects_take_file(&g->objects, fd, &e);
  close(fd);
  if (error) return error;
  e.path = strdup(g->path);
  e.link = strdup("");
  error = e.path && e.link ? index_add(&g->index, &e) : -ENOMEM;
  if (error) free(e.path), free(e.link);
  return error;
}

static int take_all(struct gather *g) {
  int error = 0;
  while (error == 0 && getdelim(&g->path, &g->path_room, 0, stdin) > 0) {
    if (getdelim(&g->attributes, &g->attributes_room, 0, stdin) <= 0) return -EINVAL;
    error = take_file(g);
  }
  return error ? error : ferror(stdin) ? -EIO : 0;
}

static int gather(struct gather *g, const char *store, const char *index) {
  int error = objects_open(&g->objects, store);
  umask(0);
  if (error == 0) error = take_all(g);
  if (error == 0) error = index_write(&g->index, index);
  objects_close(&g->objects);
  index_free(&g->index);
  return error;
}

int gather_main(int argc, char **argv) {
  static const struct option long_options[] = {
      {"store", required_argument, NULL, 's'}, {"index", required_argument, NULL, 'i'}, {"directory", required_argument, NULL, 'd'}, {0}};
  static const char usage[] = "usage: keel gather --store DIRECTORY --index FILE --directory PID:DESCRIPTOR:DEVICE:INODE";
  const char *store = NULL, *index = NULL, *directory = NULL;
  struct gather g = {.directory = -1};
  int pid;
  for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    if (option == 's') store = optarg;
    else if (option == 'i') index = optarg;
    else if (option == 'd') directory = optarg;
    else return archive_report(EINVAL, usage, "", 0);
  }
  if (!store || !index || !directory || optind != argc) return archive_report(EINVAL, usage, "", 0);
  files_begin("keel-gather");
  g.directory = open_directory(directory, &pid);
  if (g.directory == -EINVAL) return archive_report(EINVAL, usage, "", 0);
  if (g.directory < 0) return archive_report(g.directory, "the directory can't be had from the process", "", 0);
  int error = take_identity(&g, pid);
  if (error) return archive_report(error, "the process's rights can't be taken", "", 0);
  error = gather(&g, store, index);
  char text[PATH_MAX + 64];
  if (error) snprintf(text, sizeof text, "open %s: %s", g.path ? g.path : "", strerror(-error));
  int code = error ? archive_report(error, text, g.path ? g.path : "", 0) : 0;
  free(g.path);
  free(g.attributes);
  return code;
}
