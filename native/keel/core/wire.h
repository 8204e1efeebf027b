/* Records of docs/protocols.md as they are read. A blob's bytes are followed by a NUL on the wire. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { MAX_INTS = 8, MAX_BLOBS = 8 };

struct blob {
  const char *bytes;
  uint32_t length;
};

struct record {
  uint16_t code;
  uint8_t ints, blobs;
  uint32_t flags;
  uint64_t i[MAX_INTS];
  struct blob b[MAX_BLOBS];
};

struct cursor {
  const uint8_t *at, *end;
};

/* 1: a record; 0: the end; -EPROTO: malformed. The record's blobs point into the cursor's bytes. */
int record_next(struct cursor *cursor, struct record *record);

/* The next string of a NUL separated list, or NULL. `at` starts as NULL. */
const char *list_next(struct blob list, const char *at);
size_t list_count(struct blob list);
/* The list as argv: ends in NULL, has room for one more; free() it. NULL: no memory. */
char **list_vector(struct blob list);

/* Is the blob a C string (no NUL inside)? */
int blob_is_text(struct blob blob);
