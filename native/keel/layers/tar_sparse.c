/* Maps of sparse files: which runs of bytes are stored. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tar.h"

enum { OLD_MAP_AT = 386, OLD_ENTRIES = 4, OLD_MORE_AT = 482, OLD_SIZE_AT = 483, MORE_ENTRIES = 21, MORE_MORE_AT = 504, NUMBER = 12 };

int tar_extent_add(struct tar *t, uint64_t offset, uint64_t length) {
  if (t->extent_count == t->extent_room) {
    size_t room = t->extent_room ? t->extent_room * 2 : 16;
    if (room > TAR_MOST_EXTENTS) return tar_fail(t, -EBADMSG, "a sparse file has too many parts");
    struct tar_extent *grown = realloc(t->extents, room * sizeof *grown);
    if (!grown) return -ENOMEM;
    t->extents = grown;
    t->extent_room = room;
  }
  t->extents[t->extent_count++] = (struct tar_extent){offset, length};
  return 0;
}

/* In order, apart, inside the file, and together exactly what is stored. */
int tar_sparse_check(struct tar *t, uint64_t size) {
  uint64_t at = 0, sum = 0;
  if (size > INT64_MAX) return tar_fail(t, -EBADMSG, "a size is out of range");
  for (size_t i = 0; i < t->extent_count; i++) {
    const struct tar_extent *e = &t->extents[i];
    if (e->offset < at || e->offset > size || e->length > size - e->offset) return tar_fail(t, -EBADMSG, "a sparse file's map is malformed");
    at = e->offset + e->length;
    sum += e->length;
  }
  return sum == t->left ? 0 : tar_fail(t, -EBADMSG, "a sparse file's map does not match its size");
}

static int old_entries(struct tar *t, const uint8_t *at, int count) {
  for (int i = 0; i < count; i++, at += 2 * NUMBER) {
    int64_t offset, length;
    if (at[0] == 0 && at[NUMBER] == 0) return 0; /* the rest is unused */
    if (tar_number(at, NUMBER, &offset) || tar_number(at + NUMBER, NUMBER, &length) || offset < 0 || length < 0)
      return tar_fail(t, -EBADMSG, "a sparse file's map is malformed");
    int error = tar_extent_add(t, (uint64_t)offset, (uint64_t)length);
    if (error) return error;
  }
  return 0;
}

int tar_sparse_gnu(struct tar *t, const uint8_t h[TAR_BLOCK], uint64_t *size) {
  int64_t real;
  if (tar_number(h + OLD_SIZE_AT, NUMBER, &real) || real < 0) return tar_fail(t, -EBADMSG, "a sparse file's size is malformed");
  *size = (uint64_t)real;
  int error = old_entries(t, h + OLD_MAP_AT, OLD_ENTRIES);
  uint8_t more[TAR_BLOCK];
  for (bool goes_on = h[OLD_MORE_AT]; error == 0 && goes_on; goes_on = more[MORE_MORE_AT]) {
    ssize_t n = inflate_read(t->in, more, TAR_BLOCK);
    if (n != TAR_BLOCK) return tar_fail(t, n < 0 ? (int)n : -EBADMSG, "the archive ends in the middle of a sparse file's map");
    error = old_entries(t, more, MORE_ENTRIES);
  }
  return error;
}

/* "offset,length,offset,length": formats 0.0 and 0.1. */
int tar_sparse_text(struct tar *t, const char *map) {
  while (*map) {
    uint64_t pair[2];
    for (int i = 0; i < 2; i++) {
      size_t digits = strcspn(map, ",");
      if (tar_decimal(map, digits, &pair[i])) return tar_fail(t, -EBADMSG, "a sparse file's map is malformed");
      map += digits;
      if (*map == ',') map++;
      else if (i == 0) return tar_fail(t, -EBADMSG, "a sparse file's map is malformed");
    }
    int error = tar_extent_add(t, pair[0], pair[1]);
    if (error) return error;
  }
  return 0;
}

/* A decimal number that ends in a newline, from the entry's bytes. */
static int line_number(struct tar *t, uint64_t *used, uint64_t *value) {
  char digits[24];
  size_t n = 0;
  for (;;) {
    const uint8_t *bytes;
    ssize_t got = tar_data(t, &bytes);
    if (got <= 0) return got < 0 ? (int)got : tar_fail(t, -EBADMSG, "a sparse file's map ends in the middle");
    char c = (char)bytes[0];
    tar_take(t, 1);
    ++*used;
    if (c == '\n') break;
    if (n == sizeof digits) return tar_fail(t, -EBADMSG, "a sparse file's map is malformed");
    digits[n++] = c;
  }
  return tar_decimal(digits, n, value) ? tar_fail(t, -EBADMSG, "a sparse file's map is malformed") : 0;
}

/* Format 1.0: the map stands before the bytes, padded to a block. */
int tar_sparse_in_data(struct tar *t) {
  uint64_t used = 0, count, offset, length;
  int error = line_number(t, &used, &count);
  for (uint64_t i = 0; error == 0 && i < count; i++) {
    error = line_number(t, &used, &offset);
    if (error == 0) error = line_number(t, &used, &length);
    if (error == 0) error = tar_extent_add(t, offset, length);
  }
  if (error) return error;
  uint64_t rest = (TAR_BLOCK - used % TAR_BLOCK) % TAR_BLOCK;
  if (rest > t->left) return tar_fail(t, -EBADMSG, "a sparse file's map ends in the middle");
  error = inflate_skip(t->in, rest);
  t->left -= rest;
  return error;
}
