/* Output of a process: read, logged, sent to whoever is attached. A reader that is full holds this process back, nothing else. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>
#include "shim_parts.h"

enum { READS_PER_TURN = 4, SINK_BYTES = 64 * 1024 };
enum reading { READ_MORE, READ_EMPTY, READ_HELD, READ_ENDED };

static const char *const stream_names[] = {"", "stdout", "stderr"};

static bool exited(const struct process *p) { return p->slot->exited_at_ns != 0; }

static uint32_t *ended(const struct source *s) { return &s->process->slot->ended[s->kind - 1]; }

static void close_sink(struct source *s) {
  if (s->pending) munmap(s->pending, SINK_BYTES);
  s->pending = NULL;
  watch_close(&s->sink);
  hold_drop(s->process->number, HELD_SINK_OUT + s->kind - 1u);
}

static void end(struct source *s) {
  if (s->lines) log_lines(&shim.log, s->lines, stream_names[s->kind], true);
  watch_close(&s->watch);
  *ended(s) = 1;
  hold_drop(s->process->number, HELD_STDIN + s->kind);
  if (!s->pending) close_sink(s);
}

static void to_sink(struct source *s, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t n = write(s->sink.fd, bytes + done, length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return; /* the reader's end is ours too, so this is a full or broken disk: drained all the same */
    if (n < 0) break;
    done += (size_t)n;
  }
  if (done == length) return;
  void *pending = mmap(NULL, SINK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pending == MAP_FAILED) return;
  s->pending = pending;
  s->pending_from = 0;
  s->pending_to = length - done;
  memcpy(s->pending, bytes + done, length - done);
  watch_set(&s->sink, EPOLLOUT);
}

static enum reading read_once(struct source *s) {
  struct process *p = s->process;
  if (s->pending || (!exited(p) && clients_full(p))) return READ_HELD;
  size_t space = SCRATCH_BYTES;
  uint8_t *bytes = s->lines ? line_space(s->lines, &space) : scratch();
  if (!bytes) return READ_HELD;
  ssize_t n = read(s->watch.fd, bytes, space);
  if (n < 0 && errno == EINTR) return READ_MORE;
  if (n < 0 && errno == EAGAIN) return READ_EMPTY;
  /* A pty's master says EIO while no process has the slave open; as long as ours lives it may open it again. */
  if (n < 0 && errno == EIO && p->slot->terminal && !exited(p)) return READ_EMPTY;
  if (n <= 0) {
    end(s);
    return READ_ENDED;
  }
  if (s->lines) {
    line_filled_by(s->lines, (size_t)n);
    log_lines(&shim.log, s->lines, stream_names[s->kind], false);
  }
  if (p->slot->sinks[s->kind - 1] == SINK_FAN_OUT) clients_send(p, s->kind, bytes, (size_t)n);
  else if (s->sink.fd >= 0) to_sink(s, bytes, (size_t)n);
  return READ_MORE;
}

/* A pty is watched by edges, or a hung-up master would wake us for ever. */
static uint32_t interest(const struct source *s) { return s->process->slot->terminal ? EPOLLIN | EPOLLET : EPOLLIN; }

static void on_source(struct watch *watch, uint32_t events) {
  (void)events;
  struct source *s = part_of(watch, struct source, watch);
  struct process *p = s->process;
  enum reading reading = READ_MORE;
  for (int i = 0; i < READS_PER_TURN && reading == READ_MORE; i++) reading = read_once(s);
  if (reading == READ_HELD) watch_set(watch, 0);
  if (reading == READ_MORE && p->slot->terminal) { /* the edge is used up: ask for a new one */
    watch_set(watch, 0);
    watch_set(watch, interest(s));
  }
  if (reading == READ_ENDED && exited(p) && !source_open(p)) exit_drained(p);
}

static void on_sink(struct watch *watch, uint32_t events) {
  (void)events;
  struct source *s = part_of(watch, struct source, sink);
  struct process *p = s->process;
  while (s->pending && s->pending_from < s->pending_to) {
    ssize_t n = write(watch->fd, s->pending + s->pending_from, s->pending_to - s->pending_from);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) break;
    s->pending_from += (size_t)n;
  }
  if (s->pending) munmap(s->pending, SINK_BYTES);
  s->pending = NULL;
  watch_set(watch, 0);
  if (*ended(s)) close_sink(s);
  source_resume(p);
  if (exited(p) && !source_open(p)) exit_drained(p);
}

void source_start(struct process *p) {
  for (int i = 0; i < 2; i++) {
    struct source *s = &p->out[i];
    s->watch.on = on_source;
    s->sink.on = on_sink;
    watch_set(&s->watch, interest(s));
  }
}

void source_resume(struct process *p) {
  for (int i = 0; i < 2; i++)
    if (!p->out[i].pending && p->out[i].watch.fd >= 0 && !p->out[i].watch.added) watch_set(&p->out[i].watch, interest(&p->out[i]));
}

bool source_open(const struct process *p) {
  for (int i = 0; i < 2; i++)
    if (p->out[i].watch.fd >= 0 || p->out[i].pending) return true;
  return false;
}

bool source_drain(struct process *p) {
  for (int i = 0; i < 2; i++) {
    struct source *s = &p->out[i];
    /* Bounded: a process that outlives this one may write for ever. */
    for (int reads = 0; s->watch.fd >= 0 && reads < 64 && read_once(s) == READ_MORE; reads++) continue;
  }
  source_resume(p);
  return !source_open(p);
}

void source_abandon(struct process *p) {
  for (int i = 0; i < 2; i++) {
    struct source *s = &p->out[i];
    for (int reads = 0; s->watch.fd >= 0 && reads < 64 && read_once(s) == READ_MORE; reads++) continue;
    if (s->watch.fd >= 0) end(s);
    if (s->sink.fd >= 0) close_sink(s);
  }
}
