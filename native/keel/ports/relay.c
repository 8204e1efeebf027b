#define _GNU_SOURCE
#include "relay.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "shim_inbox.h"

/* RFC 1035, 4.2.2: over TCP a message has two bytes of length before it. */
enum { BORROW = 17, MOST_SOCKETS = 8, MOST_CLIENTS = 64, DNS_BYTES = 65535, ADDRESS_TEXT = 64, DRAIN_TURNS = 64, BORROW_TIMEOUT_S = 2 };

struct relay;

/* A borrowed socket, or a TCP client that came through one. */
struct end {
  struct pollable poll; /* first */
  struct relay *relay;
  struct end *next;
  bool is_client;
  uint32_t number;      /* of a client; of a datagram socket its index */
  uint8_t *bytes;       /* of a client: what has come of a message */
  size_t have;
};

struct relay {
  struct relay *next;
  const struct loop_port *port;
  uint32_t id, clients, numbers;
  struct end *ends;
};

static struct relay *relays;

static struct relay *find(uint32_t id) {
  for (struct relay *r = relays; r; r = r->next)
    if (r->id == id) return r;
  return NULL;
}

static void end_close(struct end *e) {
  for (struct end **at = &e->relay->ends; *at; at = &(*at)->next) {
    if (*at != e) continue;
    *at = e->next;
    break;
  }
  if (e->is_client) e->relay->clients--;
  epoll_ctl(e->relay->port->epoll, EPOLL_CTL_DEL, e->poll.fd, NULL); /* a forked child may keep it open for a moment */
  close(e->poll.fd);
  free(e->bytes);
  free(e);
}

static struct end *end_add(struct relay *r, int fd, void (*on)(struct pollable *, uint32_t)) {
  struct end *e = calloc(1, sizeof *e);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
  if (!e || epoll_ctl(r->port->epoll, EPOLL_CTL_ADD, fd, &event)) {
    free(e);
    close(fd);
    return NULL;
  }
  *e = (struct end){.poll = {on, fd}, .relay = r, .next = r->ends};
  r->ends = e;
  return e;
}

static size_t padded(size_t length) { return (4 + length + 1 + 7) & ~(size_t)7; }

/* The datagram record of docs/protocols.md, as a payload of its own. */
static void pass_on(const struct end *e, const char *address, const uint8_t *bytes, size_t length) {
  size_t address_length = strlen(address), size = 8 + 3 * 8 + padded(address_length) + padded(length);
  uint8_t *record = calloc(1, size), *at = record;
  if (!record) return; /* a question may get lost: it is asked again */
  const uint16_t code = RECORD_DATAGRAM;
  memcpy(at, &code, 2);
  at[2] = 3, at[3] = 2, at += 8;
  const uint64_t ints[3] = {e->relay->id, e->is_client, e->number};
  memcpy(at, ints, sizeof ints), at += sizeof ints;
  const uint32_t lengths[2] = {(uint32_t)address_length, (uint32_t)length};
  memcpy(at, &lengths[0], 4), memcpy(at + 4, address, address_length), at += padded(address_length);
  memcpy(at, &lengths[1], 4);
  if (length) memcpy(at + 4, bytes, length);
  e->relay->port->send(e->relay->port->context, EVENT_DATAGRAM, e->relay->id, record, size);
  free(record);
}

static void address_text(const struct sockaddr_storage *from, char text[ADDRESS_TEXT]) {
  char host[INET6_ADDRSTRLEN] = "";
  if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const void *)from;
    inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
    snprintf(text, ADDRESS_TEXT, "[%s]:%u", host, ntohs(six->sin6_port));
  } else {
    const struct sockaddr_in *four = (const void *)from;
    inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
    snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(four->sin_port));
  }
}

/* 0 or the length of the address. */
static socklen_t address_parse(struct blob text, struct sockaddr_storage *to) {
  char host[ADDRESS_TEXT];
  if (text.length >= sizeof host) return 0;
  memcpy(host, text.bytes, text.length);
  host[text.length] = 0;
  char *colon = strrchr(host, ':');
  if (!colon) return 0;
  *colon = 0;
  uint16_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
  memset(to, 0, sizeof *to);
  if (host[0] == '[' && colon[-1] == ']') {
    colon[-1] = 0;
    struct sockaddr_in6 *six = (void *)to;
    *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 ? sizeof *six : 0;
  }
  struct sockaddr_in *four = (void *)to;
  *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
  return inet_pton(AF_INET, host, &four->sin_addr) == 1 ? sizeof *four : 0;
}

static void on_datagram(struct pollable *self, uint32_t events) {
  (void)events;
  struct end *e = (struct end *)(void *)self;
  static uint8_t bytes[DNS_BYTES];
  for (int i = 0; i < DRAIN_TURNS; i++) {
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(self->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (n < 0) return;
    char text[ADDRESS_TEXT];
    address_text(&from, text);
    pass_on(e, text, bytes, (size_t)n);
  }
}

static void on_client(struct pollable *self, uint32_t events) {
  (void)events;
  struct end *e = (struct end *)(void *)self;
  if (!e->bytes && !(e->bytes = calloc(1, DNS_BYTES + 2))) {
    end_close(e);
    return;
  }
  size_t need = e->have < 2 ? 2 : 2u + (size_t)(e->bytes[0] << 8 | e->bytes[1]);
  ssize_t n = recv(self->fd, e->bytes + e->have, need - e->have, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    end_close(e);
    return;
  }
  e->have += (size_t)n;
  if (e->have < 2) return;
  if (e->have < 2u + (size_t)(e->bytes[0] << 8 | e->bytes[1])) return;
  struct sockaddr_storage peer = {0};
  socklen_t size = sizeof peer;
  char text[ADDRESS_TEXT];
  getpeername(self->fd, (struct sockaddr *)&peer, &size);
  address_text(&peer, text);
  pass_on(e, text, e->bytes + 2, e->have - 2);
  free(e->bytes);
  e->bytes = NULL;
  e->have = 0;
}

/* The oldest client goes when there are too many: a container can't take all our descriptors. */
static void make_room(struct relay *r) {
  struct end *oldest = NULL;
  if (r->clients < MOST_CLIENTS) return;
  for (struct end *e = r->ends; e; e = e->next)
    if (e->is_client) oldest = e;
  if (oldest) end_close(oldest);
}

static void on_listener(struct pollable *self, uint32_t events) {
  (void)events;
  struct end *listener = (struct end *)(void *)self;
  struct relay *r = listener->relay;
  int fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  make_room(r);
  struct end *e = end_add(r, fd, on_client);
  if (!e) return;
  e->is_client = true;
  e->number = ++r->numbers;
  r->clients++;
}

static int pause_connect(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval patience = {.tv_sec = BORROW_TIMEOUT_S};
  if (fd < 0) return -errno;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

/* Fills fds; how many, or -errno. The answer's bytes are not needed beyond its being there: kinds are read off the sockets. */
static int borrow(const char *path, int fds[MOST_SOCKETS]) {
  int fd = pause_connect(path);
  if (fd < 0) return fd;
  const uint8_t request[SOCKET_FRAME_HEADER] = {[4] = BORROW};
  char control[CMSG_SPACE(MOST_SOCKETS * sizeof(int))];
  uint8_t reply[4096];
  struct iovec part = {reply, sizeof reply};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = send(fd, request, sizeof request, MSG_NOSIGNAL);
  if (n == (ssize_t)sizeof request) n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
  int error = n < 0 ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : n == 0 ? -EPIPE : 0;
  close(fd);
  int count = 0;
  struct cmsghdr *c = error ? NULL : CMSG_FIRSTHDR(&header);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
    count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
  }
  return error ? error : count ? count : -ENOENT;
}

static void add_socket(struct relay *r, int fd, uint32_t index) {
  int type = 0;
  socklen_t size = sizeof type;
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  struct end *e = end_add(r, fd, type == SOCK_STREAM ? on_listener : on_datagram);
  if (e) e->number = index;
}

int relay_start(const struct loop_port *port, uint32_t id, const char *pause_socket) {
  if (find(id)) return -EEXIST;
  int fds[MOST_SOCKETS], count = borrow(pause_socket, fds);
  if (count < 0) return count;
  struct relay *r = calloc(1, sizeof *r);
  if (!r) {
    for (int i = 0; i < count; i++) close(fds[i]);
    return -ENOMEM;
  }
  *r = (struct relay){.next = relays, .port = port, .id = id};
  relays = r;
  for (int i = 0; i < count; i++) add_socket(r, fds[i], (uint32_t)i);
  return 0;
}

int relay_stop(uint32_t id) {
  for (struct relay **at = &relays; *at; at = &(*at)->next) {
    struct relay *r = *at;
    if (r->id != id) continue;
    *at = r->next;
    while (r->ends) end_close(r->ends);
    free(r);
    return 0;
  }
  return -ENOENT;
}

/* A client that does not read its answer loses its connection. */
static int answer_client(struct end *e, struct blob payload) {
  const uint8_t length[2] = {(uint8_t)(payload.length >> 8), (uint8_t)payload.length};
  struct iovec parts[2] = {{(void *)(uintptr_t)length, 2}, {(void *)(uintptr_t)payload.bytes, payload.length}};
  struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
  if (sendmsg(e->poll.fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)payload.length + 2) return 0;
  end_close(e);
  return -EPIPE;
}

int relay_answer(uint32_t id, struct cursor payload) {
  struct record r;
  if (record_next(&payload, &r) != 1 || r.code != RECORD_DATAGRAM || r.ints != 3 || r.blobs != 2 || r.b[1].length > DNS_BYTES) return -EPROTO;
  struct relay *relay = find(id);
  bool is_tcp = r.i[1] != 0;
  for (struct end *e = relay ? relay->ends : NULL; e; e = e->next) {
    if (e->is_client != is_tcp || e->number != r.i[2] || (!is_tcp && e->poll.on != on_datagram)) continue;
    if (is_tcp) return answer_client(e, r.b[1]);
    struct sockaddr_storage to;
    socklen_t size = address_parse(r.b[0], &to);
    if (size == 0) return -EINVAL;
    return sendto(e->poll.fd, r.b[1].bytes, r.b[1].length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0 ? -errno : 0;
  }
  return relay ? -EPIPE : -ENOENT;
}
