/* pax extended headers: records of "length key=value\n". */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include "tar.h"

struct pax_record {
  char *key, *value; /* NUL terminated */
  uint32_t length;   /* of value */
};

void tar_pax_reset(struct tar *t) {
  struct tar_text text = t->pax.text;
  text.length = 0;
  t->pax = (struct tar_pax){.text = text};
  t->xattr_count = 0;
}

int tar_decimal(const char *text, size_t length, uint64_t *value) {
  if (length == 0) return -EBADMSG;
  *value = 0;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(*value, 10u, value) || __builtin_add_overflow(*value, (uint64_t)(text[i] - '0'), value))
      return -EBADMSG;
  }
  return 0;
}

/* Seconds with an optional fraction and sign. */
static int time_of(const char *text, struct tar_time *time) {
  bool negative = *text == '-';
  if (negative) text++;
  size_t whole = strcspn(text, ".");
  uint64_t seconds, nanoseconds = 0;
  if (tar_decimal(text, whole, &seconds) || seconds > INT64_MAX / 2) return -EBADMSG;
  if (text[whole] == '.') {
    const char *digits = text + whole + 1;
    if (digits[strspn(digits, "0123456789")]) return -EBADMSG;
    for (int i = 0; i < 9; i++) nanoseconds = nanoseconds * 10 + (*digits ? (uint64_t)(*digits++ - '0') : 0);
  }
  *time = (struct tar_time){(int64_t)seconds, (uint32_t)nanoseconds, true};
  if (!negative) return 0;
  time->seconds = -(int64_t)seconds - (nanoseconds ? 1 : 0);
  time->nanoseconds = nanoseconds ? 1000000000u - (uint32_t)nanoseconds : 0;
  return 0;
}

static int add_xattr(struct tar *t, const struct pax_record *r, const char *name) {
  if (!*name || strlen(name) > 255) return tar_fail(t, -EBADMSG, "an extended attribute's name is empty or too long");
  for (size_t i = 0; i < t->xattr_count; i++) {
    if (strcmp(t->xattrs[i].name, name)) continue;
    t->xattrs[i] = (struct tar_xattr){name, r->value, r->length}; /* the last one counts */
    return 0;
  }
  if (t->xattr_count == TAR_MOST_XATTRS) return tar_fail(t, -EBADMSG, "an entry has too many extended attributes");
  t->xattrs[t->xattr_count++] = (struct tar_xattr){name, r->value, r->length};
  return 0;
}

/* GNU.sparse.offset and .numbytes (format 0.0) come in pairs, gathered as the text of format 0.1. */
static int add_sparse_number(struct tar *t, const struct pax_record *r) {
  int error = t->scratch.length ? tar_text_add(&t->scratch, ",", 1) : 0;
  return error ? error : tar_text_add(&t->scratch, r->value, r->length);
}

static int take_sparse(struct tar *t, const struct pax_record *r, const char *key) {
  struct tar_pax *p = &t->pax;
  p->sparse = true;
  if (strcmp(key, "name") == 0) p->sparse_name = r->value;
  if (strcmp(key, "map") == 0) p->sparse_map = r->value;
  if (strcmp(key, "offset") == 0 || strcmp(key, "numbytes") == 0) return add_sparse_number(t, r);
  if (strcmp(key, "realsize") == 0 || strcmp(key, "size") == 0) {
    p->has_sparse_size = true;
    return tar_decimal(r->value, r->length, &p->sparse_size);
  }
  if (strcmp(key, "minor") == 0) return tar_decimal(r->value, r->length, &p->sparse_minor);
  if (strcmp(key, "major") != 0) return 0;
  int error = tar_decimal(r->value, r->length, &p->sparse_major);
  p->sparse_in_data = p->sparse_major == 1;
  if (error == 0 && p->sparse_major > 1) return tar_fail(t, -EBADMSG, "a sparse file has an unknown format");
  return error;
}

static int take_number(const struct pax_record *r, uint64_t *value, bool *has) {
  *has = r->length > 0; /* an empty value takes a record back */
  return r->length ? tar_decimal(r->value, r->length, value) : 0;
}

static int take_record(struct tar *t, const struct pax_record *r) {
  static const char xattr[] = "SCHILY.xattr.", sparse[] = "GNU.sparse.";
  struct tar_pax *p = &t->pax;
  if (strncmp(r->key, xattr, sizeof xattr - 1) == 0) return add_xattr(t, r, r->key + sizeof xattr - 1);
  bool has_nul = strlen(r->value) != r->length;
  if (strcmp(r->key, "path") == 0 || strcmp(r->key, "linkpath") == 0) {
    if (has_nul) return tar_fail(t, -EBADMSG, "a pax path contains NUL");
    *(r->key[0] == 'p' ? &p->path : &p->link) = r->length ? r->value : NULL;
    return 0;
  }
  if (strcmp(r->key, "size") == 0) return take_number(r, &p->size, &p->has_size);
  if (strcmp(r->key, "uid") == 0) return take_number(r, &p->uid, &p->has_uid);
  if (strcmp(r->key, "gid") == 0) return take_number(r, &p->gid, &p->has_gid);
  if (strcmp(r->key, "mtime") == 0 && r->length) return time_of(r->value, &p->mtime);
  if (strcmp(r->key, "atime") == 0 && r->length) return time_of(r->value, &p->atime);
  if (strncmp(r->key, sparse, sizeof sparse - 1) == 0 && !has_nul) return take_sparse(t, r, r->key + sizeof sparse - 1);
  return 0; /* others say nothing about a file here */
}

/* Cuts one record off; NULs replace '=' and the newline. */
static int next_record(char **at, char *end, struct pax_record *r) {
  char *space = memchr(*at, ' ', (size_t)(end - *at));
  uint64_t length;
  if (!space || space - *at > 8 || tar_decimal(*at, (size_t)(space - *at), &length)) return -EBADMSG;
  if (length > (uint64_t)(end - *at) || length < (uint64_t)(space - *at) + 3) return -EBADMSG;
  char *last = *at + length - 1, *equals = memchr(space + 1, '=', (size_t)(last - space - 1));
  if (*last != '\n' || !equals || equals == space + 1 || memchr(space + 1, 0, (size_t)(equals - space - 1))) return -EBADMSG;
  *last = *equals = 0;
  *r = (struct pax_record){space + 1, equals + 1, (uint32_t)(last - equals - 1)};
  *at += length;
  return 0;
}

int tar_pax_read(struct tar *t, uint64_t size) {
  tar_pax_reset(t); /* two in a row: the second replaces the first, and its bytes the first one's */
  t->scratch.length = 0;
  int error = tar_read_text(t, &t->pax.text, size);
  char *at = t->pax.text.bytes, *end = at + t->pax.text.length;
  while (error == 0 && at < end) {
    struct pax_record r;
    error = next_record(&at, end, &r);
    if (error == 0) error = take_record(t, &r);
    if (error && !*t->text) tar_fail(t, error, "a pax header is malformed");
  }
  return error;
}
