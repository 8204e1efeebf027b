#define _GNU_SOURCE
#include "body.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "system.h"

enum { STAGE_BYTES = 256 * 1024, MOST_DIGITS = 12, MOST_LINE = 8 * 1024 };

int body_open(struct body *b, int head, int connection, const char *framing) {
  memset(b, 0, sizeof *b);
  b->head = head;
  b->connection = connection;
  b->chunked = strcmp(framing, "chunked") == 0;
  if (!b->chunked) {
    char *end;
    errno = 0;
    b->left = strtoull(framing, &end, 10);
    if (errno || *end || end == framing || *framing == '-') return -EINVAL;
    b->state = b->left ? BODY_DATA : BODY_OVER;
  }
  b->bytes = malloc(STAGE_BYTES);
  return b->bytes ? 0 : -ENOMEM;
}

void body_close(struct body *b) { free(b->bytes); }

size_t body_rest(const struct body *b) { return b->end - b->at; }

int body_connection(int pid, int fd) {
  struct stat st;
  int got = sys_descriptor_of(pid, fd);
  if (got < 0) return got;
  if (fstat(got, &st) == 0 && S_ISSOCK(st.st_mode)) return got;
  close(got);
  return -ENOTSOCK;
}

static int broken(struct body *b, const char *problem) {
  b->problem = problem;
  return -EBADMSG;
}

/* The connection does not block: its flags are shared with whose it is. */
static ssize_t read_waiting(int fd, void *into, size_t room) {
  for (;;) {
    ssize_t n = read(fd, into, room);
    if (n >= 0) return n;
    if (errno == EAGAIN) {
      struct pollfd wait = {.fd = fd, .events = POLLIN};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return -errno;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

static int fill(struct body *b) {
  ssize_t n = 0;
  b->at = b->end = 0;
  if (b->head >= 0) {
    n = read_waiting(b->head, b->bytes, STAGE_BYTES);
    if (n == 0) b->head = -1;
  }
  if (n == 0) n = read_waiting(b->connection, b->bytes, STAGE_BYTES);
  if (n < 0) return (int)n;
  if (n == 0) return broken(b, "unexpected EOF");
  b->end = (size_t)n;
  return 0;
}

static int hex(uint8_t c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

static int end_of_size(struct body *b) {
  if (b->digits == 0) return broken(b, "malformed chunked encoding");
  b->state = b->left ? BODY_DATA : BODY_TRAILER;
  b->digits = 0;
  b->line = 0;
  return 0;
}

/* One byte of what stands around the data. */
static int step(struct body *b, uint8_t c) {
  if (c != '\n' && ++b->line > MOST_LINE) return broken(b, "malformed chunked encoding");
  switch (b->state) {
    case BODY_SIZE: {
      int digit = hex(c);
      if (digit >= 0 && ++b->digits <= MOST_DIGITS) b->left = b->left * 16 + (uint64_t)digit;
      else if (c == '\n') return end_of_size(b);
      else if (c == ';' || c == '\r' || c == ' ' || c == '\t') b->state = BODY_EXTENSION;
      else return broken(b, "malformed chunked encoding");
      return 0;
    }
    case BODY_EXTENSION: return c == '\n' ? end_of_size(b) : 0;
    case BODY_DATA_END:
      if (c == '\r' && b->line == 1) return 0;
      if (c != '\n') return broken(b, "malformed chunked encoding");
      b->state = BODY_SIZE;
      b->line = 0;
      return 0;
    case BODY_TRAILER:
      if (c == '\r') b->line--;
      if (c != '\n') return 0;
      if (b->line == 0) b->state = BODY_OVER;
      b->line = 0;
      return 0;
    case BODY_DATA:
    case BODY_OVER: return 0;
  }
  return 0;
}

static ssize_t take_data(struct body *b, void *into, size_t room) {
  size_t size = b->end - b->at;
  if (size > room) size = room;
  if (size > b->left) size = (size_t)b->left;
  memcpy(into, b->bytes + b->at, size);
  b->at += size;
  b->left -= size;
  if (b->left == 0) b->state = b->chunked ? BODY_DATA_END : BODY_OVER;
  return (ssize_t)size;
}

ssize_t body_read(void *body, void *into, size_t room) {
  struct body *b = body;
  while (b->state != BODY_OVER) {
    if (b->at == b->end) {
      int error = fill(b);
      if (error) return error;
    }
    if (b->state == BODY_DATA) return take_data(b, into, room);
    int error = step(b, b->bytes[b->at++]);
    if (error) return error;
  }
  return 0;
}
