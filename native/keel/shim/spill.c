#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "spill.h"

enum { RING_BYTES = 128 * 1024, PUNCH_BYTES = 1024 * 1024, SENDFILE_BYTES = 256 * 1024 };

void outbox_init(struct outbox *o, int socket, const char *spill_dir, uint64_t spill_limit) {
  memset(o, 0, sizeof *o);
  o->socket = socket;
  o->spill = -1;
  o->spill_dir = spill_dir;
  o->spill_limit = spill_limit;
}

static uint64_t spilled(const struct outbox *o) { return o->spill_to - o->spill_from; }
static size_t held(const struct ring *r) { return r->tail - r->head; }

bool outbox_pending(const struct outbox *o) { return held(&o->first) > 0 || spilled(o) > 0 || held(&o->last) > 0; }

bool outbox_full(const struct outbox *o) {
  if (held(&o->last) > 0) return true;
  uint64_t limit = RING_BYTES / 2;
  if (!o->spill_broken && *o->spill_dir && o->spill_limit > limit) limit = o->spill_limit;
  return held(&o->first) + spilled(o) >= limit;
}

static void ring_free(struct ring *r) {
  if (r->bytes) munmap(r->bytes, r->capacity);
  *r = (struct ring){0};
}

void outbox_free(struct outbox *o) {
  ring_free(&o->first);
  ring_free(&o->last);
  if (o->spill >= 0) close(o->spill);
  o->spill = -1;
  o->spill_from = o->spill_to = 0;
}

/* Room for `need` more bytes at the tail, at most `limit` in all. */
static bool ring_room(struct ring *r, size_t need, size_t limit) {
  if (held(r) + need > limit) return false;
  if (!r->bytes) {
    size_t size = need > RING_BYTES ? (need + 4095) & ~(size_t)4095 : RING_BYTES;
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) return false;
    r->bytes = bytes;
    r->capacity = size;
  }
  if (r->tail + need <= r->capacity) return true;
  memmove(r->bytes, r->bytes + r->head, held(r));
  r->tail -= r->head;
  r->head = 0;
  if (r->tail + need <= r->capacity) return true;
  size_t size = (r->tail + need + RING_BYTES) & ~(size_t)4095;
  void *bytes = mremap(r->bytes, r->capacity, size, MREMAP_MAYMOVE);
  if (bytes == MAP_FAILED) return false;
  r->bytes = bytes;
  r->capacity = size;
  return true;
}

static void ring_add(struct ring *r, const struct iovec *parts) {
  for (int i = 0; i < 2; i++) {
    if (parts[i].iov_len) memcpy(r->bytes + r->tail, parts[i].iov_base, parts[i].iov_len);
    r->tail += parts[i].iov_len;
  }
}

static bool spill_open(struct outbox *o) {
  if (o->spill >= 0) return true;
  if (!*o->spill_dir) return false;
  o->spill = open(o->spill_dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  if (o->spill < 0) { /* a file system without O_TMPFILE */
    char name[512];
    if (snprintf(name, sizeof name, "%s/.spill-XXXXXX", o->spill_dir) >= (int)sizeof name) return false;
    o->spill = mkostemp(name, O_CLOEXEC);
    if (o->spill >= 0) unlink(name);
  }
  return o->spill >= 0;
}

static bool spill_write(struct outbox *o, const struct iovec *parts) {
  if (!spill_open(o)) return false;
  uint64_t at = o->spill_to;
  for (int i = 0; i < 2; i++) {
    for (size_t done = 0; done < parts[i].iov_len;) {
      ssize_t n = pwrite(o->spill, (const char *)parts[i].iov_base + done, parts[i].iov_len - done, (off_t)at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      done += (size_t)n;
      at += (uint64_t)n;
    }
  }
  o->spill_to = at;
  return true;
}

/* Bytes leave in the order first, file, last. */
static int keep(struct outbox *o, const struct iovec *parts) {
  size_t need = parts[0].iov_len + parts[1].iov_len;
  bool in_file = spilled(o) > 0 || held(&o->last) > 0;
  if (!in_file && ring_room(&o->first, need, RING_BYTES)) {
    ring_add(&o->first, parts);
    return 0;
  }
  if (held(&o->last) == 0 && spill_write(o, parts)) return 0;
  o->spill_broken = true;
  struct ring *ring = in_file ? &o->last : &o->first;
  if (!ring_room(ring, need, SIZE_MAX)) return -ENOMEM;
  ring_add(ring, parts);
  return 0;
}

int outbox_put(struct outbox *o, const void *header, size_t header_length, const void *data, size_t length) {
  struct iovec parts[2] = {{(void *)(uintptr_t)header, header_length}, {(void *)(uintptr_t)data, length}};
  if (!outbox_pending(o)) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(o->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) return -errno;
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == header_length + length) return 0;
    for (int i = 0; i < 2; i++) {
      size_t part = sent < parts[i].iov_len ? sent : parts[i].iov_len;
      parts[i].iov_base = (char *)parts[i].iov_base + part;
      parts[i].iov_len -= part;
      sent -= part;
    }
  }
  return keep(o, parts);
}

static int flush_ring(int to, struct ring *r) {
  while (held(r) > 0) {
    ssize_t n = send(to, r->bytes + r->head, held(r), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -errno;
    r->head += (size_t)n;
  }
  ring_free(r);
  return 0;
}

static void punch(struct outbox *o) {
  if (o->spill_from - o->punched < PUNCH_BYTES) return;
  uint64_t end = o->spill_from & ~(uint64_t)4095;
  /* Only saves space: a file system that can't is fine. */
  (void)fallocate(o->spill, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)o->punched, (off_t)(end - o->punched));
  o->punched = end;
}

static int flush_spill(struct outbox *o) {
  while (spilled(o) > 0) {
    off_t from = (off_t)o->spill_from;
    size_t count = spilled(o) < SENDFILE_BYTES ? (size_t)spilled(o) : SENDFILE_BYTES;
    ssize_t n = sendfile(o->socket, o->spill, &from, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -errno;
    if (n == 0) return -EIO;
    o->spill_from += (uint64_t)n;
    punch(o);
  }
  if (o->spill >= 0) close(o->spill);
  o->spill = -1;
  o->spill_from = o->spill_to = o->punched = 0;
  o->spill_broken = false;
  return 0;
}

int outbox_flush(struct outbox *o) {
  int error = flush_ring(o->socket, &o->first);
  if (error == 0) error = flush_spill(o);
  if (error == 0) error = flush_ring(o->socket, &o->last);
  return error == -EAGAIN ? 0 : error;
}
