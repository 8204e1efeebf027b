/* LAUNCH: the host section, then pause, then through it the shim and the container's process (docs/protocols.md). */
#pragma once
#include <stdint.h>
#include "wire.h"

/* In a forked child of serve. The reply goes to `reply_fd` (a socket), from here, from pause or from the shim. Never returns. */
_Noreturn void launch_child(struct cursor payload, int reply_fd, uint32_t id);
