/* What a forked child of ours does before anything else. */
#pragma once
#include <stddef.h>

void child_default_signals(void);
/* 0 or -errno; -1 is /dev/null. The given descriptors stay open. */
int child_take_stdio(const int stdio[3]);
/* Descriptors from `from` on become 3 and up, `count` of them; what stands in `ours` moves out of the way. 0 or -errno. */
int child_take_more(int from, int count, int *const ours[], size_t our_count);
/* Closes everything from 3 on but the named ones (those that are not -1). */
void child_keep_only(const int *keep, size_t count);
