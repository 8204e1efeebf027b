/* What a forked child of ours does before anything else. */
#pragma once
#include <stddef.h>

void child_default_signals(void);
/* 0 or -errno; -1 is /dev/null. The given descriptors stay open. */
int child_take_stdio(const int stdio[3]);
/* Closes everything from 3 on but the named ones (those that are not -1). */
void child_keep_only(const int *keep, size_t count);
