/* How keel ports is asked: its socket, the lock beside it, and its start. */
#pragma once
#include <stdbool.h>
#include "shim_inbox.h"

/* ports_door.c. -EWOULDBLOCK: another one serves that path. The socket file is made again when someone deletes it. */
int door_open(const char *path);
void door_tell_ready(void);

/* ports.c */
int ports_loop(const char *path);
/* The reply's frame, to be freed. */
uint8_t *ports_on_message(const struct message *message, size_t *size);
bool ports_may_end(const struct message *message);
