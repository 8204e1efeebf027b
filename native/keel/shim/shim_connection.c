/* The shim's socket: connections, answers, and those who wait. Nobody's slowness is felt by anyone else. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "shim_parts.h"

enum { PROCESS_RECORD = 0x105, REPLY_LIMIT = 1024 * 1024 };

static struct connection *connection_of(uint32_t number) {
  for (struct connection *c = shim.connections; c; c = c->next)
    if (c->number == number) return c;
  return NULL;
}

static void connection_free(struct connection *c, bool keep_socket) {
  for (struct connection **at = &shim.connections; *at; at = &(*at)->next) {
    if (*at != c) continue;
    *at = c->next;
    break;
  }
  if (keep_socket) watch_set(&c->watch, 0);
  else watch_close(&c->watch);
  inbox_done(&c->in);
  outbox_free(&c->out);
  free(c);
}

int connection_take(struct connection *c) {
  int fd = c->watch.fd;
  connection_free(c, true);
  return fd;
}

static void on_connection(struct watch *watch, uint32_t events) {
  struct connection *c = part_of(watch, struct connection, watch);
  if (events & EPOLLOUT && outbox_flush(&c->out)) {
    connection_free(c, false);
    return;
  }
  watch_set(watch, EPOLLIN | (outbox_pending(&c->out) ? EPOLLOUT : 0u));
  if (!(events & ~(uint32_t)EPOLLOUT)) return;
  struct message message;
  int got = inbox_read(&c->in, watch->fd, &message);
  if (got == 0) return;
  if (got == -EPROTO) reply_errno((struct reply_to){c->number, inbox_id(&c->in)}, EPROTO, "the message is too long");
  if (got < 0) connection_free(c, false);
  else requests_on_message(c, &message);
}

void connection_accept(struct watch *watch, uint32_t events) {
  (void)events;
  int fd = accept_own(watch->fd);
  struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
  if (!c) {
    if (fd >= 0) close(fd);
    return;
  }
  c->watch = (struct watch){.on = on_connection, .fd = fd};
  if (++shim.connection_numbers >= LAUNCH_REPLY) shim.connection_numbers = 1;
  c->number = shim.connection_numbers;
  outbox_init(&c->out, fd, "", 0);
  c->next = shim.connections;
  shim.connections = c;
  watch_set(&c->watch, EPOLLIN);
}

static bool outbox_held_over(const struct outbox *o, size_t limit) { return o->first.tail - o->first.head > limit; }

/* A subscriber that does not read is cut off: it comes back and gets what it missed. */
static void send_frame(struct connection *c, const uint8_t *frame, size_t size) {
  if (!frame || outbox_held_over(&c->out, REPLY_LIMIT) || outbox_put(&c->out, frame, size, NULL, 0)) {
    c->subscribed = false;
    watch_set(&c->watch, EPOLLOUT | EPOLLIN);
    if (frame) shutdown(c->watch.fd, SHUT_RDWR);
    return;
  }
  if (outbox_pending(&c->out)) watch_set(&c->watch, EPOLLIN | EPOLLOUT);
}

static void send_records(struct reply_to to, uint16_t type, const struct reply_record *records, size_t count) {
  struct connection *c = connection_of(to.connection);
  if (!c) return;
  size_t size = 0;
  uint8_t *frame = frame_build(type, to.id, records, count, &size);
  send_frame(c, frame, size);
  free(frame);
}

/* Appends both to `at`; what they are together. */
static struct blob joined(char *at, struct blob first, struct blob second) {
  if (first.length) memcpy(at, first.bytes, first.length);
  if (second.length) memcpy(at + first.length, second.bytes, second.length);
  return (struct blob){at, first.length + second.length};
}

/* Outputs name their operation by its index in the stage; in the reply the earlier sections' operations come first. */
static void shift_outputs(char *bytes, size_t length, uint32_t by) {
  for (size_t at = 0; at + 8 <= length;) {
    uint32_t index, size;
    memcpy(&index, bytes + at, 4);
    memcpy(&size, bytes + at + 4, 4);
    index += by;
    memcpy(bytes + at, &index, 4);
    at += 8 + (((size_t)size + 7) & ~(size_t)7);
  }
}

enum { STEP_BYTES = 16 };

/* Who asked for it was killed and what it began is undone by now: nobody would ever start or end it. */
static _Noreturn void launch_untold(void) {
  const struct process *init = process_find((struct blob){"", 0});
  if (init) signal_process(init, SIGKILL);
  shim_abandon();
}

/* To whoever asked for the launch: serve through its descriptor, or a client of pause's. */
static void send_launch(struct outcome outcome) {
  struct launch_reply *reply = &shim.start.reply;
  if (reply->fd < 0) return;
  uint32_t before = reply->steps.length / STEP_BYTES;
  if (outcome.failed_index != NO_INDEX) outcome.failed_index += before;
  size_t steps = (size_t)reply->steps.length + outcome.steps.length, outputs = (size_t)reply->outputs.length + outcome.outputs.length;
  char *bytes = calloc(1, steps + outputs + 1);
  if (bytes) {
    uint32_t added = outcome.outputs.length;
    outcome.steps = joined(bytes, reply->steps, outcome.steps);
    outcome.outputs = joined(bytes + steps, reply->outputs, outcome.outputs);
    shift_outputs(bytes + steps + reply->outputs.length, added, before);
  }
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, reply->id, &record, 1, &size);
  int error = frame ? send_whole(reply->fd, frame, size) : -ENOMEM;
  free(frame);
  free(bytes);
  close(reply->fd);
  reply->fd = -1;
  if (error) launch_untold();
  hold_say(HOLD_ANSWERED, 0);
}

void reply_outcome(struct reply_to to, struct outcome outcome) {
  outcome.shim_pid = getpid();
  outcome.pause_pid = shim.pause_pid;
  if (to.connection == LAUNCH_REPLY) {
    send_launch(outcome);
    return;
  }
  struct reply_record record = result_record(&outcome);
  send_records(to, REPLY_TYPE, &record, 1);
}

void reply_errno(struct reply_to to, int error, const char *text) { reply_outcome(to, outcome_errno(error, text)); }

static struct reply_record process_record(const struct slot *s) {
  return (struct reply_record){
      .code = PROCESS_RECORD, .ints = 6, .blobs = 1,
      .i = {(uint64_t)s->pid, s->state == SLOT_STAGING ? SLOT_CREATED : s->state, s->wait_status, s->exited_at_ns, s->oom_killed, s->started_at_ns},
      .b = {{s->exec_id, (uint32_t)strlen(s->exec_id)}}};
}

void reply_processes(struct reply_to to, const struct slot *only) {
  struct reply_record records[MAX_PROCESSES + 1];
  struct outcome outcome = outcome_errno(0, NULL);
  char text[96];
  if (shim.log.dropped) {
    outcome.message.bytes = text;
    outcome.message.length = (uint32_t)snprintf(text, sizeof text, "%llu log lines could not be written (errno %d)", (unsigned long long)shim.log.dropped, shim.log.error);
  }
  outcome.shim_pid = getpid();
  outcome.pause_pid = shim.pause_pid;
  size_t count = 0;
  records[count++] = result_record(&outcome);
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!only || p->slot == only) records[count++] = process_record(p->slot);
  send_records(to, REPLY_TYPE, records, count);
}

void publish(uint16_t type, const struct slot *slot) {
  struct reply_record record = process_record(slot);
  for (struct connection *c = shim.connections; c; c = c->next)
    if (c->subscribed) send_records((struct reply_to){c->number, 0}, type, &record, 1);
}

void subscribe(struct connection *c) {
  c->subscribed = true;
  for (const struct process *p = shim.processes; p; p = p->next) {
    if (!p->slot->announced) continue;
    struct reply_record record = process_record(p->slot);
    send_records((struct reply_to){c->number, 0}, EVENT_EXITED, &record, 1);
  }
}

int waiter_add(const struct process *p, struct reply_to to) {
  struct waiter *w = calloc(1, sizeof *w);
  if (!w) return -ENOMEM;
  *w = (struct waiter){.next = shim.waiters, .slot = p->number, .to = to};
  shim.waiters = w;
  return 0;
}

void waiters_answer(const struct process *p) {
  for (struct waiter **at = &shim.waiters; *at;) {
    struct waiter *w = *at;
    if (w->slot != p->number) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    reply_processes(w->to, p->slot);
    free(w);
  }
}
