/* Netlink messages, sockets that are held for others, interfaces. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "plan.h"
#include "system.h"

enum { REPLY_BYTES = 256 * 1024, REPLY_SECONDS = 10 };

/* What is still to be answered: one acknowledgement (or end of a dump) per message that asks for it. */
static int expected_answers(struct blob messages, unsigned *expected) {
  *expected = 0;
  for (size_t at = 0; at < messages.length;) {
    struct nlmsghdr h;
    if (messages.length - at < sizeof h) return -EPROTO;
    memcpy(&h, messages.bytes + at, sizeof h);
    if (h.nlmsg_len < sizeof h || h.nlmsg_len > messages.length - at) return -EPROTO;
    if (h.nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) ++*expected;
    at += NLMSG_ALIGN(h.nlmsg_len);
  }
  return 0;
}

/* The kernel's words (extended acknowledgement) behind an error. */
static void explain(struct run *run, const struct nlmsghdr *h, const struct nlmsgerr *e) {
  if (!(h->nlmsg_flags & NLM_F_ACK_TLVS)) return;
  size_t skip = NLMSG_HDRLEN + sizeof *e + (h->nlmsg_flags & NLM_F_CAPPED ? 0 : e->msg.nlmsg_len - NLMSG_HDRLEN);
  for (size_t at = NLMSG_ALIGN(skip); at + sizeof(struct nlattr) <= h->nlmsg_len;) {
    struct nlattr a;
    memcpy(&a, (const char *)h + at, sizeof a);
    if (a.nla_len < sizeof a || at + a.nla_len > h->nlmsg_len) return;
    if (a.nla_type == NLMSGERR_ATTR_MSG) run_fail(run, 0, "%.*s", (int)(a.nla_len - sizeof a), (const char *)h + at + sizeof a);
    at += NLA_ALIGN(a.nla_len);
  }
}

/* Takes one datagram of answers; counts what is answered. 0 or the first error of the kernel that is not tolerated. */
static int take_answers(struct run *run, const struct record *r, char *bytes, size_t length, unsigned *expected) {
  int error = 0;
  for (size_t at = 0; at + sizeof(struct nlmsghdr) <= length;) {
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(bytes + at);
    if (h->nlmsg_len < sizeof *h || h->nlmsg_len > length - at) return -EPROTO;
    if (h->nlmsg_type == NLMSG_ERROR) {
      const struct nlmsgerr *e = NLMSG_DATA(h);
      if (*expected) --*expected;
      if (e->error && !error && !run_tolerates(r, -e->error)) {
        error = e->error;
        explain(run, h, e);
      }
    } else if (h->nlmsg_type == NLMSG_DONE) {
      if (*expected) --*expected;
    }
    at += NLMSG_ALIGN(h->nlmsg_len);
  }
  return error;
}

static int converse(struct run *run, const struct record *r, int fd, unsigned expected) {
  const struct blob messages = r->b[0];
  if (send(fd, messages.bytes, messages.length, 0) != (ssize_t)messages.length) return -errno;
  char *bytes = malloc(REPLY_BYTES);
  if (!bytes) return -ENOMEM;
  int error = 0;
  while (expected > 0) {
    ssize_t n = recv(fd, bytes, REPLY_BYTES, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (error == 0) error = errno == EAGAIN ? -ETIMEDOUT : -errno;
      break;
    }
    int answered = take_answers(run, r, bytes, (size_t)n, &expected);
    if (error == 0) error = answered;
    int stored = run_output(run, bytes, (size_t)n);
    if (error == 0) error = stored;
  }
  free(bytes);
  return error;
}

int op_netlink(struct run *run, const struct record *r) {
  unsigned expected;
  int error = expected_answers(r->b[0], &expected);
  if (error) return error;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)r->i[0]);
  if (fd < 0) return -errno;
  int on = 1, room = 4 * 1024 * 1024;
  struct timeval patience = {.tv_sec = REPLY_SECONDS};
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  error = converse(run, r, fd, expected);
  close(fd);
  return error;
}

/* "1.2.3.4:53" or "[::1]:53". */
static int parse_address(const char *text, int family, struct sockaddr_storage *out, socklen_t *length) {
  char host[64];
  unsigned port;
  memset(out, 0, sizeof *out);
  if (family == AF_INET6) {
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
    if (sscanf(text, "[%63[^]]]:%u", host, &port) != 2 || port > 65535 || inet_pton(AF_INET6, host, &a->sin6_addr) != 1) return -EINVAL;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons((uint16_t)port);
    *length = sizeof *a;
    return 0;
  }
  struct sockaddr_in *a = (struct sockaddr_in *)out;
  if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port > 65535 || inet_pton(AF_INET, host, &a->sin_addr) != 1) return -EINVAL;
  a->sin_family = AF_INET;
  a->sin_port = htons((uint16_t)port);
  *length = sizeof *a;
  return 0;
}

enum { BACKLOG = 128 };

int op_bind_socket(struct run *run, const struct record *r) {
  struct sockaddr_storage address;
  socklen_t length;
  int error = parse_address(r->b[0].bytes, (int)r->i[1], &address, &length), on = 1;
  if (error) return error;
  int fd = socket((int)r->i[1], (int)r->i[2] | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, length)) error = -errno;
  if (error == 0 && r->i[2] == SOCK_STREAM && listen(fd, BACKLOG)) error = -errno;
  if (error) close(fd);
  return error ? error : slot_put(run, r->i[0], fd);
}

int op_hold(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  if (fd < 0) return fd;
  if (!run->hold) return -EOPNOTSUPP; /* only pause holds */
  run->slots[r->i[0]] = -1;
  return run->hold(run->hold_context, r->b[0].bytes, fd);
}

/* The socket stays in its slot: closing one waits for a grace period of the kernel, which the end of this process does after its answer. */
static int packet_socket(struct run *run, uint64_t slot) {
  int fd = slot_fd(run, slot);
  if (fd >= 0) return fd;
  fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: it receives nothing */
  if (fd < 0) return -errno;
  int error = slot_put(run, slot, fd);
  return error ? error : fd;
}

int op_send_frame(struct run *run, const struct record *r) {
  const struct blob frame = r->b[0];
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)r->i[1]};
  if (frame.length < ETH_HLEN || frame.length > ETH_FRAME_LEN) return -EINVAL;
  memcpy(&to.sll_protocol, frame.bytes + 2 * ETH_ALEN, sizeof to.sll_protocol);
  int fd = packet_socket(run, r->i[0]);
  if (fd < 0) return fd;
  return sendto(fd, frame.bytes, frame.length, 0, (struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
}

int op_link_up(struct run *run, const struct record *r) {
  (void)run;
  struct ifreq request = {0};
  if (r->b[0].length >= IFNAMSIZ) return -ENAMETOOLONG;
  memcpy(request.ifr_name, r->b[0].bytes, r->b[0].length);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int error = ioctl(fd, SIOCGIFFLAGS, &request) ? -errno : 0;
  request.ifr_flags |= IFF_UP;
  if (error == 0 && ioctl(fd, SIOCSIFFLAGS, &request)) error = -errno;
  close(fd);
  return error;
}
