#define _GNU_SOURCE
#include "reaper.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127, BY_SIGNAL = 128 };

bool reaper_is_called(const char *name) {
  const char *slash = strrchr(name, '/');
  return strcmp(slash ? slash + 1 : name, "docker-init") == 0;
}

/* In the child: the signals as they were, the terminal's foreground, the command. */
static int become(char **command, const sigset_t *before) {
  signal(SIGTTOU, SIG_IGN); /* or taking the foreground would stop us */
  setpgid(0, 0);
  if (isatty(STDIN_FILENO)) tcsetpgrp(STDIN_FILENO, getpgrp());
  signal(SIGTTOU, SIG_DFL);
  signal(SIGTTIN, SIG_DFL);
  sigprocmask(SIG_SETMASK, before, NULL);
  execvp(command[0], command);
  int error = errno;
  dprintf(STDERR_FILENO, "exec %s failed: %s\n", command[0], strerror(error));
  return error == ENOENT || error == ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE;
}

/* -1 while the command lives. Orphans are only waited for. */
static int reap(pid_t command) {
  int status, result = -1;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == command) result = WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

int reaper_main(int argc, char **argv) {
  char **command = argv + 1;
  if (argc > 1 && strcmp(*command, "--") == 0) command++;
  if (!*command) {
    dprintf(STDERR_FILENO, "usage: docker-init -- COMMAND [ARGUMENT...]\n");
    return 1;
  }
  sigset_t all, before;
  sigfillset(&all);
  /* What the kernel sends for our own faults must not be held back. */
  const int own[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child < 0) {
    dprintf(STDERR_FILENO, "fork: %s\n", strerror(errno));
    return 1;
  }
  if (child == 0) _exit(become(command, &before));
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  for (;;) {
    siginfo_t about;
    int number = sigwaitinfo(&all, &about);
    if (number < 0) continue; /* EINTR: stopped and continued by a debugger */
    if (number != SIGCHLD) {
      kill(child, number); /* ESRCH: it has ended, SIGCHLD is on its way */
      continue;
    }
    int result = reap(child);
    if (result >= 0) return result;
  }
}
