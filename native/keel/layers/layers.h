/* Layer work in a process of its own: it may be killed, run out of memory or be fed garbage, and only this operation fails. */
#pragma once
#include "plan.h"

struct layer_answer {
  int error;                 /* -errno */
  uint8_t output[88];        /* as operations.ts says of applyLayer */
  uint64_t offset;
  char text[RUN_TEXT_BYTES];
};

/* Runs `work` in a forked child with that title; its answer becomes the operation's output or failure. */
int layer_run(struct run *run, const char *title, void (*work)(const struct record *, struct layer_answer *), const struct record *record);
