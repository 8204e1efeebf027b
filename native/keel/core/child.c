#define _GNU_SOURCE
#include "child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

void child_default_signals(void) {
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_take_stdio(const int stdio[3]) {
  int copies[3];
  for (int i = 0; i < 3; i++) {
    copies[i] = stdio[i] >= 0 ? fcntl(stdio[i], F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (copies[i] < 0) return -errno;
  }
  for (int i = 0; i < 3; i++)
    if (dup2(copies[i], i) < 0) return -errno;
  for (int i = 0; i < 3; i++)
    if (copies[i] > 2) close(copies[i]);
  return 0;
}

int child_take_more(int from, int count, int *const ours[], size_t our_count) {
  for (size_t i = 0; i < our_count; i++) {
    if (*ours[i] < 0) continue;
    int moved = fcntl(*ours[i], F_DUPFD_CLOEXEC, from + count);
    if (moved < 0) return -errno;
    close(*ours[i]);
    *ours[i] = moved;
  }
  for (int i = 0; i < count; i++)
    if (dup2(from + i, 3 + i) < 0) return -errno;
  return 0;
}

/* The smallest of them that is at least `from`, or -1. */
static int next_kept(const int *keep, size_t count, int from) {
  int next = -1;
  for (size_t i = 0; i < count; i++)
    if (keep[i] >= from && (next < 0 || keep[i] < next)) next = keep[i];
  return next;
}

void child_keep_only(const int *keep, size_t count) {
  unsigned from = 3;
  for (int next; (next = next_kept(keep, count, (int)from)) >= 0; from = (unsigned)next + 1)
    if (next > (int)from) close_range(from, (unsigned)next - 1, 0);
  close_range(from, ~0u, 0);
}
