#define _GNU_SOURCE
#include "ingest.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "apply.h"
#include "archive_root.h"
#include "files.h"

/* Whole nanoseconds must fit into 64 bits: up to the year 2255. */
static const int64_t MOST_SECONDS = 9000000000;
/* A file of a few bytes could say that it has more holes than anybody can hash. */
static const uint64_t MOST_HOLES = (uint64_t)16 << 30;

struct ingest {
  struct inflate in;
  struct tar tar;
  struct objects objects;
  struct index index;
  const struct body *body;
  const char *problem; /* words of ours */
  char entry[256];
};

/* A name that climbs is refused, not bent: a context has no outside. */
static bool climbs(const char *name) {
  for (const char *at = name; at; at = strchr(at, '/')) {
    while (*at == '/') at++;
    if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == 0)) return true;
  }
  return false;
}

static char kind_of(enum tar_type type) {
  switch (type) {
    case TAR_FILE: return 'f';
    case TAR_LINK: return 'h';
    case TAR_SYMLINK: return 'l';
    case TAR_CHAR: return 'c';
    case TAR_BLOCK_DEVICE: return 'b';
    case TAR_DIRECTORY: return 'd';
    case TAR_FIFO: return 'p';
  }
  return 0;
}

static int refuse(struct ingest *g, int error, const char *problem) {
  if (!g->problem) g->problem = problem;
  return error;
}

static int take_entry(struct ingest *g, const struct tar_entry *from) {
  char path[PATH_MAX], link[PATH_MAX];
  struct index_entry e = {.kind = kind_of(from->type), .uid = from->uid, .gid = from->gid};
  if (climbs(from->name)) return refuse(g, -EBADMSG, "its name leads out of the context");
  if (path_clean(from->name, path)) return refuse(g, -ENAMETOOLONG, "its name is too long");
  if (!*path) return e.kind == 'd' ? 0 : refuse(g, -EBADMSG, "it has no name");
  if (e.kind == 'h' && climbs(from->link)) return refuse(g, -EBADMSG, "it is a hard link out of the context");
  if (e.kind == 'h' && path_clean(from->link, link)) return refuse(g, -ENAMETOOLONG, "the name that it links to is too long");
  e.mode = from->mode & 07777;
  if (from->mtime.seconds > MOST_SECONDS || from->mtime.seconds < -MOST_SECONDS) return refuse(g, -EBADMSG, "its time is out of range");
  e.seconds = from->mtime.seconds;
  e.nanoseconds = from->mtime.nanoseconds;
  bool device = e.kind == 'c' || e.kind == 'b';
  e.major = device ? from->major : 0;
  e.minor = device ? from->minor : 0;
  e.size = e.kind == 'f' ? from->size : 0;
  int error = e.kind == 'f' ? objects_take(&g->objects, &g->tar, from, &e) : 0;
  if (error == 0) error = index_xattrs(&e, from->xattrs, from->xattr_count);
  e.path = strdup(path);
  e.link = strdup(e.kind == 'h' ? link : e.kind == 'l' ? from->link : "");
  if (error == 0) error = e.path && e.link ? index_add(&g->index, &e) : -ENOMEM;
  if (error == 0) return 0;
  free(e.path);
  free(e.link);
  free(e.xattrs);
  if (error == -EFBIG) return refuse(g, error, "it has more than 16 GiB of holes");
  return error == -E2BIG ? refuse(g, error, "the context has too many entries") : error;
}

static int take_all(struct ingest *g) {
  struct tar_entry entry;
  int got;
  while ((got = tar_next(&g->tar, &entry)) > 0) {
    int error = take_entry(g, &entry);
    if (error) {
      snprintf(g->entry, sizeof g->entry, "%s", entry.name);
      return error;
    }
  }
  return got < 0 ? got : inflate_drain(&g->in);
}

static void tell(const struct ingest *g, int error, struct ingest_failure *f) {
  const char *body = g->body ? g->body->problem : NULL;
  const char *words = body ? body : g->problem ? g->problem : g->index.problem ? g->index.problem : *g->tar.text ? g->tar.text : g->in.problem ? g->in.problem : strerror(-error);
  snprintf(f->entry, sizeof f->entry, "%s", g->index.problem && g->index.path ? g->index.path : g->entry);
  f->offset = g->tar.entry_offset;
  if (*f->entry) snprintf(f->text, sizeof f->text, "\"%.250s\": %s", f->entry, words);
  else snprintf(f->text, sizeof f->text, "%s", words);
}

int ingest_stream(int fd, const struct ingest_options *options, struct ingest_failure *failure) {
  memset(failure, 0, sizeof *failure);
  struct ingest *g = calloc(1, sizeof *g);
  if (!g) return -ENOMEM;
  mode_t mask = umask(0);
  g->body = options->body;
  int error = objects_open(&g->objects, options->store);
  if (error) g->problem = "the store can't be opened";
  g->objects.most_holes = options->most_holes;
  if (error == 0) error = inflate_open(&g->in, fd, false);
  if (error == 0 && options->body) inflate_from(&g->in, body_read, options->body);
  if (error == 0) error = tar_open(&g->tar, &g->in);
  if (error == 0) error = take_all(g);
  if (error == 0) error = index_write(&g->index, options->index);
  if (error) tell(g, error, failure);
  tar_close(&g->tar);
  inflate_close(&g->in);
  objects_close(&g->objects);
  index_free(&g->index);
  free(g);
  umask(mask);
  return error;
}

/* "PID:FD:FRAMING", told on stdout whether it could be had. */
static int open_body(struct body *body, const char *from) {
  int pid, fd, framing = 0;
  if (sscanf(from, "%d:%d:%n", &pid, &fd, &framing) != 2 || framing == 0) return -EINVAL;
  int connection = body_connection(pid, fd);
  if (connection < 0) return printf("refused %s\n", strerror(-connection)) < 0 || fflush(stdout) ? -EPIPE : -ESRCH;
  int error = body_open(body, STDIN_FILENO, connection, from + framing);
  if (error == 0 && (puts("taken") < 0 || fflush(stdout))) error = -EPIPE;
  return error;
}

int ingest_main(int argc, char **argv) {
  static const struct option long_options[] = {
      {"store", required_argument, NULL, 's'}, {"index", required_argument, NULL, 'i'}, {"connection", required_argument, NULL, 'c'}, {0}};
  static const char usage[] = "usage: keel ingest --store DIRECTORY --index FILE [--connection PID:DESCRIPTOR:(chunked|BYTES)]";
  struct ingest_options options = {.most_holes = MOST_HOLES};
  struct ingest_failure failure;
  struct body body;
  const char *connection = NULL;
  for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    if (option == 's') options.store = optarg;
    else if (option == 'i') options.index = optarg;
    else if (option == 'c') connection = optarg;
    else return archive_report(EINVAL, usage, "", 0);
  }
  if (!options.store || !options.index || optind != argc) return archive_report(EINVAL, usage, "", 0);
  files_begin("keel-ingest");
  if (connection) {
    int error = open_body(&body, connection);
    if (error) return archive_report(error, error == -EINVAL ? usage : "the connection can't be had", "", 0);
    options.body = &body;
  }
  int error = ingest_stream(0, &options, &failure);
  if (error) return archive_report(error, *failure.text ? failure.text : strerror(-error), failure.entry, failure.offset);
  if (connection) printf("rest %zu\n", body_rest(&body));
  return 0;
}
