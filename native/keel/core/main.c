/* One program, many roles: the first argument (or the name of a link) chooses. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "archive.h"
#include "files.h"
#include "gather.h"
#include "ingest.h"
#include "init.h"
#include "keep.h"
#include "ports.h"
#include "reaper.h"
#include "serve.h"
#include "system.h"
#include "title.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

enum { TITLE_ROOM = 512, USAGE_EXIT = 2, SEAL_EXIT = 3 };

static const struct role {
  const char *name;
  int (*main)(int argc, char **argv);
  bool sealed; /* runs from a sealed copy in memory: nothing a container does reaches the file (CVE-2019-5736) */
} roles[] = {
    {"serve", serve_main, true}, {"init", init_main, true},   {"exec", init_main, true},      {"keep", keep_main, false},
    {"ports", ports_main, true}, {"apply", apply_main, true}, {"archive", archive_main, true}, {"stat", stat_main, true},
    {"ingest", ingest_main, true},
    {"gather", gather_main, true}, {"index", index_main, true},   {"place", place_main, true},
};

/* A sealed copy in memory, or our file through a mount of its own that can't be written. */
static bool runs_sealed(void) {
  char path[64];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n > 7 && memcmp(path, "/memfd:", 7) == 0) return true;
  struct statvfs fs;
  return statvfs("/proc/self/exe", &fs) == 0 && fs.f_flag & ST_RDONLY;
}

/* The last argument of run_from. */
static bool has_room(int argc, char **argv) { return argc > 2 && argv[argc - 1][0] == ' ' && strlen(argv[argc - 1]) == TITLE_ROOM; }

static int fill(int copy, int source) {
  struct stat st;
  if (source < 0 || fstat(source, &st)) return -1;
  for (off_t at = 0; at < st.st_size;)
    if (sendfile(copy, source, &at, (size_t)(st.st_size - at)) <= 0) return -1;
  return fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

static int copy_in_memory(void) {
  int copy = memfd_create("keel", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) copy = memfd_create("keel", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* before 6.3 */
  if (copy < 0) return -1;
  int source = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), failed = fill(copy, source);
  if (source >= 0) close(source);
  if (!failed) return copy;
  close(copy);
  return -1;
}

/* Where memory can't be executed (vm.memfd_noexec=2): a detached mount of the file, read-only. */
static int read_only_mount(void) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  int tree = sys_open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE);
  if (tree >= 0 && sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes) == 0) return tree;
  if (tree >= 0) close(tree);
  return -1;
}

/* Arguments as they are, then room for the titles of what is forked from here. Returns only when it can't. */
static void run_from(int file, int argc, char **argv) {
  char **again = calloc((size_t)argc + 2, sizeof *again);
  char *room = malloc(TITLE_ROOM + 1);
  if (!again || !room || file < 0) return;
  memset(room, ' ', TITLE_ROOM);
  room[TITLE_ROOM] = 0;
  memcpy(again, argv, (size_t)argc * sizeof *again);
  again[argc] = room;
  syscall(SYS_execveat, file, "", again, environ, AT_EMPTY_PATH);
  free(again);
  free(room);
  close(file);
}

static const struct role *find_role(const char *name) {
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    if (strcmp(roles[i].name, name) == 0) return &roles[i];
  return NULL;
}

int main(int argc, char **argv) {
  if (reaper_is_called(argv[0])) return reaper_main(argc, argv);
  const struct role *role = argc >= 2 ? find_role(argv[1]) : NULL;
  if (!role) {
    dprintf(2, "usage: keel serve|init|exec|keep|ports|apply|archive|stat ...\nkeel executes kernel operations for hulld and its relatives; people use `hull`.\n");
    return USAGE_EXIT;
  }
  bool sealed = role->sealed && has_room(argc, argv) && runs_sealed();
  if (role->sealed && !sealed) {
    run_from(copy_in_memory(), argc, argv);
    run_from(read_only_mount(), argc, argv);
    dprintf(2, "keel %s: cannot run from a copy that containers can't write: %s\n", role->name, strerror(errno));
    return SEAL_EXIT;
  }
  title_init(argc, argv);
  if (sealed) argv[--argc] = NULL; /* the room */
  return role->main(argc - 1, argv + 1);
}
