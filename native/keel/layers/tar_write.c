#define _GNU_SOURCE
#include "tar_write.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "diff.h"

enum { OUT_BYTES = 256 * 1024, FILE_BYTES = 128 * 1024, GZIP_WINDOW = 15 + 16, GZIP_LEVEL = 6, ZSTD_LEVEL = 3, NUMBER_8 = 07777777 };
static const uint64_t NUMBER_12 = 077777777777;

int tar_write_open(struct tar_writer *w, int fd, int compression) {
  memset(w, 0, sizeof *w);
  w->fd = fd;
  w->compression = compression;
  sha256_init(&w->stored);
  sha256_init(&w->plain);
  w->out = malloc(OUT_BYTES);
  w->block = malloc(FILE_BYTES);
  if (!w->out || !w->block) return -ENOMEM;
  if (compression == DIFF_GZIP && deflateInit2(&w->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) return -ENOMEM;
  if (compression == DIFF_ZSTD && !(w->zstd = ZSTD_createCCtx())) return -ENOMEM;
  if (w->zstd) ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
  return 0;
}

void tar_write_close(struct tar_writer *w) {
  if (w->compression == DIFF_GZIP) deflateEnd(&w->gzip);
  ZSTD_freeCCtx(w->zstd);
  free(w->out);
  free(w->block);
  free(w->pax.bytes);
  memset(w, 0, sizeof *w);
}

static int flush(struct tar_writer *w) {
  if (w->compression != DIFF_PLAIN) sha256_add(&w->stored, w->out, w->out_used);
  for (size_t done = 0; w->fd >= 0 && done < w->out_used;) {
    ssize_t n = write(w->fd, w->out + done, w->out_used - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    done += (size_t)n;
  }
  w->stored_bytes += w->out_used;
  w->out_used = 0;
  return 0;
}

static int put_plain(struct tar_writer *w, const uint8_t *bytes, size_t length) {
  if (w->fd < 0) {
    w->stored_bytes += length;
    return 0;
  }
  while (length) {
    size_t n = OUT_BYTES - w->out_used < length ? OUT_BYTES - w->out_used : length;
    memcpy(w->out + w->out_used, bytes, n);
    w->out_used += n;
    bytes += n;
    length -= n;
    int error = w->out_used == OUT_BYTES ? flush(w) : 0;
    if (error) return error;
  }
  return 0;
}

static int put_gzip(struct tar_writer *w, const uint8_t *bytes, size_t length, bool last) {
  w->gzip.next_in = (Bytef *)(uintptr_t)bytes;
  w->gzip.avail_in = (unsigned)length;
  for (;;) {
    w->gzip.next_out = w->out + w->out_used;
    w->gzip.avail_out = (unsigned)(OUT_BYTES - w->out_used);
    int got = deflate(&w->gzip, last ? Z_FINISH : Z_NO_FLUSH);
    w->out_used = OUT_BYTES - w->gzip.avail_out;
    if (got == Z_STREAM_ERROR) return -EIO;
    if (got == Z_STREAM_END || (!last && w->gzip.avail_in == 0 && w->out_used < OUT_BYTES)) return 0;
    int error = flush(w);
    if (error) return error;
  }
}

static int put_zstd(struct tar_writer *w, const uint8_t *bytes, size_t length, bool last) {
  ZSTD_inBuffer in = {bytes, length, 0};
  for (;;) {
    ZSTD_outBuffer out = {w->out, OUT_BYTES, w->out_used};
    size_t left = ZSTD_compressStream2(w->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    w->out_used = out.pos;
    if (ZSTD_isError(left)) return -EIO;
    if (last ? left == 0 : in.pos == in.size) return 0;
    int error = w->out_used == OUT_BYTES ? flush(w) : 0;
    if (error) return error;
  }
}

int tar_write_bytes(struct tar_writer *w, const void *bytes, size_t length) {
  sha256_add(&w->plain, bytes, length);
  w->plain_bytes += length;
  if (w->compression == DIFF_GZIP) return put_gzip(w, bytes, length, false);
  if (w->compression == DIFF_ZSTD) return put_zstd(w, bytes, length, false);
  return put_plain(w, bytes, length);
}

int tar_write_end(struct tar_writer *w) {
  static const uint8_t zeros[2 * TAR_BLOCK];
  int error = tar_write_bytes(w, zeros, sizeof zeros);
  if (error == 0 && w->compression == DIFF_GZIP) error = put_gzip(w, NULL, 0, true);
  if (error == 0 && w->compression == DIFF_ZSTD) error = put_zstd(w, NULL, 0, true);
  if (error == 0) error = flush(w);
  if (w->compression == DIFF_PLAIN) w->stored = w->plain;
  return error;
}

/* "length key=value\n", where the length counts its own digits. */
static int pax_add(struct tar_writer *w, const char *key, const void *value, size_t length) {
  char head[320];
  size_t body = strlen(key) + length + 3, total = body + 1;
  while ((size_t)snprintf(head, sizeof head, "%zu", total) + body != total) total = (size_t)snprintf(head, sizeof head, "%zu", total) + body;
  int size = snprintf(head, sizeof head, "%zu %s=", total, key);
  if (size >= (int)sizeof head) return -ENAMETOOLONG;
  int error = tar_text_add(&w->pax, head, (size_t)size);
  if (error == 0) error = tar_text_add(&w->pax, value, length);
  return error ? error : tar_text_add(&w->pax, "\n", 1);
}

static int pax_number(struct tar_writer *w, const char *key, uint64_t value, uint64_t most) {
  char digits[24];
  if (value <= most) return 0;
  return pax_add(w, key, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value));
}

static bool is_ascii(const char *text) {
  for (; *text; text++)
    if (*text & 0x80) return false;
  return true;
}

static int pax_text(struct tar_writer *w, const char *key, const char *value) {
  return strlen(value) <= 100 && is_ascii(value) ? 0 : pax_add(w, key, value, strlen(value));
}

static int pax_records(struct tar_writer *w, const struct tar_entry *e, const char *name) {
  w->pax.length = 0;
  int error = pax_text(w, "path", name);
  if (error == 0 && e->link) error = pax_text(w, "linkpath", e->link);
  if (error == 0) error = pax_number(w, "size", e->size, NUMBER_12);
  if (error == 0) error = pax_number(w, "uid", e->uid, NUMBER_8);
  if (error == 0) error = pax_number(w, "gid", e->gid, NUMBER_8);
  if (error == 0 && (e->mtime.seconds < 0 || (uint64_t)e->mtime.seconds > NUMBER_12)) {
    char text[32];
    error = pax_add(w, "mtime", text, (size_t)snprintf(text, sizeof text, "%lld", (long long)e->mtime.seconds));
  }
  for (size_t i = 0; error == 0 && i < e->xattr_count; i++) {
    char key[300];
    snprintf(key, sizeof key, "SCHILY.xattr.%s", e->xattrs[i].name);
    error = pax_add(w, key, e->xattrs[i].value, e->xattrs[i].length);
  }
  return error;
}

static void octal(uint8_t *field, int digits, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%0*llo", digits, (unsigned long long)value);
  memcpy(field, text, (size_t)digits);
}

struct header {
  const char *name, *link;
  uint64_t size;
  uint8_t type;
  const struct tar_entry *entry;
};

static int put_header(struct tar_writer *w, const struct header *h) {
  uint8_t block[TAR_BLOCK] = {0};
  const struct tar_entry *e = h->entry;
  memcpy(block, h->name, strnlen(h->name, 100));
  octal(block + 100, 7, e->mode);
  octal(block + 108, 7, e->uid <= NUMBER_8 ? e->uid : 0);
  octal(block + 116, 7, e->gid <= NUMBER_8 ? e->gid : 0);
  octal(block + 124, 11, h->size <= NUMBER_12 ? h->size : 0);
  octal(block + 136, 11, e->mtime.seconds >= 0 && (uint64_t)e->mtime.seconds <= NUMBER_12 ? (uint64_t)e->mtime.seconds : 0);
  memset(block + 148, ' ', 8);
  block[156] = h->type;
  if (h->link) memcpy(block + 157, h->link, strnlen(h->link, 100));
  memcpy(block + 257, "ustar\00000", 8);
  octal(block + 329, 7, e->major);
  octal(block + 337, 7, e->minor);
  unsigned sum = 0;
  for (int i = 0; i < TAR_BLOCK; i++) sum += block[i];
  octal(block + 148, 6, sum);
  block[154] = 0;
  return tar_write_bytes(w, block, sizeof block);
}

static int put_padding(struct tar_writer *w, uint64_t size) {
  static const uint8_t zeros[TAR_BLOCK];
  return tar_write_bytes(w, zeros, (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

int tar_write_entry(struct tar_writer *w, const struct tar_entry *e) {
  char name[PATH_MAX + 2];
  if (e->type == TAR_SYMLINK) w->file_bytes += strlen(e->link);
  size_t length = (size_t)snprintf(name, sizeof name - 1, "%s", e->name);
  if (length >= sizeof name - 1) return -ENAMETOOLONG;
  if (e->type == TAR_DIRECTORY && length && name[length - 1] != '/') memcpy(name + length, "/", 2);
  int error = pax_records(w, e, name);
  if (error == 0 && w->pax.length) {
    static const struct tar_entry nobody = {.mode = 0644};
    error = put_header(w, &(struct header){"PaxHeaders/0", NULL, w->pax.length, 'x', &nobody});
    if (error == 0) error = tar_write_bytes(w, w->pax.bytes, w->pax.length);
    if (error == 0) error = put_padding(w, w->pax.length);
  }
  return error ? error : put_header(w, &(struct header){name, e->link, e->type == TAR_FILE ? e->size : 0, (uint8_t)e->type, e});
}

int tar_write_file(struct tar_writer *w, int fd, uint64_t size) {
  bool ended = false;
  w->file_bytes += size;
  for (uint64_t left = size; left;) {
    size_t want = left < FILE_BYTES ? (size_t)left : FILE_BYTES;
    ssize_t n = ended ? 0 : read(fd, w->block, want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) {
      ended = true; /* it was made shorter while it was read; its header has been written */
      memset(w->block, 0, want);
      n = (ssize_t)want;
    }
    int error = tar_write_bytes(w, w->block, (size_t)n);
    if (error) return error;
    left -= (uint64_t)n;
  }
  return put_padding(w, size);
}
