/* The shim's one loop: waits, hands out one event, gives memory back before it sleeps. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "shim_parts.h"

struct shim shim;

static uint64_t read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); }
uint64_t realtime_ns(void) { return read_clock(CLOCK_REALTIME); }

void watch_set(struct watch *watch, uint32_t events) {
  if (watch->fd < 0 || (watch->added ? watch->events == events : events == 0)) return;
  struct epoll_event event = {.events = events, .data.ptr = watch};
  int how = events == 0 ? EPOLL_CTL_DEL : watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(shim.epoll, how, watch->fd, &event) == 0) {
    watch->added = events != 0;
    watch->events = events;
  }
}

void watch_close(struct watch *watch) {
  watch_set(watch, 0);
  if (watch->fd >= 0) close(watch->fd);
  watch->fd = -1;
  watch->added = false;
}

uint8_t *scratch(void) {
  if (!shim.scratch) {
    void *bytes = mmap(NULL, SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes != MAP_FAILED) shim.scratch = bytes;
  }
  return shim.scratch;
}

static void release_idle(void) {
  if (shim.scratch) munmap(shim.scratch, SCRATCH_BYTES);
  shim.scratch = NULL;
  log_release(&shim.log);
  for (int i = 0; i < 2; i++) line_release(&shim.shared->lines[i]);
}

/* Pause and every process are gone, the ends are on disk, and nobody is connected: whoever comes reads there what a shim would tell. */
static bool deserted(void) {
  if (shim.pair_watch.fd >= 0 || shim.connections) return false;
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!p->slot->announced || !p->slot->recorded) return false;
  return true;
}

static bool may_end(void) {
  if (!(shim.ending || deserted()) || !clients_done()) return false;
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!*p->slot->exec_id && !p->slot->announced) return false;
  return true;
}

int loop_run(void) {
  for (;;) {
    if (may_end()) return 0;
    struct epoll_event event;
    int n = epoll_wait(shim.epoll, &event, 1, 0);
    if (n == 0) {
      release_idle();
      n = epoll_wait(shim.epoll, &event, 1, -1);
    }
    if (n < 0 && errno != EINTR) return errno;
    if (n == 1) {
      struct watch *watch = event.data.ptr;
      watch->on(watch, event.events);
    }
  }
}
