/*
 * keel ports: holds every published address of an engine and relays what arrives there (docs/protocols.md, "keel ports").
 *
 * Lifecycle: ports_start forks it detached -> BIND, UNBIND, LIST -> QUIT once nothing is bound. It outlives whoever started it.
 */
#pragma once

/* serve's PORTS: 0 when one answers at `path` or was started there, else -errno. Returns once it answers. */
int ports_start(const char *path);
/* `keel ports SOCKET`: in the foreground. */
int ports_main(int argc, char **argv);
