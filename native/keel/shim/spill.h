/*
 * What a client has not taken yet: first a bounded ring in memory, beyond it an unlinked file (exact bytes, holes punched behind
 * the reader). Nothing is lost and nobody waits, until the file's limit is reached: then `outbox_full` holds back the process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
  uint8_t *bytes;             /* mapped while it holds something */
  size_t capacity, head, tail;
};

struct outbox {
  int socket;                 /* non-blocking; not owned */
  const char *spill_dir;      /* "" : no file, the ring alone */
  uint64_t spill_limit;
  struct ring first, last;    /* before and (when the disk is full) behind the file */
  int spill;                  /* -1: none */
  bool spill_broken;          /* the disk is full: as if the limit were reached */
  uint64_t spill_from, spill_to, punched;
};

void outbox_init(struct outbox *o, int socket, const char *spill_dir, uint64_t spill_limit);
/* Sends or keeps header and data, whole. 0, or -errno when the client is gone or (ENOMEM) can't be served. */
int outbox_put(struct outbox *o, const void *header, size_t header_length, const void *data, size_t length);
/* Sends what is kept, as much as fits now. 0 or -errno. */
int outbox_flush(struct outbox *o);
bool outbox_pending(const struct outbox *o);
bool outbox_full(const struct outbox *o);
void outbox_free(struct outbox *o);
