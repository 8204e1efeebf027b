/* Processes of the container: made in a stage, started by one byte, taken over from a killed predecessor. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "shim_parts.h"

static void on_stage(struct watch *watch, uint32_t events);

struct process *process_find(struct blob id) {
  for (struct process *p = shim.processes; p; p = p->next)
    if (strlen(p->slot->exec_id) == id.length && memcmp(p->slot->exec_id, id.bytes, id.length) == 0) return p;
  return NULL;
}

static struct process *process_at(uint32_t number) {
  struct process *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->number = number;
  p->slot = &shim.shared->slots[number];
  p->pidfd.fd = -1;
  p->stage_watch.fd = -1;
  stdio_reset(p);
  p->next = shim.processes;
  shim.processes = p;
  return p;
}

struct process *process_new(struct blob id, int *error) {
  uint32_t n = 0;
  while (n < MAX_PROCESSES && shim.shared->slots[n].state != SLOT_FREE) n++;
  struct process *p = n < MAX_PROCESSES ? process_at(n) : NULL;
  *error = n < MAX_PROCESSES ? -ENOMEM : -EAGAIN;
  if (!p) return NULL;
  memset(p->slot, 0, sizeof *p->slot);
  memcpy(p->slot->exec_id, id.bytes, id.length);
  p->slot->oom_base = *p->slot->exec_id ? oom_count() : shim.shared->oom_base;
  atomic_store(&p->slot->state, SLOT_STAGING);
  if (n >= shim.shared->slots_used) shim.shared->slots_used = n + 1;
  return p;
}

void process_free(struct process *p) {
  clients_finish(p);
  if (p->staged) process_unstage(p);
  stdio_close(p);
  watch_close(&p->pidfd);
  hold_drop_slot(p->number);
  atomic_store(&p->slot->state, SLOT_FREE);
  for (struct process **at = &shim.processes; *at; at = &(*at)->next) {
    if (*at != p) continue;
    *at = p->next;
    break;
  }
  free(p);
}

void process_unstage(struct process *p) {
  watch_set(&p->stage_watch, 0);
  p->stage_watch.fd = -1;
  stage_close(&p->stage);
  p->staged = false;
  hold_drop(p->number, HELD_STAGE);
}

static struct outcome outcome_of(const struct process *p) {
  const struct stage *s = &p->stage;
  return (struct outcome){.failed_index = s->failed_index, .error = s->error, .pid = s->pid, .steps = s->steps, .outputs = s->outputs, .message = s->message};
}

static void on_failed(struct process *p) {
  struct reply_to asked = p->asked;
  reply_outcome(asked, outcome_of(p));
  if (asked.connection == LAUNCH_REPLY) shim_abandon();
  if (p->slot->state == SLOT_STAGING) process_free(p);
  else process_unstage(p); /* execve has failed: the process ends by itself and its end is seen as any other's */
}

static void on_ready(struct process *p) {
  p->slot->pid = p->stage.pid;
  p->pidfd.fd = p->stage.pidfd;
  p->stage.pidfd = -1;
  if (p->stage.master >= 0 && stdio_take_master(p, p->stage.master) == 0) p->stage.master = -1;
  if (p->slot->rows || p->slot->columns) stdio_resize(p, (uint16_t)p->slot->rows, (uint16_t)p->slot->columns);
  hold_keep(p->number, HELD_PIDFD, p->pidfd.fd);
  hold_keep(p->number, HELD_STAGE, p->stage.fd);
  stdio_hold(p);
  atomic_store(&p->slot->state, SLOT_CREATED);
  source_start(p);
  feed_start(p);
  exit_watch(p);
  if (p->asked.connection == LAUNCH_REPLY) {
    files_write_shim();
    hold_say(HOLD_LAUNCHED, 0);
  }
  if (!p->start_now) reply_outcome(p->asked, outcome_of(p));
  else if (process_go(p, p->asked)) reply_errno(p->asked, ESRCH, NULL);
}

/* What the other runtime has started takes the place of its stand-in. */
static void take_foreign(struct process *p) {
  if (p->stage.pidfd < 0) return;
  watch_close(&p->pidfd);
  hold_drop(p->number, HELD_PIDFD);
  p->slot->pid = p->stage.pid;
  p->pidfd.fd = p->stage.pidfd;
  p->stage.pidfd = -1;
  hold_keep(p->number, HELD_PIDFD, p->pidfd.fd);
  if (p->stage.master >= 0 && stdio_take_master(p, p->stage.master) == 0) {
    p->stage.master = -1;
    if (p->slot->rows || p->slot->columns) stdio_resize(p, (uint16_t)p->slot->rows, (uint16_t)p->slot->columns);
    stdio_hold(p);
    source_start(p);
    feed_start(p);
    clients_feed(p);
  }
  exit_watch(p);
}

bool process_is_stand_in(const struct process *p) { return p->staged && p->going && p->stage.child && p->stage.child == p->slot->pid; }

bool process_outlives(struct process *p, int pid) {
  if (process_is_stand_in(p)) on_stage(&p->stage_watch, 0);
  return p->slot->pid != pid;
}

/* The stage's socket was closed: by execve, or by the death of a process that never was started. */
static void on_closed(struct process *p) {
  if (!p->going) {
    process_unstage(p);
    return;
  }
  p->slot->started_at_ns = realtime_ns();
  take_foreign(p);
  if (p->slot->state == SLOT_CREATED) atomic_store(&p->slot->state, SLOT_RUNNING);
  reply_outcome(p->asked, outcome_of(p));
  process_unstage(p);
  exit_reap(); /* what was left for it to claim */
}

static void on_stage(struct watch *watch, uint32_t events) {
  (void)events;
  struct process *p = part_of(watch, struct process, stage_watch);
  switch (stage_on_readable(&p->stage)) {
    case STAGE_PENDING: return;
    case STAGE_READY: on_ready(p); return;
    case STAGE_EXECUTED: on_closed(p); return;
    case STAGE_FAILED: on_failed(p); return;
  }
}

void process_settle(struct process *p) {
  on_stage(&p->stage_watch, 0);
  if (!p->staged) return;
  if (p->going && p->stage.foreign) {
    on_closed(p); /* it ran, and has ended before the runtime's `start` has */
    return;
  }
  if (p->going) reply_errno(p->asked, ESRCH, NULL);
  process_unstage(p);
}

/* What stages have said and nobody has read yet: a process may be known by it that has ended already. */
void process_hear_stages(void) {
  for (struct process *p = shim.processes, *next; p; p = next) {
    next = p->next;
    if (p->staged && p->slot->state == SLOT_STAGING) on_stage(&p->stage_watch, 0);
  }
}

static int init_pidfd(void) {
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!*p->slot->exec_id) return p->pidfd.fd;
  return -1;
}

int process_stage(struct process *p, struct cursor operations, const struct stdio_request *stdio, struct reply_to asked) {
  int theirs[3];
  int error = stdio_open(p, stdio, theirs);
  if (error) return error;
  struct stage_request request = {.operations = operations, .init_pidfd = init_pidfd()};
  memcpy(request.stdio, theirs, sizeof theirs);
  p->asked = asked;
  error = stage_begin(&p->stage, &request);
  for (int i = 0; i < 3; i++)
    if (theirs[i] >= 0) close(theirs[i]);
  if (error) return error;
  p->staged = true;
  p->stage_watch = (struct watch){.on = on_stage, .fd = p->stage.fd};
  watch_set(&p->stage_watch, EPOLLIN);
  return 0;
}

int process_go(struct process *p, struct reply_to asked) {
  if (!p->staged) return -ESRCH;
  if (p->going) return -EALREADY;
  int error = stage_go(&p->stage);
  if (error) return error == -EPIPE ? -ESRCH : error;
  p->asked = asked;
  p->going = true;
  return 0;
}

static void restore_held(struct process *p, const struct held *held, size_t count) {
  int stage = -1;
  for (size_t i = 0; i < count; i++) {
    if (held[i].slot != p->number) continue;
    if (held[i].what == HELD_PIDFD) p->pidfd.fd = held[i].fd;
    else if (held[i].what == HELD_STAGE) stage = held[i].fd;
    else stdio_restore(p, held[i].what, held[i].fd);
  }
  if (stage >= 0 && p->slot->state == SLOT_CREATED) {
    stage_adopt(&p->stage, stage, p->slot->pid);
    p->staged = true;
    p->stage_watch = (struct watch){.on = on_stage, .fd = stage};
    watch_set(&p->stage_watch, EPOLLIN);
  } else if (stage >= 0) {
    close(stage);
  }
}

int process_restore(uint32_t number, const struct held *held, size_t count) {
  struct slot *slot = &shim.shared->slots[number];
  if (slot->state == SLOT_FREE) return 0;
  struct process *p = process_at(number);
  if (!p) return -ENOMEM;
  restore_held(p, held, count);
  if (slot->state == SLOT_STAGING) { /* it was never reported: its stage ends with its supervisor's socket */
    process_free(p);
    return 0;
  }
  stdio_restored(p);
  source_start(p);
  feed_start(p);
  exit_watch(p);
  return 0;
}
