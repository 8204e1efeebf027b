/* The answer of a forked child of serve: one frame with a result record, sent whole. */
#pragma once
#include "plan.h"

int reply_run(int fd, uint32_t id, const struct run *run);
int reply_error(int fd, uint32_t id, int error, const char *text);
