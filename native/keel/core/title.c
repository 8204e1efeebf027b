#include "title.h"
#include <string.h>
#include <sys/prctl.h>

static char *first, *end;

void title_init(int argc, char **argv) {
  first = argv[0];
  end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
}

/* A last byte that is no NUL tells the kernel that the arguments were overwritten with one string (proc_pid_cmdline). */
void title_set(const char *comm, const char *title) {
  prctl(PR_SET_NAME, comm);
  size_t room = (size_t)(end - first), length = strlen(title);
  if (room < 2) return;
  if (length > room - 2) length = room - 2;
  memset(first, 0, room);
  memcpy(first, title, length);
  end[-1] = '.';
}
