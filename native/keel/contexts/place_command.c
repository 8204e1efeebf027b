#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "archive_root.h"
#include "files.h"
#include "place.h"

enum { FIELDS = 5, MOST_FIELDS = FIELDS + 2 * TAR_MOST_XATTRS };

/* The fields of a placement in hand. */
struct record {
  char *fields[MOST_FIELDS];
  size_t rooms[MOST_FIELDS];
};

static bool read_field(struct record *r, size_t at) { return getdelim(&r->fields[at], &r->rooms[at], 0, stdin) > 0; }

/* path | KIND MODE UID GID MTIME MAJOR MINOR XATTRS | link | source | SHA256 MODE UID GID MTIME or nothing | name | value ... */
static int read_placement(struct record *r, struct placement *m) {
  int64_t ns;
  char end;
  memset(m, 0, sizeof *m);
  if (!read_field(r, 0)) return ferror(stdin) ? -EIO : 0;
  for (size_t i = 1; i < FIELDS; i++)
    if (!read_field(r, i)) return -EINVAL;
  struct index_entry *e = &m->entry, *o = &m->object;
  if (sscanf(r->fields[1], "%c %o %u %u %" SCNd64 " %u %u %zu%c", &e->kind, &e->mode, &e->uid, &e->gid, &ns, &e->major, &e->minor, &e->xattr_count, &end) != 8) return -EINVAL;
  if (!strchr("fdlpcbsh", e->kind) || e->mode > 07777 || e->xattr_count > TAR_MOST_XATTRS) return -EINVAL;
  index_time(e, ns);
  e->path = r->fields[0];
  e->link = r->fields[2];
  m->source = r->fields[3];
  m->has_object = *r->fields[4];
  if (m->has_object) {
    if (sscanf(r->fields[4], "%64[0-9a-f] %o %u %u %" SCNd64 "%c", o->sha256, &o->mode, &o->uid, &o->gid, &ns, &end) != 5 || strlen(o->sha256) != 64) return -EINVAL;
    index_time(o, ns);
  }
  for (size_t i = 0; i < 2 * e->xattr_count; i++) {
    if (!read_field(r, FIELDS + i)) return -EINVAL;
    const char *value = r->fields[FIELDS + i];
    if (i % 2 && (strspn(value, "0123456789abcdef") != strlen(value) || strlen(value) % 2)) return -EINVAL;
  }
  m->xattrs = (const char **)r->fields + FIELDS;
  return 1;
}

static int place_all(struct placer *p, struct record *r) {
  struct placement m;
  int got = 0, error = 0;
  while (error == 0 && (got = read_placement(r, &m)) > 0) error = place_one(p, &m);
  return error ? error : got < 0 ? got : place_times(p);
}

static int open_path(const char *path, int flags) {
  int fd = open(path, flags | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int report(const struct placer *p, const struct record *r, int error) {
  const char *path = r->fields[0] ? r->fields[0] : "";
  return *p->problem ? archive_report(error, p->problem, path, 0) : archive_report_path(error, "place", path);
}

int place_main(int argc, char **argv) {
  static const struct option long_options[] = {{"upper", required_argument, NULL, 'u'}, {"lower", required_argument, NULL, 'l'},  {"store", required_argument, NULL, 's'},
                                               {"source", required_argument, NULL, 'f'}, {"owner", required_argument, NULL, 'o'}, {0}};
  static const char usage[] = "usage: keel place --upper DIRECTORY [--lower DIRECTORY] [--store DIRECTORY] [--source DIRECTORY] --owner UID:GID";
  struct placer p = {.upper = -1, .lower = -1, .store = -1, .source = -1, .in_upper = -1, .in_lower = -1};
  struct record r = {0};
  const char *owner = NULL;
  int fd = 0;
  for (int option; fd >= 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    if (option == 'u') fd = p.upper = open_path(optarg, O_RDONLY);
    else if (option == 'l') fd = p.lower = open_path(optarg, O_PATH);
    else if (option == 's') fd = p.store = open_path(optarg, O_PATH);
    else if (option == 'f') fd = p.source = open_path(optarg, O_PATH);
    else if (option == 'o') owner = optarg;
    else return archive_report(EINVAL, usage, "", 0);
    if (fd < 0) return archive_report_path(fd, "open", optarg);
  }
  if (p.upper < 0 || !owner || sscanf(owner, "%u:%u", &p.uid, &p.gid) != 2 || optind != argc) return archive_report(EINVAL, usage, "", 0);
  files_begin("keel-place");
  umask(0);
  int error = place_all(&p, &r), code = error ? report(&p, &r, error) : 0;
  place_close(&p);
  for (size_t i = 0; i < MOST_FIELDS; i++) free(r.fields[i]);
  return code;
}
