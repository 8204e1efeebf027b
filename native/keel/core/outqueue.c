#define _GNU_SOURCE
#include "outqueue.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WAITING = 64 * 1024 * 1024 };

int outqueue_raw(struct outqueue *q, const uint8_t *bytes, size_t length) {
  if (q->to - q->from + length > MOST_WAITING) return -ENOBUFS;
  if (q->to + length > q->capacity) {
    size_t waiting = q->to - q->from, capacity = (waiting + length) * 2;
    uint8_t *grown = malloc(capacity);
    if (!grown) return -ENOMEM;
    if (waiting) memcpy(grown, q->bytes + q->from, waiting);
    free(q->bytes);
    *q = (struct outqueue){grown, 0, waiting, capacity};
  }
  memcpy(q->bytes + q->to, bytes, length);
  q->to += length;
  return 0;
}

int outqueue_put(struct outqueue *q, uint16_t type, uint32_t id, const uint8_t *payload, size_t length) {
  uint8_t header[12];
  uint32_t size = (uint32_t)length;
  memcpy(header, &size, 4);
  memcpy(header + 4, &type, 2);
  memset(header + 6, 0, 2);
  memcpy(header + 8, &id, 4);
  int error = outqueue_raw(q, header, sizeof header);
  return error || length == 0 ? error : outqueue_raw(q, payload, length);
}

int outqueue_flush(struct outqueue *q, int fd) {
  while (q->from < q->to) {
    ssize_t n = write(fd, q->bytes + q->from, q->to - q->from);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? 1 : -errno;
    q->from += (size_t)n;
  }
  free(q->bytes);
  *q = (struct outqueue){0};
  return 0;
}
