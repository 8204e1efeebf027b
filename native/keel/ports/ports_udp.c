/*
 * A UDP relay: each client (address and port) of a published port is a flow with a connected socket of its own towards the
 * container, so that answers find back. A flow ends after 90 s of silence, as in Docker's proxy, or as the oldest when there are too many.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "ports_parts.h"

enum { IDLE_MS = 90000, DATAGRAM_BYTES = 65536, CONTROL_BYTES = 128, BUCKETS = 1024, TURNS = 64 };

struct flow {
  struct pollable poll; /* first */
  struct port *port;
  struct flow *in_bucket, *older, *newer;
  size_t bucket;
  uint64_t used_ms;
  struct address client;
  uint8_t control[CONTROL_BYTES]; /* says from which of our addresses the answer goes */
  size_t control_length;
};

static struct flow *buckets[BUCKETS], *oldest, *newest;
static size_t flow_count, flow_limit = 1024;

void udp_set_limit(size_t flows) { flow_limit = flows; }

static size_t bucket_of(const struct port *port, const struct address *client) {
  const uint8_t *p = (const uint8_t *)&client->at;
  uint64_t hash = 0xcbf29ce484222325u ^ port->id;
  for (size_t i = 0; i < client->length; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
  return (hash ^ hash >> 29) % BUCKETS;
}

static void age_remove(struct flow *f) {
  if (f->older) f->older->newer = f->newer;
  else oldest = f->newer;
  if (f->newer) f->newer->older = f->older;
  else newest = f->older;
}

static void age_append(struct flow *f) {
  f->newer = NULL;
  f->older = newest;
  if (newest) newest->newer = f;
  else oldest = f;
  newest = f;
  f->used_ms = ports_now_ms();
}

static void flow_close(struct flow *f) {
  for (struct flow **at = &buckets[f->bucket]; *at; at = &(*at)->in_bucket) {
    if (*at != f) continue;
    *at = f->in_bucket;
    break;
  }
  age_remove(f);
  flow_count--;
  close(f->poll.fd);
  free(f);
}

bool udp_expire(void) {
  while (oldest && ports_now_ms() - oldest->used_ms > IDLE_MS) flow_close(oldest);
  return oldest != NULL;
}

void udp_forget(const struct port *port) {
  for (struct flow *f = oldest, *next; f; f = next) {
    next = f->newer;
    if (f->port == port) flow_close(f);
  }
}

static uint8_t scratch[DATAGRAM_BYTES];

/* From the container: to the client, from the address that it had asked. */
static void on_answer(struct pollable *poll, uint32_t events) {
  (void)events;
  struct flow *f = (struct flow *)(void *)poll;
  for (int i = 0; i < TURNS; i++) {
    ssize_t n = recv(poll->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0) return; /* nothing more, or that nobody listens there: UDP promises no more */
    struct iovec part = {scratch, (size_t)n};
    const struct msghdr header = {.msg_name = &f->client.at, .msg_namelen = f->client.length, .msg_iov = &part, .msg_iovlen = 1,
                                  .msg_control = f->control_length ? f->control : NULL, .msg_controllen = f->control_length};
    sendmsg(f->port->poll.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    age_remove(f);
    age_append(f);
  }
}

/* What recvmsg says about the receiving address, as sendmsg wants it. */
static void remember_local(struct flow *f, const struct msghdr *received) {
  struct cmsghdr *c = CMSG_FIRSTHDR(received);
  struct msghdr sent = {.msg_control = f->control, .msg_controllen = sizeof f->control};
  struct cmsghdr *out = CMSG_FIRSTHDR(&sent);
  if (!c) return;
  if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    info.ipi_ifindex = 0;
    info.ipi_spec_dst = info.ipi_addr.s_addr ? info.ipi_addr : info.ipi_spec_dst;
    *out = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
    memcpy(CMSG_DATA(out), &info, sizeof info);
    f->control_length = CMSG_SPACE(sizeof info);
  } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
    *out = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
    memcpy(CMSG_DATA(out), &info, sizeof info);
    f->control_length = CMSG_SPACE(sizeof info);
  }
}

static struct flow *flow_open(struct port *port, const struct address *client, size_t bucket) {
  if (flow_count >= flow_limit) flow_close(oldest);
  struct flow *f = calloc(1, sizeof *f);
  int fd = f ? socket(port->target.at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
  if (fd < 0 || connect(fd, (const struct sockaddr *)&port->target.at, port->target.length)) {
    if (fd >= 0) close(fd);
    free(f);
    return NULL;
  }
  f->poll = (struct pollable){on_answer, fd};
  f->port = port;
  f->client = *client;
  f->bucket = bucket;
  f->in_bucket = buckets[bucket];
  buckets[bucket] = f;
  flow_count++;
  age_append(f);
  ports_watch(&f->poll, EPOLLIN);
  return f;
}

static struct flow *flow_of(struct port *port, const struct address *client) {
  size_t bucket = bucket_of(port, client);
  for (struct flow *f = buckets[bucket]; f; f = f->in_bucket) {
    if (f->port != port || f->client.length != client->length || memcmp(&f->client.at, &client->at, client->length) != 0) continue;
    age_remove(f);
    age_append(f);
    return f;
  }
  return flow_open(port, client, bucket);
}

void udp_on_datagram(struct pollable *poll, uint32_t events) {
  (void)events;
  struct port *port = (struct port *)(void *)poll;
  for (int i = 0; i < TURNS; i++) {
    struct address client = {0};
    uint8_t control[CONTROL_BYTES];
    struct iovec part = {scratch, sizeof scratch};
    struct msghdr header = {.msg_name = &client.at, .msg_namelen = sizeof client.at, .msg_iov = &part, .msg_iovlen = 1,
                            .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(poll->fd, &header, MSG_DONTWAIT);
    if (n < 0) return;
    client.length = header.msg_namelen;
    struct flow *f = port->target.length ? flow_of(port, &client) : NULL;
    if (!f) continue;
    if (!f->control_length) remember_local(f, &header);
    send(f->poll.fd, scratch, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* a lost datagram is what UDP is */
  }
}
