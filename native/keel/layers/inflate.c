#define _GNU_SOURCE
#include "inflate.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_BYTES = 128 * 1024, OUT_BYTES = 256 * 1024, MAGIC_BYTES = 6, GZIP_WINDOW = 15 + 16 };

int inflate_open(struct inflate *s, int fd, bool hashing) {
  memset(s, 0, sizeof *s);
  s->fd = fd;
  s->hashing = hashing;
  sha256_init(&s->stored);
  sha256_init(&s->plain);
  s->in = malloc(IN_BYTES);
  s->out = malloc(OUT_BYTES);
  if (s->in && s->out) return 0;
  inflate_close(s);
  return -ENOMEM;
}

void inflate_from(struct inflate *s, ssize_t (*read_more)(void *from, void *into, size_t room), void *from) {
  s->read_more = read_more;
  s->from = from;
}

void inflate_close(struct inflate *s) {
  if (s->kind == INFLATE_GZIP) inflateEnd(&s->gzip);
  ZSTD_freeDCtx(s->zstd);
  free(s->in);
  free(s->out);
  memset(s, 0, sizeof *s);
}

static int broken(struct inflate *s, const char *problem) {
  s->problem = problem;
  return -EBADMSG;
}

static ssize_t more(struct inflate *s, void *into, size_t room) {
  if (s->read_more) return s->read_more(s->from, into, room);
  ssize_t n;
  while ((n = read(s->fd, into, room)) < 0 && errno == EINTR) {}
  return n < 0 ? -errno : n;
}

/* More input behind what is there. 0 (input_ended may be set now) or -errno. */
static int fill(struct inflate *s) {
  if (s->in_at == s->in_end) s->in_at = s->in_end = 0;
  if (s->in_end == IN_BYTES || s->input_ended) return 0;
  ssize_t n = more(s, s->in + s->in_end, IN_BYTES - s->in_end);
  if (n < 0) return (int)n;
  if (n == 0) s->input_ended = true;
  if (s->hashing) sha256_add(&s->stored, s->in + s->in_end, (size_t)n);
  s->stored_bytes += (uint64_t)n;
  s->in_end += (size_t)n;
  return 0;
}

static bool starts(const struct inflate *s, const char *magic, size_t length) {
  return s->in_end - s->in_at >= length && memcmp(s->in + s->in_at, magic, length) == 0;
}

static int recognise(struct inflate *s) {
  while (s->in_end < MAGIC_BYTES && !s->input_ended) {
    int error = fill(s);
    if (error) return error;
  }
  if (starts(s, "\x1f\x8b\x08", 3)) {
    if (inflateInit2(&s->gzip, GZIP_WINDOW) != Z_OK) return -ENOMEM;
    s->kind = INFLATE_GZIP;
  } else if (starts(s, "\x28\xb5\x2f\xfd", 4) || (s->in_end >= 4 && (s->in[0] & 0xf0) == 0x50 && starts(&(struct inflate){.in = s->in + 1, .in_end = 3}, "\x2a\x4d\x18", 3))) {
    s->zstd = ZSTD_createDCtx();
    if (!s->zstd) return -ENOMEM;
    s->kind = INFLATE_ZSTD;
  } else if (starts(s, "\xfd" "7zXZ", 5) || starts(s, "BZh", 3)) {
    s->problem = "compressed with xz or bzip2, of which only gzip, zstd and none are read";
    return -EOPNOTSUPP;
  } else {
    s->kind = INFLATE_PLAIN;
  }
  return 0;
}

/* One step each: consumes input, appends to out. 0 or -errno. A member that has ended is followed by another, or by nothing. */
static int step_gzip(struct inflate *s) {
  if (!s->member_open && inflateReset(&s->gzip) != Z_OK) return broken(s, "the gzip stream can't be reset");
  s->member_open = true;
  s->gzip.next_in = s->in + s->in_at;
  s->gzip.avail_in = (unsigned)(s->in_end - s->in_at);
  s->gzip.next_out = s->out + s->out_end;
  s->gzip.avail_out = (unsigned)(OUT_BYTES - s->out_end);
  int got = inflate(&s->gzip, Z_NO_FLUSH);
  s->in_at = s->in_end - s->gzip.avail_in;
  s->out_end = OUT_BYTES - s->gzip.avail_out;
  if (got == Z_STREAM_END) s->member_open = false;
  else if (got == Z_MEM_ERROR) return -ENOMEM;
  else if (got != Z_OK && got != Z_BUF_ERROR) return broken(s, "the gzip stream is damaged");
  return 0;
}

static int step_zstd(struct inflate *s) {
  ZSTD_inBuffer in = {s->in + s->in_at, s->in_end - s->in_at, 0};
  ZSTD_outBuffer out = {s->out, OUT_BYTES, s->out_end};
  size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
  if (ZSTD_isError(left)) return broken(s, ZSTD_getErrorName(left));
  s->in_at += in.pos;
  s->out_end = out.pos;
  s->member_open = left != 0;
  return 0;
}

static int decompress(struct inflate *s) {
  s->out_at = s->out_end = 0;
  while (s->out_end == 0) {
    if (s->in_at == s->in_end) {
      int error = fill(s);
      if (error) return error;
    }
    /* What a decoder still holds comes out without input. */
    if (s->in_at == s->in_end && s->input_ended && !s->member_open) return 0;
    size_t in_before = s->in_at;
    int error = s->kind == INFLATE_GZIP ? step_gzip(s) : step_zstd(s);
    if (error) return error;
    if (s->input_ended && s->in_at == s->in_end && s->in_at == in_before && s->out_end == 0 && s->member_open)
      return broken(s, "the compressed stream ends in the middle");
  }
  return 0;
}

static int advance(struct inflate *s) {
  int error = s->kind == INFLATE_UNKNOWN ? recognise(s) : 0;
  if (error) return error;
  if (s->kind != INFLATE_PLAIN) return decompress(s);
  if (s->in_at == s->in_end) error = fill(s);
  return error;
}

ssize_t inflate_peek(struct inflate *s, const uint8_t **bytes) {
  if (s->kind == INFLATE_PLAIN && s->in_at < s->in_end) {
    *bytes = s->in + s->in_at;
    return (ssize_t)(s->in_end - s->in_at);
  }
  if (s->out_at == s->out_end) {
    int error = advance(s);
    if (error) return error;
  }
  if (s->kind == INFLATE_PLAIN) {
    *bytes = s->in + s->in_at;
    return (ssize_t)(s->in_end - s->in_at);
  }
  *bytes = s->out + s->out_at;
  return (ssize_t)(s->out_end - s->out_at);
}

void inflate_take(struct inflate *s, size_t count) {
  const uint8_t *from = s->kind == INFLATE_PLAIN ? s->in + s->in_at : s->out + s->out_at;
  if (s->hashing && s->kind != INFLATE_PLAIN) sha256_add(&s->plain, from, count);
  s->plain_bytes += count;
  if (s->kind == INFLATE_PLAIN) s->in_at += count;
  else s->out_at += count;
}

ssize_t inflate_read(struct inflate *s, void *into, size_t length) {
  size_t done = 0;
  while (done < length) {
    const uint8_t *bytes;
    ssize_t n = inflate_peek(s, &bytes);
    if (n < 0) return n;
    if (n == 0) break;
    size_t take = (size_t)n < length - done ? (size_t)n : length - done;
    memcpy((char *)into + done, bytes, take);
    inflate_take(s, take);
    done += take;
  }
  return (ssize_t)done;
}

int inflate_skip(struct inflate *s, uint64_t length) {
  while (length) {
    const uint8_t *bytes;
    ssize_t n = inflate_peek(s, &bytes);
    if (n < 0) return (int)n;
    if (n == 0) return broken(s, "the archive ends in the middle");
    size_t take = (uint64_t)n < length ? (size_t)n : (size_t)length;
    inflate_take(s, take);
    length -= take;
  }
  return 0;
}

int inflate_drain(struct inflate *s) {
  const uint8_t *bytes;
  ssize_t n;
  while ((n = inflate_peek(s, &bytes)) > 0) inflate_take(s, (size_t)n);
  if (n == 0 && s->kind == INFLATE_PLAIN) s->plain = s->stored; /* the same bytes, hashed once */
  return (int)n;
}
