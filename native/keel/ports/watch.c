#define _GNU_SOURCE
#include "watch.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64 * 1024, SOCKET_BUFFER = 1024 * 1024 };

struct netlink_watch {
  struct pollable poll; /* first: serve hands it back */
  const struct loop_port *port;
  uint32_t id;
};

static void on_netlink(struct pollable *self, uint32_t events) {
  (void)events;
  struct netlink_watch *w = (struct netlink_watch *)(void *)self;
  static uint8_t bytes[MESSAGE_BYTES]; /* in .bss: not a page of it exists before the first message */
  ssize_t n = recv(self->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0 && errno != ENOBUFS) return;
  if (n < 0 || n > MESSAGE_BYTES) n = 0; /* overrun, or cut: what was lost is not known */
  w->port->send(w->port->context, EVENT_NETLINK, w->id, bytes, (size_t)n);
}

int watch_start(const struct loop_port *port, uint32_t id, uint64_t protocol, uint64_t groups) {
  if (protocol > 255 || groups == 0) return -EINVAL;
  struct netlink_watch *w = calloc(1, sizeof *w);
  if (!w) return -ENOMEM;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, (int)protocol);
  *w = (struct netlink_watch){{on_netlink, fd}, port, id};
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  int error = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
  int size = SOCKET_BUFFER;
  if (error == 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* the limit of the host, if it is less */
  for (int group = 1; error == 0 && group <= 64; group++)
    if (groups >> (group - 1) & 1 && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group)) error = -errno;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = &w->poll};
  if (error == 0 && epoll_ctl(port->epoll, EPOLL_CTL_ADD, fd, &event)) error = -errno;
  if (error == 0) return 0;
  if (fd >= 0) close(fd);
  free(w);
  return error;
}
