#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "archive.h"
#include "archive_root.h"
#include "diff.h"
#include "pack.h"
#include "stat_text.h"

/* What --path names: the directory that holds it and its name there; "." where the path itself is to be followed. */
struct named {
  int directory;
  char base[PATH_MAX];
};

static bool ends_in(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

/* As Docker: links on the way are followed inside the root, the last one only before a "/" or "/.". */
static int find(int root, const char *path, struct named *named) {
  char clean[PATH_MAX];
  int error = path_clean(path, clean);
  if (error) return error;
  bool into = !*clean || ends_in(path, "/") || ends_in(path, "/.");
  char *slash = strrchr(clean, '/');
  snprintf(named->base, sizeof named->base, "%s", into ? "." : slash ? slash + 1 : clean);
  if (!into) clean[slash ? slash - clean : 0] = 0;
  named->directory = open_in_root(root, clean, O_PATH | O_DIRECTORY, 0);
  return named->directory < 0 ? named->directory : 0;
}

static void default_name(const char *path, char name[PATH_MAX]) {
  char clean[PATH_MAX] = "";
  path_clean(path, clean);
  const char *slash = strrchr(clean, '/');
  snprintf(name, PATH_MAX, "%s", ends_in(path, "/.") ? "." : !*clean ? "/" : slash ? slash + 1 : clean);
}

int archive_main(int argc, char **argv) {
  struct archive_arguments a;
  struct named named;
  struct tar_writer writer;
  const char *what = "";
  if (archive_parse(argc, argv, &a)) return 1;
  const char *path = a.path ? a.path : "/";
  prctl(PR_SET_NAME, "keel-archive");
  signal(SIGPIPE, SIG_IGN);
  tree_raise_limit();
  int root = archive_root(&a, &what);
  if (root < 0) return archive_report_path(root, what, a.directory ? a.directory : a.root ? a.root : "of the container");
  int error = find(root, path, &named);
  if (error) return archive_report_path(error, "open", path);
  struct packing packing = {.writer = &writer, .skip_kernel = true};
  if (a.name_given) snprintf(packing.name, sizeof packing.name, "%s", a.name);
  else default_name(path, packing.name);
  error = tar_write_open(&writer, 1, DIFF_PLAIN);
  if (error == 0) error = pack_tree(&packing, named.directory, named.base);
  if (error == 0) error = tar_write_end(&writer);
  return error ? archive_report_path(error, "archive", *packing.name ? packing.name : path) : 0;
}

int stat_main(int argc, char **argv) {
  struct archive_arguments a;
  const char *what = "";
  char text[STAT_TEXT_BYTES];
  if (archive_parse(argc, argv, &a)) return 1;
  int root = archive_root(&a, &what);
  if (root < 0) return archive_report_path(root, what, a.directory ? a.directory : a.root ? a.root : "of the container");
  int length = stat_text(root, a.path ? a.path : "/", a.follow, text);
  if (length < 0) return archive_report_path(length, "stat", a.path);
  dprintf(1, "%s\n", text);
  return 0;
}
