/*
 * A TCP relay: each direction is socket -> pipe -> socket by splice, filled only when the pipe is empty, so EAGAIN always means the
 * socket. One side's end of stream becomes the other's (half-close); a failure of one resets the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "ports_parts.h"

enum { PIECE = 256 * 1024, SPARE_PIPES = 32, ACCEPTS = 16 };

struct connection;

struct side {
  struct pollable poll; /* first */
  struct connection *connection;
};

struct direction {
  int pipe[2];          /* -1: none, because nothing is on its way */
  size_t held;          /* bytes in it */
  bool ended, told;     /* the source's end; passed on */
};

struct connection {
  struct side sides[2];         /* 0 the client, 1 the container */
  struct direction from[2];     /* what comes from that side */
  bool connecting;
};

static int spare[SPARE_PIPES][2];
static int spares;

static int pipe_take(struct direction *d) {
  if (d->pipe[0] >= 0) return 0;
  if (spares) {
    spares--;
    d->pipe[0] = spare[spares][0];
    d->pipe[1] = spare[spares][1];
    return 0;
  }
  if (pipe2(d->pipe, O_NONBLOCK | O_CLOEXEC)) {
    d->pipe[0] = d->pipe[1] = -1;
    return -errno;
  }
  fcntl(d->pipe[1], F_SETPIPE_SZ, PIECE); /* smaller where the user's limit is */
  return 0;
}

/* One that still holds bytes is no use to anyone else. */
static void pipe_release(struct direction *d) {
  if (d->pipe[0] < 0) return;
  if (d->held == 0 && spares < SPARE_PIPES) {
    spare[spares][0] = d->pipe[0];
    spare[spares++][1] = d->pipe[1];
  } else {
    close(d->pipe[0]);
    close(d->pipe[1]);
  }
  d->pipe[0] = d->pipe[1] = -1;
}

static void connection_close(struct connection *c, bool reset) {
  const struct linger now = {.l_onoff = 1};
  for (int i = 0; i < 2; i++) {
    int fd = c->sides[i].poll.fd;
    pipe_release(&c->from[i]);
    if (fd < 0) continue;
    if (reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
  }
  free(c);
}

static void interests(struct connection *c) {
  for (int i = 0; i < 2; i++) {
    const struct direction *from = &c->from[i], *to = &c->from[!i];
    uint32_t events = (!from->ended && from->held == 0 ? (uint32_t)EPOLLIN : 0u) | (to->held ? (uint32_t)EPOLLOUT : 0u);
    ports_watch(&c->sides[i].poll, events);
  }
}

/* 1: something went; 0: it must wait; -errno: the connection has failed. */
static int drain(struct direction *d, int to) {
  int moved = 0;
  while (d->held) {
    ssize_t n = splice(d->pipe[0], NULL, to, NULL, d->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? moved : -errno;
    d->held -= (size_t)n;
    moved = 1;
  }
  return 1;
}

static int fill(struct direction *d, int from) {
  int error = pipe_take(d);
  if (error) return error;
  ssize_t n;
  while ((n = splice(from, NULL, d->pipe[1], NULL, PIECE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)) < 0 && errno == EINTR) {}
  if (n < 0) return errno == EAGAIN ? 0 : -errno;
  if (n == 0) d->ended = true;
  d->held = (size_t)n;
  return n > 0;
}

static int move(struct connection *c, int side) {
  struct direction *d = &c->from[side];
  int to = c->sides[!side].poll.fd, got = d->held ? drain(d, to) : 1;
  if (got > 0 && d->held == 0 && !d->ended) {
    got = fill(d, c->sides[side].poll.fd);
    if (got > 0) got = drain(d, to);
  }
  if (got < 0) return got;
  if (d->held == 0) pipe_release(d);
  if (d->ended && d->held == 0 && !d->told) {
    d->told = true;
    shutdown(to, SHUT_WR);
  }
  return 0;
}

static void on_side(struct pollable *poll, uint32_t events) {
  struct side *side = (struct side *)(void *)poll;
  struct connection *c = side->connection;
  int me = side == &c->sides[1], error = 0;
  if (c->connecting) {
    socklen_t size = sizeof error;
    getsockopt(poll->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0 && !(events & EPOLLOUT)) return;
    c->connecting = false;
    if (error == 0) interests(c);
    else connection_close(c, true);
    return;
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) error = move(c, me);
  if (error == 0 && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) error = move(c, !me);
  if (error) connection_close(c, true);
  else if (c->from[0].told && c->from[1].told) connection_close(c, false);
  else interests(c);
}

static void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* a peer that vanished is noticed some time */
}

static void relay(const struct port *port, int client) {
  struct connection *c = port->target.length ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    close(client);
    return;
  }
  c->sides[0] = (struct side){{on_side, client}, c};
  c->sides[1] = (struct side){{on_side, socket(port->target.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}, c};
  for (int i = 0; i < 2; i++) c->from[i] = (struct direction){.pipe = {-1, -1}};
  int fd = c->sides[1].poll.fd;
  set_options(client);
  if (fd >= 0) set_options(fd);
  if (fd < 0 || (connect(fd, (const struct sockaddr *)&port->target.at, port->target.length) && errno != EINPROGRESS)) {
    connection_close(c, true);
    return;
  }
  c->connecting = true;
  if (ports_watch(&c->sides[1].poll, EPOLLOUT)) connection_close(c, true);
}

void tcp_on_listener(struct pollable *poll, uint32_t events) {
  (void)events;
  struct port *port = (struct port *)(void *)poll;
  for (int i = 0; i < ACCEPTS; i++) {
    int client = accept4(poll->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0) relay(port, client);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      ports_pause(port);
      return;
    } else if (errno == EAGAIN) return;
  }
}
