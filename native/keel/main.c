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
#include "archive.h"
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

enum { TITLE_ROOM = 512, USAGE_EXIT = 2 };

static const struct role {
  const char *name;
  int (*main)(int argc, char **argv);
  bool sealed; /* runs from a sealed copy in memory: nothing a container does reaches the file (CVE-2019-5736) */
} roles[] = {
    {"serve", serve_main, true}, {"init", init_main, true},   {"exec", init_main, true},      {"keep", keep_main, false},
    {"ports", ports_main, true}, {"apply", apply_main, true}, {"archive", archive_main, true}, {"stat", stat_main, true},
};

static bool runs_from_memory(void) {
  char path[64];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  return n > 7 && memcmp(path, "/memfd:", 7) == 0;
}

static int copy_of_ourselves(void) {
  int source = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (source < 0 || fstat(source, &st)) return -1;
  int copy = memfd_create("keel", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0) copy = memfd_create("keel", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* before 6.3 */
  for (off_t at = 0; copy >= 0 && at < st.st_size;)
    if (sendfile(copy, source, &at, (size_t)(st.st_size - at)) <= 0) return -1;
  close(source);
  if (copy < 0 || fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) return -1;
  return copy;
}

/* Arguments as they are, then room for the titles of what is forked from here. */
static void run_from_memory(int argc, char **argv) {
  int copy = copy_of_ourselves();
  if (copy < 0) return; /* vm.memfd_noexec=2, for example: the file itself then; containers can't write it either */
  char **again = calloc((size_t)argc + 2, sizeof *again);
  char *room = malloc(TITLE_ROOM + 1);
  if (!again || !room) return;
  memset(room, ' ', TITLE_ROOM);
  room[TITLE_ROOM] = 0;
  memcpy(again, argv, (size_t)argc * sizeof *again);
  again[argc] = room;
  fexecve(copy, again, environ);
  close(copy);
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
  bool copied = runs_from_memory();
  if (role->sealed && !copied) run_from_memory(argc, argv);
  title_init(argc, argv);
  if (copied) argv[--argc] = NULL;
  return role->main(argc - 1, argv + 1);
}
