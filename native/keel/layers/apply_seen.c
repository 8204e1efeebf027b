/* A set of names by 64-bit hash (FNV-1a): it only ever decides which of an archive's own entries a whiteout spares. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "apply.h"

static uint64_t hash_of(const char *text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *text; text++) hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
  return hash ? hash : 1; /* 0 marks a free slot */
}

static size_t slot_of(const uint64_t *slots, size_t room, uint64_t hash) {
  size_t at = hash & (room - 1);
  while (slots[at] && slots[at] != hash) at = (at + 1) & (room - 1);
  return at;
}

static int grow(struct seen *s) {
  size_t room = s->room ? s->room * 2 : 1024;
  uint64_t *slots = calloc(room, sizeof *slots);
  if (!slots) return -ENOMEM;
  for (size_t i = 0; i < s->room; i++)
    if (s->slots[i]) slots[slot_of(slots, room, s->slots[i])] = s->slots[i];
  free(s->slots);
  s->slots = slots;
  s->room = room;
  return 0;
}

int seen_add(struct seen *s, const char *clean) {
  if (s->used * 2 >= s->room) {
    int error = grow(s);
    if (error) return error;
  }
  uint64_t hash = hash_of(clean);
  size_t at = slot_of(s->slots, s->room, hash);
  if (!s->slots[at]) s->used++;
  s->slots[at] = hash;
  return 0;
}

bool seen_has(const struct seen *s, const char *clean) {
  return s->room && s->slots[slot_of(s->slots, s->room, hash_of(clean))] != 0;
}
