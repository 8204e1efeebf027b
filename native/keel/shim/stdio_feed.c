/* Stdin of a process: never blocks, keeps at most one chunk, and closes only when told (or when its FIFO's writers are gone). */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>
#include "shim_parts.h"

enum { FEED_BYTES = 64 * 1024 };

static void drop_pending(struct feed *in) {
  if (in->pending) munmap(in->pending, FEED_BYTES);
  in->pending = NULL;
  in->from = in->to = 0;
}

static void close_now(struct process *p) {
  drop_pending(&p->in);
  watch_close(&p->in.sink);
  watch_close(&p->in.source);
  p->in.closing = false;
  p->slot->stdin_closed = 1;
  hold_drop(p->number, HELD_STDIN);
  hold_drop(p->number, HELD_SOURCE_IN);
}

bool feed_ready(const struct process *p) { return p->in.sink.fd >= 0 && !p->in.pending && !p->in.closing; }

/* Bytes written, or -1 when the reader is gone: what is left then is nobody's. */
static ssize_t write_some(struct process *p, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t n = write(p->in.sink.fd, bytes + done, length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return -1;
    done += (size_t)n;
  }
  return (ssize_t)done;
}

void feed_put(struct process *p, const uint8_t *bytes, size_t length) {
  struct feed *in = &p->in;
  if (in->sink.fd < 0 || in->closing) return; /* closed: as a write to a closed pipe, the bytes go nowhere */
  ssize_t n = write_some(p, bytes, length);
  if (n < 0) {
    if (!p->slot->terminal) close_now(p);
    return;
  }
  if ((size_t)n == length) return;
  void *pending = mmap(NULL, FEED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pending == MAP_FAILED) return;
  in->pending = pending;
  in->to = length - (size_t)n < FEED_BYTES ? length - (size_t)n : FEED_BYTES;
  memcpy(in->pending, bytes + n, in->to);
  watch_set(&in->source, 0);
  watch_set(&in->sink, EPOLLOUT);
}

static void on_sink(struct watch *watch, uint32_t events) {
  struct process *p = part_of(watch, struct process, in.sink);
  struct feed *in = &p->in;
  ssize_t n = in->pending ? write_some(p, in->pending + in->from, in->to - in->from) : 0;
  bool stuck = n == 0 && in->pending && events & (EPOLLHUP | EPOLLERR); /* nobody can ever read it */
  if (n < 0 || stuck) {
    drop_pending(in);
    if (!p->slot->terminal) {
      close_now(p);
      return;
    }
  } else {
    in->from += (size_t)n;
    if (in->from < in->to) return;
    drop_pending(in);
  }
  watch_set(&in->sink, 0);
  if (in->closing) {
    close_now(p);
    return;
  }
  if (in->source.fd >= 0) watch_set(&in->source, EPOLLIN);
  clients_feed(p);
}

static void on_source(struct watch *watch, uint32_t events) {
  (void)events;
  struct process *p = part_of(watch, struct process, in.source);
  uint8_t *bytes = scratch();
  if (!bytes) return;
  ssize_t n = read(watch->fd, bytes, FEED_BYTES);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) {
    feed_put(p, bytes, (size_t)n);
    return;
  }
  watch_close(watch);
  hold_drop(p->number, HELD_SOURCE_IN);
  if (!p->slot->terminal) feed_close(p);
}

void feed_start(struct process *p) {
  p->in.sink.on = on_sink;
  p->in.source.on = on_source;
  if (p->in.source.fd >= 0 && p->in.sink.fd >= 0) watch_set(&p->in.source, EPOLLIN);
}

void feed_close(struct process *p) {
  if (p->in.sink.fd < 0) return;
  if (p->in.pending) p->in.closing = true;
  else close_now(p);
}
