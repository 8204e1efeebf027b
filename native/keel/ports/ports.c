#define _GNU_SOURCE
#include "ports.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "ports_door.h"
#include "ports_parts.h"

enum { BIND = 48, UNBIND, LIST, QUIT, PORT_RECORD = 0x118, TCP = 6, UDP = 17, MOST_PORTS = 4096, FLOW_SHARE = 4 };

struct port *ports_bound;
static int epoll = -1;
static bool any_paused;

uint64_t ports_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Not watched at all where nothing is wanted: an error condition would wake us for ever. */
int ports_watch(struct pollable *poll, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = poll};
  if (events == 0) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, poll->fd, NULL);
    return 0;
  }
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, poll->fd, &e) == 0) return 0;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, poll->fd, &e) ? -errno : 0;
}

void ports_pause(struct port *port) {
  ports_watch(&port->poll, 0);
  port->paused = any_paused = true;
}

static void resume(void) {
  any_paused = false;
  for (struct port *p = ports_bound; p; p = p->next) {
    if (!p->paused) continue;
    p->paused = false;
    ports_watch(&p->poll, EPOLLIN);
  }
}

/* -- addresses ------------------------------------------------------------------------------------------------------- */

static int parse_address(const char *text, uint16_t port, struct address *a) {
  memset(a, 0, sizeof *a);
  struct sockaddr_in *four = (void *)&a->at;
  struct sockaddr_in6 *six = (void *)&a->at;
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    a->length = sizeof *four;
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    a->length = sizeof *six;
  } else {
    return -EINVAL;
  }
  return 0;
}

/* For streams the kernel tells of a conflict at listen too. No SO_REUSEADDR for datagrams: it would let two have one address. */
static int open_socket(const struct port *p, const struct address *a) {
  const int on = 1, type = p->protocol == TCP ? SOCK_STREAM : SOCK_DGRAM;
  int fd = socket(a->at.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (a->at.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (type == SOCK_DGRAM && a->at.ss_family == AF_INET) setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  if (type == SOCK_DGRAM && a->at.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  if (bind(fd, (const struct sockaddr *)&a->at, a->length) == 0 && (type == SOCK_DGRAM || listen(fd, SOMAXCONN) == 0)) return fd;
  int error = -errno;
  close(fd);
  return error;
}

static uint16_t bound_port(int fd) {
  struct sockaddr_storage at = {0};
  socklen_t size = sizeof at;
  getsockname(fd, (struct sockaddr *)&at, &size);
  return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
}

/* -- requests -------------------------------------------------------------------------------------------------------- */

static struct port *find(uint64_t id) {
  for (struct port *p = ports_bound; p; p = p->next)
    if (p->id == id) return p;
  return NULL;
}

static bool same(const struct port *p, const struct port *q) {
  return p->protocol == q->protocol && p->asked_port == q->asked_port && p->target_port == q->target_port &&
         strcmp(p->listen_text, q->listen_text) == 0 && strcmp(p->target_text, q->target_text) == 0;
}

static int parse_port(const struct record *r, struct port *p, struct address *listen) {
  *p = (struct port){.poll.fd = -1, .id = r->i[0], .protocol = r->i[1], .asked_port = (uint16_t)r->i[3], .target_port = (uint16_t)r->i[4]};
  if ((p->protocol != TCP && p->protocol != UDP) || r->i[3] > 65535 || r->i[4] > 65535) return -EINVAL;
  for (int i = 0; i < 2; i++)
    if (r->b[i].length >= ADDRESS_BYTES || !blob_is_text(r->b[i])) return -EINVAL;
  memcpy(p->listen_text, r->b[0].bytes, r->b[0].length + 1);
  memcpy(p->target_text, r->b[1].bytes, r->b[1].length + 1);
  if (parse_address(p->listen_text, p->asked_port, listen)) return -EINVAL;
  return *p->target_text ? parse_address(p->target_text, p->target_port, &p->target) : 0;
}

static struct outcome say(int error, const struct port *p) {
  static char text[160];
  snprintf(text, sizeof text, "%s %s%s%s:%u: %s", p->protocol == UDP ? "udp" : "tcp", strchr(p->listen_text, ':') ? "[" : "", p->listen_text,
           strchr(p->listen_text, ':') ? "]" : "", p->asked_port, strerror(-error));
  return outcome_errno(-error, text);
}

static struct outcome bound(const struct port *p) {
  static uint8_t output[16] = {[4] = 2};
  memcpy(output + 8, &p->listen_port, 2);
  struct outcome outcome = outcome_errno(0, NULL);
  outcome.outputs = (struct blob){(const char *)output, sizeof output};
  return outcome;
}

static struct outcome on_bind(const struct record *r) {
  struct port wanted;
  struct address listen;
  int error = parse_port(r, &wanted, &listen);
  if (error) return outcome_errno(-error, "the port can't be read");
  const struct port *old = find(wanted.id);
  if (old) return same(old, &wanted) ? bound(old) : say(-EEXIST, &wanted);
  wanted.poll = (struct pollable){wanted.protocol == TCP ? tcp_on_listener : udp_on_datagram, open_socket(&wanted, &listen)};
  if (wanted.poll.fd < 0) return say(wanted.poll.fd, &wanted);
  struct port *p = malloc(sizeof *p);
  if (!p) {
    close(wanted.poll.fd);
    return say(-ENOMEM, &wanted);
  }
  *p = wanted;
  p->listen_port = bound_port(p->poll.fd);
  p->next = ports_bound;
  error = ports_watch(&p->poll, EPOLLIN);
  if (error) {
    close(p->poll.fd);
    free(p);
    return say(error, &wanted);
  }
  ports_bound = p;
  return bound(p);
}

/* What is being relayed goes on: the container's end is gone soon enough, or is published again. */
static int on_unbind(uint64_t id) {
  for (struct port **at = &ports_bound; *at; at = &(*at)->next) {
    struct port *p = *at;
    if (p->id != id) continue;
    *at = p->next;
    udp_forget(p);
    close(p->poll.fd);
    free(p);
    return 0;
  }
  return ENOENT;
}

static uint8_t *on_list(uint32_t id, size_t *size) {
  size_t count = 1;
  for (struct port *p = ports_bound; p; p = p->next) count++;
  struct reply_record *records = calloc(count, sizeof *records);
  const struct outcome fine = outcome_errno(0, NULL);
  if (!records) return NULL;
  records[0] = result_record(&fine);
  count = 1;
  for (struct port *p = ports_bound; p; p = p->next)
    records[count++] = (struct reply_record){
        .code = PORT_RECORD, .ints = 6, .blobs = 2,
        .i = {p->id, p->protocol, strchr(p->listen_text, ':') ? AF_INET6 : AF_INET, p->listen_port, p->target_port, 0},
        .b = {{p->listen_text, (uint32_t)strlen(p->listen_text)}, {p->target_text, (uint32_t)strlen(p->target_text)}}};
  uint8_t *frame = frame_build(REPLY_TYPE, id, records, count, size);
  free(records);
  return frame;
}

uint8_t *ports_on_message(const struct message *m, size_t *size) {
  struct cursor at = m->payload;
  struct record r = {0};
  bool is_port = record_next(&at, &r) == 1 && r.code == PORT_RECORD && r.ints == 6 && r.blobs == 2;
  struct outcome outcome = outcome_errno(EPROTO, "no such request, or one that can't be read");
  if (m->type == LIST) return on_list(m->id, size);
  if (m->type == BIND && is_port) outcome = on_bind(&r);
  if (m->type == UNBIND && is_port) outcome = outcome_errno(on_unbind(r.i[0]), NULL);
  if (m->type == QUIT) outcome = outcome_errno(ports_bound ? EBUSY : 0, ports_bound ? "ports are bound" : NULL);
  struct reply_record record = result_record(&outcome);
  return frame_build(REPLY_TYPE, m->id, &record, 1, size);
}

bool ports_may_end(const struct message *m) { return m->type == QUIT && !ports_bound; }

static void take_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  udp_set_limit(limit.rlim_max / FLOW_SHARE > 16 ? limit.rlim_max / FLOW_SHARE : 16);
}

int ports_loop(const char *path) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  take_descriptors();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  int error = epoll < 0 ? -errno : door_open(path);
  if (error) return error;
  door_tell_ready();
  for (;;) {
    struct epoll_event e;
    bool turns = udp_expire() || any_paused;
    int n = epoll_wait(epoll, &e, 1, turns ? EXPIRE_TURN_MS : -1);
    if (n < 0 && errno != EINTR) return -errno;
    if (n > 0) ((struct pollable *)e.data.ptr)->on(e.data.ptr, e.events);
    else if (any_paused) resume();
  }
}
