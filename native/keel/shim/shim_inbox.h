/*
 * Frames as shim and pause read and write them. The reader takes exactly one frame off the socket, never a byte more: what follows
 * an ATTACH is stdin and stays in the socket.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wire.h"

enum {
  SOCKET_FRAME_HEADER = 12,
  MOST_PAYLOAD = 16 * 1024 * 1024,
  REPLY_TYPE = 0x8000,
};

struct message {
  uint16_t type, flags;
  uint32_t id;
  struct cursor payload;      /* valid until inbox_done */
};

struct inbox {
  uint8_t header[SOCKET_FRAME_HEADER];
  uint32_t got;
  uint8_t *payload;
  uint32_t length, filled;
};

/* 1: a message; 0: not yet; -errno (-EPIPE: the peer has closed, -EPROTO: too long). */
int inbox_read(struct inbox *in, int fd, struct message *message);
void inbox_done(struct inbox *in);
uint32_t inbox_id(const struct inbox *in);    /* of the frame being read */

/* What the result record carries. */
struct outcome {
  uint32_t failed_index;      /* 0xffffffff: none */
  int error;                  /* errno, positive */
  int pause_pid, shim_pid, pid;
  struct blob steps, outputs, message;
};

/* A frame with one record (or two): bytes to be freed with free(), or NULL. */
struct reply_record {
  uint16_t code;
  uint8_t ints, blobs;
  uint64_t i[8];
  struct blob b[8];
};
uint8_t *frame_build(uint16_t type, uint32_t id, const struct reply_record *records, size_t count, size_t *size);
struct reply_record result_record(const struct outcome *outcome);
static inline struct outcome outcome_errno(int error, const char *text) {
  size_t n = 0;
  while (text && text[n]) n++;
  return (struct outcome){.failed_index = 0xffffffff, .error = error, .steps = {"", 0}, .outputs = {"", 0}, .message = {text ? text : "", (uint32_t)n}};
}
/* Blocking, bounded by a second: for the few replies that go out before a loop runs. 0 or -errno. */
int send_whole(int fd, const uint8_t *bytes, size_t length);

/* listen on a path: bound under a temporary name, 0600, in a directory that is made 0700. Descriptor or -errno. */
int listen_at(const char *path);
/* Accepts a peer of our own user; -errno, -EPERM for another's. */
int accept_own(int listener);
