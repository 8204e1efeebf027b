/*
 * serve's RELAY: the DNS sockets that a pause holds, served by the daemon. Datagrams and length-prefixed TCP messages become DATAGRAM
 * frames; the daemon's answers come back the same way.
 *
 * Lifecycle: relay_start borrows the sockets -> events go to `pollable.on` -> relay_answer -> relay_stop, which closes the borrowed
 * copies: pause keeps its own, and what arrives meanwhile waits in them.
 */
#pragma once
#include <stdint.h>
#include "wire.h"

/* serve's epoll puts a pointer to one of these into data.ptr and calls `on`. `on` may free it. */
struct pollable {
  void (*on)(struct pollable *self, uint32_t events);
  int fd;
};

/* What a module needs of serve's loop. `send` must not block for long: it queues. 0 or -errno. */
struct loop_port {
  int epoll;
  void *context;
  int (*send)(void *context, uint16_t type, uint32_t id, const uint8_t *payload, size_t length);
};

enum { EVENT_DATAGRAM = 0x4001, EVENT_NETLINK = 0x4002, RECORD_DATAGRAM = 0x116, RECORD_WATCH = 0x117 };

/* 0 or -errno; EEXIST: the id is in use. `pause_socket` is BORROWed from. */
int relay_start(const struct loop_port *port, uint32_t id, const char *pause_socket);
int relay_stop(uint32_t id);                                     /* -ENOENT */
/* The payload of a DATAGRAM frame from the daemon. -ENOENT: no such relay; -EPIPE: the asker has gone. */
int relay_answer(uint32_t id, struct cursor payload);
