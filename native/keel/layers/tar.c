#define _GNU_SOURCE
#include "tar.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the fields of a header are (POSIX ustar; GNU shares them up to 345). */
enum {
  MODE_AT = 100, UID_AT = 108, GID_AT = 116, SIZE_AT = 124, MTIME_AT = 136, SUM_AT = 148, TYPE_AT = 156, LINK_AT = 157,
  MAGIC_AT = 257, MAJOR_AT = 329, MINOR_AT = 337, PREFIX_AT = 345, NAME_BYTES = 100, PREFIX_BYTES = 155,
};

int tar_open(struct tar *t, struct inflate *in) {
  memset(t, 0, sizeof *t);
  t->in = in;
  return 0;
}

void tar_close(struct tar *t) {
  free(t->pax.text.bytes);
  free(t->name.bytes);
  free(t->link.bytes);
  free(t->scratch.bytes);
  free(t->extents);
  memset(t, 0, sizeof *t);
}

int tar_fail(struct tar *t, int error, const char *what) {
  const char *name = t->name.length ? t->name.bytes : "";
  snprintf(t->text, sizeof t->text, "%s%s%.200s%s at offset %llu", what, *name ? ", entry \"" : "", name, *name ? "\"" : "", (unsigned long long)t->entry_offset);
  return error;
}

/* The words of the stream below, where it has some. */
static int fail_below(struct tar *t, int error) {
  return tar_fail(t, error, t->in->problem ? t->in->problem : error == -EBADMSG ? "the archive is damaged" : "the archive can't be read");
}

int tar_text_add(struct tar_text *text, const void *bytes, size_t length) {
  if (text->length + length + 1 > text->room) {
    size_t room = (text->length + length + 1) * 2;
    char *grown = realloc(text->bytes, room);
    if (!grown) return -ENOMEM;
    text->bytes = grown;
    text->room = room;
  }
  if (length) memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  text->bytes[text->length] = 0;
  return 0;
}

int tar_number(const uint8_t *field, size_t size, int64_t *value) {
  if (field[0] & 0x80) {
    /* base-256, two's complement, big endian; bit 6 of the first byte is the sign */
    bool negative = field[0] & 0x40;
    uint64_t sum = negative ? ~(uint64_t)0 : 0;
    for (size_t i = 0; i < size; i++) {
      uint8_t byte = i ? field[i] : (uint8_t)(negative ? field[0] | 0x80 : field[0] & 0x7f);
      if (i + 8 < size && byte != (negative ? 0xff : 0)) return -EBADMSG;
      sum = sum << 8 | byte;
    }
    *value = (int64_t)sum;
    return (*value < 0) == negative ? 0 : -EBADMSG;
  }
  size_t i = 0;
  uint64_t sum = 0;
  while (i < size && field[i] == ' ') i++;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
    if (sum >> 60) return -EBADMSG;
    sum = sum << 3 | (uint64_t)(field[i] - '0');
  }
  for (; i < size; i++)
    if (field[i] && field[i] != ' ') return -EBADMSG;
  *value = (int64_t)sum;
  return 0;
}

static bool sum_is_right(const uint8_t h[TAR_BLOCK]) {
  int64_t given, with_unsigned = 0, with_signed = 0;
  if (tar_number(h + SUM_AT, 8, &given)) return false;
  for (int i = 0; i < TAR_BLOCK; i++) {
    uint8_t byte = i >= SUM_AT && i < SUM_AT + 8 ? ' ' : h[i];
    with_unsigned += byte;
    with_signed += (int8_t)byte; /* some old programs summed chars */
  }
  return given == with_unsigned || given == with_signed;
}

/* 1: a header; 0: the end (two zero blocks, one, or the stream's). */
static int read_header(struct tar *t, uint8_t h[TAR_BLOCK]) {
  int error = inflate_skip(t->in, t->left + t->padding);
  t->left = t->padding = 0;
  if (error) return fail_below(t, error);
  if (t->pax.text.length == 0 && t->name.length == 0 && t->link.length == 0) t->entry_offset = t->in->plain_bytes;
  ssize_t n = inflate_read(t->in, h, TAR_BLOCK);
  if (n < 0) return fail_below(t, (int)n);
  if (n == 0) return 0;
  if (n < TAR_BLOCK) return tar_fail(t, -EBADMSG, "the archive ends in the middle of a header");
  static const uint8_t zeros[TAR_BLOCK];
  if (memcmp(h, zeros, TAR_BLOCK) == 0) return 0;
  return sum_is_right(h) ? 1 : tar_fail(t, -EBADMSG, "a header's checksum is wrong: this is no tar archive, or it is damaged");
}

int tar_read_text(struct tar *t, struct tar_text *text, uint64_t size) {
  if (size > TAR_MOST_EXTRA) return tar_fail(t, -EBADMSG, "an extended header is too long");
  text->length = 0;
  int error = tar_text_add(text, NULL, 0);
  while (error == 0 && size) {
    const uint8_t *bytes;
    ssize_t n = inflate_peek(t->in, &bytes);
    if (n <= 0) return n < 0 ? fail_below(t, (int)n) : tar_fail(t, -EBADMSG, "the archive ends in the middle of an extended header");
    size_t take = (uint64_t)n < size ? (size_t)n : (size_t)size;
    error = tar_text_add(text, bytes, take);
    inflate_take(t->in, take);
    size -= take;
    t->left -= take;
  }
  return error;
}

static uint64_t padding_of(uint64_t size) { return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK; }

static int header_numbers(struct tar *t, const uint8_t *h, struct tar_entry *e, uint64_t *stored) {
  int64_t mode, uid, gid, size, mtime, major = 0, minor = 0;
  int bad = tar_number(h + MODE_AT, 8, &mode) | tar_number(h + UID_AT, 8, &uid) | tar_number(h + GID_AT, 8, &gid) |
            tar_number(h + SIZE_AT, 12, &size) | tar_number(h + MTIME_AT, 12, &mtime);
  /* V7 has no device fields */
  if (memcmp(h + MAGIC_AT, "ustar", 5) == 0) bad |= tar_number(h + MAJOR_AT, 8, &major) | tar_number(h + MINOR_AT, 8, &minor);
  if (bad || size < 0) return tar_fail(t, -EBADMSG, "a header has a malformed number");
  e->mode = (uint32_t)mode & 07777;
  if (t->pax.has_uid) uid = (int64_t)t->pax.uid;
  if (t->pax.has_gid) gid = (int64_t)t->pax.gid;
  /* -1 would tell chown to leave the owner as it is */
  if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) return tar_fail(t, -EBADMSG, "an owner is out of range");
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return tar_fail(t, -EBADMSG, "a device number is out of range");
  e->uid = (uint32_t)uid;
  e->gid = (uint32_t)gid;
  e->major = (uint32_t)major;
  e->minor = (uint32_t)minor;
  e->mtime = t->pax.mtime.set ? t->pax.mtime : (struct tar_time){mtime, 0, true};
  e->atime = t->pax.atime;
  *stored = t->pax.has_size ? t->pax.size : (uint64_t)size;
  return *stored > INT64_MAX ? tar_fail(t, -EBADMSG, "a size is out of range") : 0;
}

static int header_names(struct tar *t, const uint8_t *h) {
  int error = 0;
  if (t->pax.sparse_name || t->pax.path) {
    const char *path = t->pax.sparse_name ? t->pax.sparse_name : t->pax.path;
    t->name.length = 0;
    error = tar_text_add(&t->name, path, strlen(path));
  } else if (t->name.length == 0) {
    /* GNU uses the bytes of the prefix for other things */
    if (memcmp(h + MAGIC_AT, "ustar\0", 6) == 0 && h[PREFIX_AT]) {
      error = tar_text_add(&t->name, h + PREFIX_AT, strnlen((const char *)h + PREFIX_AT, PREFIX_BYTES));
      if (error == 0) error = tar_text_add(&t->name, "/", 1);
    }
    if (error == 0) error = tar_text_add(&t->name, h, strnlen((const char *)h, NAME_BYTES));
  }
  if (t->pax.link) t->link.length = 0;
  if (error == 0 && t->pax.link) error = tar_text_add(&t->link, t->pax.link, strlen(t->pax.link));
  else if (error == 0 && t->link.length == 0) error = tar_text_add(&t->link, h + LINK_AT, strnlen((const char *)h + LINK_AT, NAME_BYTES));
  return error;
}

/* What else is in an entry of this type: bytes, or nothing whatever the size says. */
static bool has_bytes(uint8_t type) { return !strchr("123456", type) || type == 0; }

static int sparse_map(struct tar *t, const uint8_t *h, struct tar_entry *e) {
  e->size = t->left;
  int error = 0;
  t->extent_count = 0;
  if (t->pax.sparse && h[TYPE_AT] != 'S') {
    e->size = t->pax.has_sparse_size ? t->pax.sparse_size : t->left;
    if (t->pax.sparse_in_data) error = tar_sparse_in_data(t);
    else if (t->pax.sparse_map) error = tar_sparse_text(t, t->pax.sparse_map);
    else error = tar_sparse_text(t, t->scratch.length ? t->scratch.bytes : "");
  } else if (h[TYPE_AT] == 'S') {
    error = tar_sparse_gnu(t, h, &e->size);
  } else if (t->left) {
    error = tar_extent_add(t, 0, t->left);
  }
  return error ? error : tar_sparse_check(t, e->size);
}

static int make_entry(struct tar *t, const uint8_t *h, struct tar_entry *e) {
  uint64_t stored;
  memset(e, 0, sizeof *e);
  e->offset = t->entry_offset;
  int error = header_names(t, h);
  if (error == 0) error = header_numbers(t, h, e, &stored);
  if (error) return error;
  uint8_t type = h[TYPE_AT];
  if (type == 0 || type == '7' || type == 'S' || !strchr("0123456D", type)) type = '0';
  if (type == 'D') type = '5';
  if (type == '0' && t->name.length && t->name.bytes[t->name.length - 1] == '/') type = '5'; /* V7's way to say directory */
  t->left = has_bytes(h[TYPE_AT]) ? stored : 0;
  t->padding = padding_of(t->left);
  e->type = (enum tar_type)type;
  e->name = t->name.bytes;
  e->link = t->link.bytes;
  if (t->name.length == 0) return tar_fail(t, -EBADMSG, "an entry has no name");
  if (e->type == TAR_FILE) error = sparse_map(t, h, e);
  e->extents = t->extents;
  e->extent_count = e->type == TAR_FILE ? t->extent_count : 0;
  e->xattrs = t->xattrs;
  e->xattr_count = t->xattr_count;
  return error;
}

/* A header that says something about the next one. 1: it was one; 0: an entry; -errno. */
static int take_extra(struct tar *t, const uint8_t *h) {
  uint8_t type = h[TYPE_AT];
  if (!type || !strchr("xXgLKVMN", type)) return 0;
  int64_t size;
  if (tar_number(h + SIZE_AT, 12, &size) || size < 0) return tar_fail(t, -EBADMSG, "a header has a malformed size");
  if (type == 'M' || type == 'N') return tar_fail(t, -EBADMSG, "archives in several volumes are not read");
  t->left = (uint64_t)size;
  t->padding = padding_of(t->left);
  int error = 0;
  if (type == 'x' || type == 'X') error = tar_pax_read(t, t->left);
  if (type == 'L') error = tar_read_text(t, &t->name, t->left);
  if (type == 'K') error = tar_read_text(t, &t->link, t->left);
  if (error) return error;
  /* A long name ends in a NUL */
  if (type == 'L') t->name.length = strlen(t->name.bytes);
  if (type == 'K') t->link.length = strlen(t->link.bytes);
  return 1;
}

int tar_next(struct tar *t, struct tar_entry *e) {
  uint8_t header[TAR_BLOCK];
  t->name.length = t->link.length = t->scratch.length = 0;
  tar_pax_reset(t);
  for (;;) {
    int got = read_header(t, header);
    if (got <= 0) return got;
    got = take_extra(t, header);
    if (got < 0) return got;
    if (got == 0) break;
  }
  int error = make_entry(t, header, e);
  if (error && !*t->text) tar_fail(t, error, strerror(-error));
  return error ? error : 1;
}

ssize_t tar_data(struct tar *t, const uint8_t **bytes) {
  if (t->left == 0) return 0;
  ssize_t n = inflate_peek(t->in, bytes);
  if (n < 0) return fail_below(t, (int)n);
  if (n == 0) return tar_fail(t, -EBADMSG, "the archive ends in the middle of a file");
  return (uint64_t)n < t->left ? n : (ssize_t)t->left;
}

void tar_take(struct tar *t, size_t count) {
  inflate_take(t->in, count);
  t->left -= count;
}
