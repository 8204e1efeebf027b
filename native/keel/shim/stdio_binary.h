/* binary:///path?key=value: a logger of the user's that reads the process's output, as in containerd. */
#pragma once
#include <stdint.h>
#include "wire.h"

/*
 * The end to write to, or -errno. One logger serves both streams of a process: asked for stdout (kind 1) it is started, for stderr
 * (kind 2) it gives the other pipe of the one just started.
 */
int binary_sink(struct blob uri, uint8_t kind);
