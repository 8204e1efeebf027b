/*
 * A stream as it is stored (plain, gzip with any number of members, zstd with any number of frames; told by its first bytes) read as
 * plain bytes. Both sides are hashed and counted on the way.
 *
 * Lifecycle: inflate_open -> inflate_peek/inflate_take... -> inflate_drain (so that the digests cover everything) -> inflate_close.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <zlib.h>
#include <zstd.h>
#include "hash.h"

enum inflate_kind { INFLATE_UNKNOWN, INFLATE_PLAIN, INFLATE_GZIP, INFLATE_ZSTD };

struct inflate {
  int fd;
  ssize_t (*read_more)(void *from, void *into, size_t room); /* NULL: read(2) of fd */
  void *from;
  bool hashing;                    /* false: counts only */
  bool input_ended, member_open;
  enum inflate_kind kind;
  uint8_t *in, *out;
  size_t in_at, in_end, out_at, out_end;
  z_stream gzip;
  ZSTD_DCtx *zstd;
  struct sha256 stored, plain;
  uint64_t stored_bytes, plain_bytes; /* read / handed out and taken */
  const char *problem;             /* words for the last error, or NULL */
};

/* 0 or -errno. The descriptor stays the caller's. */
int inflate_open(struct inflate *stream, int fd, bool hashing);
/* The next plain bytes: how many there are (at least 1), 0 at the end, -EBADMSG for a malformed or truncated stream, -errno. */
ssize_t inflate_peek(struct inflate *stream, const uint8_t **bytes);
/* The stream comes from a function: bytes, 0 at its end, or -errno. Before anything is read. */
void inflate_from(struct inflate *stream, ssize_t (*read_more)(void *from, void *into, size_t room), void *from);
void inflate_take(struct inflate *stream, size_t count);
/* Reads exactly `length`; fewer at the end of the stream, or -errno. */
ssize_t inflate_read(struct inflate *stream, void *into, size_t length);
/* Takes `length` bytes; -EBADMSG when the stream ends before. */
int inflate_skip(struct inflate *stream, uint64_t length);
int inflate_drain(struct inflate *stream);
void inflate_close(struct inflate *stream);
