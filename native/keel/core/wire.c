#include "wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t u32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static int take_blob(struct cursor *c, struct blob *blob) {
  size_t left = (size_t)(c->end - c->at);
  if (left < 8) return -EPROTO;
  uint32_t length = u32(c->at);
  if (length > left) return -EPROTO; /* also keeps the sum below from wrapping */
  size_t space = (4 + (size_t)length + 1 + 7) & ~(size_t)7;
  if (space > left || c->at[4 + length] != 0) return -EPROTO;
  *blob = (struct blob){(const char *)c->at + 4, length};
  c->at += space;
  return 0;
}

int record_next(struct cursor *c, struct record *r) {
  size_t left = (size_t)(c->end - c->at);
  if (left == 0) return 0;
  if (left < 8) return -EPROTO;
  memset(r, 0, sizeof *r);
  memcpy(&r->code, c->at, 2);
  r->ints = c->at[2];
  r->blobs = c->at[3];
  r->flags = u32(c->at + 4);
  c->at += 8;
  if (r->ints > MAX_INTS || r->blobs > MAX_BLOBS || (size_t)(c->end - c->at) < r->ints * 8u) return -EPROTO;
  memcpy(r->i, c->at, r->ints * 8u);
  c->at += r->ints * 8u;
  for (int i = r->blobs; i < MAX_BLOBS; i++) r->b[i].bytes = "";
  for (int i = 0; i < r->blobs; i++)
    if (take_blob(c, &r->b[i])) return -EPROTO;
  return 1;
}

const char *list_next(struct blob list, const char *at) {
  const char *end = list.bytes + list.length;
  const char *next = at ? at + strlen(at) + 1 : list.bytes;
  return next < end ? next : NULL;
}

size_t list_count(struct blob list) {
  size_t n = 0;
  for (const char *s = list_next(list, NULL); s; s = list_next(list, s)) n++;
  return n;
}

char **list_vector(struct blob list) {
  char **vector = calloc(list_count(list) + 2, sizeof *vector); /* room for one more */
  size_t n = 0;
  for (const char *s = list_next(list, NULL); vector && s; s = list_next(list, s)) vector[n++] = (char *)(uintptr_t)s;
  return vector;
}

int blob_is_text(struct blob blob) { return memchr(blob.bytes, 0, blob.length) == NULL; }
