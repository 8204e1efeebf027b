/*
 * Out of memory: the cgroup's own counter is the truth; the notification only says when to look. The counter is read again at
 * every exit, so an OOM kill that came before the watch, or right before the end, is not missed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "shim_parts.h"

enum { PATH_BYTES = 1024 };

static int open_in_cgroup(const char *name, int flags) {
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", shim.config->memory_cgroup, name) >= (int)sizeof path) return -1;
  return open(path, flags | O_CLOEXEC);
}

uint64_t oom_count(void) {
  char text[1024];
  if (shim.oom_file < 0) return 0;
  ssize_t n = pread(shim.oom_file, text, sizeof text - 1, 0);
  if (n <= 0) return shim.shared->oom_told; /* the cgroup is gone: nothing new to be learned */
  text[n] = 0;
  const char *at = strstr(text, "oom_kill ");
  return at ? strtoull(at + 9, NULL, 10) : 0;
}

void oom_check(void) {
  uint64_t count = oom_count();
  if (count <= shim.shared->oom_told) return;
  shim.shared->oom_told = count;
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!*p->slot->exec_id) publish(EVENT_OOM, p->slot);
}

static void on_event(struct watch *watch, uint32_t events) {
  uint64_t value;
  if (shim.config->oom_version == 1 && read(watch->fd, &value, sizeof value) < 0 && errno == EAGAIN) return;
  if (access(shim.config->memory_cgroup, F_OK)) { /* removing the cgroup signals too */
    watch_set(watch, 0);
    return;
  }
  (void)events;
  uint64_t before = shim.shared->oom_told;
  oom_check();
  /* v1 tells before it kills: look again shortly. */
  if (shim.config->oom_version == 1 && shim.shared->oom_told == before) timer_look_again();
}

static bool watch_v1(void) {
  char line[64];
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), control = open_in_cgroup("cgroup.event_control", O_WRONLY);
  int length = snprintf(line, sizeof line, "%d %d", event, shim.oom_file);
  bool armed = event >= 0 && control >= 0 && write(control, line, (size_t)length) == length;
  if (control >= 0) close(control);
  if (armed) shim.oom.fd = event;
  else if (event >= 0) close(event);
  return armed;
}

void oom_watch(void) {
  shim.oom_file = -1;
  shim.oom = (struct watch){.fd = -1, .on = on_event};
  if (!*shim.config->memory_cgroup || shim.config->oom_version == 0) return;
  bool v1 = shim.config->oom_version == 1;
  shim.oom_file = open_in_cgroup(v1 ? "memory.oom_control" : "memory.events", O_RDONLY);
  if (shim.oom_file < 0) return; /* no such controller here: the count stays 0 */
  if (!v1) {
    shim.oom.fd = fcntl(shim.oom_file, F_DUPFD_CLOEXEC, 3);
    watch_set(&shim.oom, EPOLLPRI);
  } else if (watch_v1()) {
    watch_set(&shim.oom, EPOLLIN);
  }
}
