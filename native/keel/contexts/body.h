/*
 * The body of an HTTP request, read from a connection that is another process's too: what that one had read of it comes first, from another
 * descriptor; then the connection itself. The coding (RFC 9112, sections 6 and 7.1) is undone.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum body_state { BODY_SIZE, BODY_EXTENSION, BODY_DATA, BODY_DATA_END, BODY_TRAILER, BODY_OVER };

struct body {
  int head, connection;  /* head: read to its end first, -1: none */
  enum body_state state;
  bool chunked;
  uint64_t left;         /* of the body, or of the chunk in hand; while its size is read, what of it is known */
  unsigned digits;       /* of the size */
  uint64_t line;         /* bytes of the line in hand */
  uint8_t *bytes;
  size_t at, end;
  const char *problem;   /* words for the last error */
};

/* `framing`: "chunked", or the number of bytes. The descriptors stay the caller's. 0, -EINVAL, -ENOMEM. */
int body_open(struct body *body, int head, int connection, const char *framing);
/* At least one byte; 0 at the body's end, -EBADMSG for a malformed coding or one that ends before, -errno. */
ssize_t body_read(void *body, void *into, size_t room);
/* Bytes that were read behind the body's end. */
size_t body_rest(const struct body *body);
void body_close(struct body *body);

/* A copy of the connection that is descriptor `fd` of the process `pid`. -errno, -ENOTSOCK. */
int body_connection(int pid, int fd);
