/* Attached clients: Docker's frames out, stdin in. Each has its own outbox; none can delay another, the log or an exit. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "shim_parts.h"

static void client_free(struct client *c) {
  for (struct client **at = &shim.clients; *at; at = &(*at)->next) {
    if (*at != c) continue;
    *at = c->next;
    break;
  }
  watch_close(&c->watch);
  outbox_free(&c->out);
  free(c);
}

static bool takes_stdin(const struct client *c) {
  return c->process && c->flags & ATTACH_STDIN && c->process->in.sink.fd >= 0;
}

/* Reads stdin only while the process can take it (what is not for a process is read and dropped). */
static void client_watch(struct client *c, bool hung_up) {
  bool wants = !c->input_ended && (!takes_stdin(c) || feed_ready(c->process));
  uint32_t events = wants ? EPOLLIN : 0u;
  if (!hung_up) {
    if (outbox_pending(&c->out)) events |= EPOLLOUT;
    events |= EPOLLERR; /* even with nothing wanted a hang-up is reported, which is how a client's death is noticed */
  }
  watch_set(&c->watch, events);
}

static void end_input(struct client *c) {
  if (c->input_ended) return;
  c->input_ended = true;
  struct process *p = c->process;
  if (p && (c->flags & ATTACH_STDIN) && p->slot->stdin_once && !p->slot->terminal) feed_close(p);
}

/* The client is gone: its queue is worth nothing, and it may have been what held the process back. */
static void client_lost(struct client *c) {
  struct process *p = c->process;
  end_input(c);
  client_free(c);
  if (p) source_resume(p);
}

static void settle(struct client *c) {
  if (!c->finished || c->ended || outbox_pending(&c->out)) return;
  shutdown(c->watch.fd, SHUT_WR);
  c->ended = true;
}

/* 1: read something, 0: nothing now, -1: the input has ended. */
static int read_input(struct client *c) {
  uint8_t *bytes = scratch();
  if (!bytes) return 0;
  ssize_t n = recv(c->watch.fd, bytes, SCRATCH_BYTES, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) return -1;
  if (takes_stdin(c)) feed_put(c->process, bytes, (size_t)n);
  return 1;
}

static void on_client(struct watch *watch, uint32_t events) {
  struct client *c = part_of(watch, struct client, watch);
  bool hung_up = events & (EPOLLHUP | EPOLLERR);
  if (events & EPOLLOUT && !hung_up) {
    bool was_full = outbox_full(&c->out);
    if (outbox_flush(&c->out)) hung_up = true;
    else if (was_full && !outbox_full(&c->out) && c->process) source_resume(c->process);
  }
  if ((events & EPOLLIN || hung_up) && !c->input_ended) {
    int got = !takes_stdin(c) || feed_ready(c->process) ? read_input(c) : 1;
    if (got < 0) end_input(c);
    if (got > 0 && hung_up && takes_stdin(c)) { /* it left, but what it wrote before is still stdin */
      outbox_free(&c->out);
      client_watch(c, true);
      return;
    }
  }
  if (hung_up) {
    client_lost(c);
    return;
  }
  settle(c);
  if (c->ended && c->input_ended) client_free(c);
  else client_watch(c, false);
}

void clients_feed(struct process *p) {
  for (struct client *c = shim.clients; c; c = c->next)
    if (c->process == p) client_watch(c, false);
}

static bool listens(const struct client *c, const struct process *p, uint8_t kind) {
  return c->process == p && !c->finished && c->flags & (kind == 1 ? ATTACH_STDOUT : ATTACH_STDERR);
}

void clients_send(struct process *p, uint8_t kind, const uint8_t *bytes, size_t length) {
  uint8_t header[8] = {kind, 0, 0, 0, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  for (struct client *c = shim.clients, *next; c; c = next) {
    next = c->next;
    if (!listens(c, p, kind)) continue;
    if (outbox_put(&c->out, header, c->flags & ATTACH_RAW ? 0 : sizeof header, bytes, length)) client_lost(c);
    else client_watch(c, false);
  }
}

bool clients_full(const struct process *p) {
  for (const struct client *c = shim.clients; c; c = c->next)
    if (c->process == p && outbox_full(&c->out)) return true;
  return false;
}

void clients_finish(struct process *p) {
  for (struct client *c = shim.clients, *next; c; c = next) {
    next = c->next;
    if (c->process != p) continue;
    c->finished = true;
    c->process = NULL;
    settle(c);
    if (c->ended && c->input_ended) client_free(c);
    else client_watch(c, false);
  }
}

bool clients_done(void) {
  for (const struct client *c = shim.clients; c; c = c->next)
    if (!c->ended) return false;
  return true;
}

int client_attach(int fd, struct process *p, uint32_t flags) {
  struct client *c = calloc(1, sizeof *c);
  if (!c) return -ENOMEM;
  c->watch = (struct watch){.on = on_client, .fd = fd};
  c->process = p;
  c->flags = flags;
  c->next = shim.clients;
  shim.clients = c;
  outbox_init(&c->out, fd, p->slot->spill_dir, p->slot->spill_bytes);
  if (p->slot->announced) { /* it has ended: nothing more to come, which is what EOF says */
    c->finished = true;
    c->process = NULL;
    settle(c);
  }
  client_watch(c, false);
  return 0;
}
