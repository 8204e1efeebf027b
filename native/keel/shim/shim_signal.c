/* Signals: by pidfd only, so never to a process that has taken over a number. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "shim_parts.h"

enum { MAX_PIDS = 16384, ROUNDS = 8, BATCH = 128 };

static int send_by_pidfd(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) ? -errno : 0;
}

int signal_process(const struct process *p, int signal) {
  if (p->slot->state != SLOT_CREATED && p->slot->state != SLOT_RUNNING) return -ESRCH;
  return p->pidfd.fd < 0 ? -ESRCH : send_by_pidfd(p->pidfd.fd, signal);
}

static int open_in_cgroup(const char *name, int flags) {
  char path[1024];
  if (snprintf(path, sizeof path, "%s/%s", shim.config->memory_cgroup, name) >= (int)sizeof path) return -1;
  return open(path, flags | O_CLOEXEC);
}

/* The cgroup's members; a number of pids, at most MAX_PIDS. */
static int members(int *pids) {
  int fd = open_in_cgroup("cgroup.procs", O_RDONLY), count = 0;
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (!file) {
    if (fd >= 0) close(fd);
    return 0;
  }
  while (count < MAX_PIDS && fscanf(file, "%d", &pids[count]) == 1) count++;
  fclose(file);
  return count;
}

static bool is_member(const int *pids, int count, int pid) {
  for (int i = 0; i < count; i++)
    if (pids[i] == pid) return true;
  return false;
}

/* Pidfds opened between two listings that both name the pid are that member's. */
static int signal_batch(const int *pids, int count, int *second, int signal) {
  int pidfds[BATCH], sent = 0;
  for (int i = 0; i < count; i++) pidfds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
  int again = members(second);
  for (int i = 0; i < count; i++) {
    if (pidfds[i] < 0) continue;
    if (is_member(second, again, pids[i]) && send_by_pidfd(pidfds[i], signal) == 0) sent++;
    close(pidfds[i]);
  }
  return sent;
}

static int signal_members(int signal) {
  int *first = malloc(MAX_PIDS * sizeof(int)), *second = malloc(MAX_PIDS * sizeof(int)), sent = 0;
  int count = first && second ? members(first) : 0;
  for (int i = 0; i < count; i += BATCH)
    sent += signal_batch(first + i, count - i < BATCH ? count - i : BATCH, second, signal);
  free(first);
  free(second);
  return sent;
}

static bool cgroup_kill(void) {
  int fd = open_in_cgroup("cgroup.kill", O_WRONLY);
  bool done = fd >= 0 && write(fd, "1", 1) == 1;
  if (fd >= 0) close(fd);
  return done;
}

int signal_all(int signal) {
  int sent = 0;
  if (*shim.config->memory_cgroup) {
    if (signal == SIGKILL && cgroup_kill()) return 0;
    /* Those that fork meanwhile are met in the next round; SIGKILLed ones are gone by then. */
    for (int round = 0; round < (signal == SIGKILL ? ROUNDS : 1); round++) {
      int now = signal_members(signal);
      sent += now;
      if (now == 0) break;
    }
  }
  for (const struct process *p = shim.processes; p && sent == 0; p = p->next)
    if (signal_process(p, signal) == 0) sent++;
  return sent ? 0 : -ESRCH;
}
