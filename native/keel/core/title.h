/* The name that ps and /proc/PID/comm show. */
#pragma once

/* Remembers where the arguments are. */
void title_init(int argc, char **argv);
/* comm: at most 15 bytes. title: what the command line shows. */
void title_set(const char *comm, const char *title);
