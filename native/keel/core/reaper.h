/*
 * `docker run --init`: process 1 of a container. Starts the command in a process group of its own, passes signals on, reaps what is orphaned, and
 * ends as the command ended. Called as `docker-init -- COMMAND [ARGUMENT...]`.
 */
#pragma once
#include <stdbool.h>

/* True when argv[0] is the name under which it is bound into containers. */
bool reaper_is_called(const char *name);
int reaper_main(int argc, char **argv);
