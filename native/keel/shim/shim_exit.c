/*
 * The end of a process, in this order: its status is seen (without reaping), the record is on disk, it is reaped, its output is drained
 * (two seconds at most: a grandchild may hold the pipe for ever), and only then anyone is told; execs before init.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "shim_parts.h"

#define DRAIN_NS 2000000000ull
#define LOOK_AGAIN_NS 20000000ull
enum { LOOKS = 10, UNKNOWN_STATUS = 255 << 8 };

/* linux/pidfd.h, kernel 6.15: who holds a pidfd may read the status although another has reaped. */
struct pidfd_exit_info {
  uint64_t mask, cgroup;
  uint32_t pid, tgid, ppid, ids[8];
  int32_t exit_code;
  uint8_t reserved[64];
};
#define PIDFD_EXIT_MASK (1ull << 3)
#define PIDFD_READ_INFO _IOWR(0xff, 11, struct pidfd_exit_info)

static uint64_t look_again_ns;
static int looks_left;
static bool pause_gone;

static struct process *init_process(void) {
  for (struct process *p = shim.processes; p; p = p->next)
    if (!*p->slot->exec_id) return p;
  return NULL;
}

static void timer_arm(void) {
  uint64_t soonest = look_again_ns;
  for (const struct process *p = shim.processes; p; p = p->next)
    if (p->drain_until_ns && (!soonest || p->drain_until_ns < soonest)) soonest = p->drain_until_ns;
  struct itimerspec at = {.it_value = {(time_t)(soonest / 1000000000u), (long)(soonest % 1000000000u)}};
  timerfd_settime(shim.timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

void timer_look_again(void) {
  looks_left = LOOKS;
  look_again_ns = monotonic_ns() + LOOK_AGAIN_NS;
  timer_arm();
}

static void announce(struct process *p) {
  oom_check();
  p->slot->announced = 1;
  clients_finish(p);
  if (p->in.sink.fd >= 0) feed_close(p);
  stdio_close(p);
  hold_drop_slot(p->number);
  publish(EVENT_EXITED, p->slot);
  waiters_answer(p);
}

static bool exec_on_its_way(void) {
  for (const struct process *p = shim.processes; p; p = p->next)
    if (*p->slot->exec_id && p->slot->state == SLOT_STOPPED && !p->slot->announced) return true;
  return false;
}

/* Announces what may be: an exec once drained; init once drained and no ended exec is still on its way. */
void exit_drained(struct process *p) {
  p->drained = true;
  p->drain_until_ns = 0;
  struct process *init = init_process();
  if (*p->slot->exec_id && !p->slot->announced) announce(p);
  if (init && init->drained && !init->slot->announced && !exec_on_its_way()) announce(init);
}

static void begin_drain(struct process *p) {
  if (source_drain(p)) {
    exit_drained(p);
    return;
  }
  p->drain_until_ns = monotonic_ns() + DRAIN_NS;
  timer_arm();
}

static uint32_t status_of(const siginfo_t *info) {
  uint32_t value = (uint32_t)info->si_status;
  if (info->si_code == CLD_EXITED) return (value & 0xff) << 8;
  return value | (info->si_code == CLD_DUMPED ? 0x80u : 0);
}

/* Everything up to the drain. Writing the record may fail (a full disk): the table still has it, and STATE tells. */
static void exit_seen(struct process *p, uint32_t status, uint64_t at_ns) {
  struct slot *slot = p->slot;
  if (p->staged) process_settle(p);
  slot->wait_status = status;
  slot->exited_at_ns = at_ns;
  slot->oom_killed = oom_count() > slot->oom_base;
  slot->state = SLOT_STOPPED;
  slot->recorded = files_write_exit(slot) == 0;
}

static void after_exit(struct process *p) {
  watch_close(&p->pidfd);
  hold_drop(p->number, HELD_PIDFD);
  begin_drain(p);
}

static void reap_child(struct process *p, const siginfo_t *info) {
  siginfo_t gone;
  if (process_outlives(p, info->si_pid)) {
    waitid(P_PID, (id_t)info->si_pid, &gone, WEXITED | WNOHANG);
    return;
  }
  if (p->slot->state != SLOT_STOPPED) exit_seen(p, status_of(info), realtime_ns());
  waitid(P_PID, (id_t)info->si_pid, &gone, WEXITED | WNOHANG);
  after_exit(p);
}

static struct process *process_of_pid(int pid) {
  for (struct process *p = shim.processes; p; p = p->next)
    if (p->slot->pid == pid && (p->slot->state == SLOT_CREATED || p->slot->state == SLOT_RUNNING)) return p;
  return NULL;
}

static bool awaits_foreign(void) {
  for (const struct process *p = shim.processes; p; p = p->next)
    if (process_is_stand_in(p)) return true;
  return false;
}

void exit_reap(void) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == 0) return;
    struct process *p = process_of_pid(info.si_pid);
    if (!p) {
      process_hear_stages();
      p = process_of_pid(info.si_pid);
    }
    if (!p && awaits_foreign()) return; /* it may be what another runtime has just started: its stage will say */
    if (p) reap_child(p, &info);
    else waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG); /* an orphan that came to its subreaper */
  }
}

void exit_on_child(struct watch *watch, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info;
  while (read(watch->fd, &info, sizeof info) > 0) continue;
  exit_reap();
}

/* True when the kernel has told the status: it can from the reaping on. */
static bool read_status(const struct process *p, uint32_t *status) {
  struct pidfd_exit_info info = {.mask = PIDFD_EXIT_MASK};
  if (ioctl(p->pidfd.fd, PIDFD_READ_INFO, &info) || !(info.mask & PIDFD_EXIT_MASK)) return false;
  *status = (uint32_t)info.exit_code;
  return true;
}

/* A process of our predecessor's: pause reaps it and says so; without pause its new parent reaps it and the pidfd tells. */
static void exit_of_stranger(struct process *p, bool reaped_by_other) {
  struct slot *slot = p->slot;
  uint32_t status = UNKNOWN_STATUS;
  if (slot->state != SLOT_CREATED && slot->state != SLOT_RUNNING) return;
  if (slot->reaped) exit_seen(p, slot->reaped_status, slot->reaped_at_ns);
  else if (pause_gone && (read_status(p, &status) || reaped_by_other)) exit_seen(p, status, realtime_ns());
  else {
    watch_set(&p->pidfd, EPOLLERR); /* a hang-up (always reported) comes with the reaping */
    return;
  }
  after_exit(p);
}

static void on_pidfd(struct watch *watch, uint32_t events) {
  struct process *p = part_of(watch, struct process, pidfd);
  siginfo_t info = {0};
  int error = waitid(P_PID, (id_t)p->slot->pid, &info, WEXITED | WNOHANG | WNOWAIT) ? errno : 0;
  if (error == 0 && info.si_pid != 0) reap_child(p, &info);
  else if (error == ECHILD && !pause_gone && !p->slot->reaped) watch_set(watch, 0); /* pause will say */
  else if (error == ECHILD) exit_of_stranger(p, events & EPOLLHUP);
}

void exit_watch(struct process *p) {
  p->pidfd.on = on_pidfd;
  if (p->slot->reaped) exit_of_stranger(p, true);
  else if (p->slot->state == SLOT_STOPPED) {
    if (p->slot->announced) p->drained = true;
    else begin_drain(p);
  } else {
    watch_set(&p->pidfd, EPOLLIN);
  }
}

void exit_scan_reaped(void) {
  for (struct process *p = shim.processes, *next; p; p = next) {
    next = p->next;
    if (p->slot->reaped) exit_of_stranger(p, true);
  }
}

void exit_pause_gone(void) {
  pause_gone = true;
  for (struct process *p = shim.processes; p; p = p->next) watch_set(&p->pidfd, EPOLLIN);
}

void exit_on_timer(struct watch *watch, uint32_t events) {
  (void)events;
  uint64_t times, now = monotonic_ns();
  if (read(watch->fd, &times, sizeof times) < 0) return;
  for (struct process *p = shim.processes; p; p = p->next) {
    if (!p->drain_until_ns || p->drain_until_ns > now) continue;
    source_abandon(p);
    exit_drained(p);
  }
  if (look_again_ns && look_again_ns <= now) {
    uint64_t told = shim.shared->oom_told;
    oom_check();
    look_again_ns = --looks_left > 0 && shim.shared->oom_told == told ? now + LOOK_AGAIN_NS : 0;
  }
  timer_arm();
}
