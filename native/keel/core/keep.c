/* `keel keep -- COMMAND...`: keeps a command alive. It is started again when it ends, later and later while it fails at once. */
#define _GNU_SOURCE
#include "keep.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "plan.h"
#include "title.h"

#define LONG_LIFE_NS 10000000000ull
enum { FIRST_DELAY_MS = 20, LONGEST_DELAY_MS = 5000, USAGE_EXIT = 2 };

static pid_t start(char **argv, const sigset_t *mask) {
  pid_t child = fork();
  if (child) return child;
  sigprocmask(SIG_SETMASK, mask, NULL);
  execv(argv[0], argv);
  dprintf(2, "keel keep: %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

/* Waits for the child's end, or for the time to pass (child 0). True: SIGTERM came meanwhile. */
static bool wait_for(pid_t child, const sigset_t *signals, unsigned timeout_ms, int *status) {
  struct timespec limit = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
  for (;;) {
    int got = sigtimedwait(signals, NULL, child ? NULL : &limit);
    if (got == SIGTERM || got == SIGINT) return true;
    if (got < 0 && errno == EAGAIN) return false;
    if (child && waitpid(child, status, WNOHANG) == child) return false;
  }
}

static int pass_on(pid_t child) {
  int status = 0;
  kill(child, SIGTERM);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int keep_main(int argc, char **argv) {
  if (argc < 3 || strcmp(argv[1], "--") != 0) {
    dprintf(2, "usage: keel keep -- COMMAND [ARGUMENT...]\n");
    return USAGE_EXIT;
  }
  prctl(PR_SET_NAME, "keel-keep");
  sigset_t signals, old;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, &old);
  unsigned delay = FIRST_DELAY_MS;
  for (bool first = true;; first = false) {
    uint64_t began = clock_ns();
    int status = 0;
    pid_t child = start(argv + 2, &old);
    if (child < 0) return 1;
    if (wait_for(child, &signals, 0, &status)) return pass_on(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0; /* it was told to end */
    if (first && WIFEXITED(status)) return WEXITSTATUS(status);  /* it never ran: its words say why */
    delay = clock_ns() - began > LONG_LIFE_NS ? FIRST_DELAY_MS : delay * 2 < LONGEST_DELAY_MS ? delay * 2 : LONGEST_DELAY_MS;
    if (wait_for(0, &signals, delay, &status)) return 0;
  }
}
