/* The shim's side of its pair with pause: copies of descriptors for a successor, and what pause has reaped. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "shim_parts.h"

static void send_message(struct hold_message message, int fd) {
  if (shim.pair_watch.fd < 0) return; /* pause is gone: nobody to keep anything */
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&message, sizeof message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  while (sendmsg(shim.pair_watch.fd, &header, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

void hold_keep(uint32_t slot, uint32_t what, int fd) {
  if (fd >= 0) send_message((struct hold_message){HOLD_KEEP, slot, what, 0}, fd);
}
void hold_drop(uint32_t slot, uint32_t what) { send_message((struct hold_message){HOLD_DROP, slot, what, 0}, -1); }
void hold_drop_slot(uint32_t slot) { send_message((struct hold_message){HOLD_DROP_SLOT, slot, 0, 0}, -1); }
void hold_say(uint32_t kind, uint32_t flag) { send_message((struct hold_message){kind, 0, 0, flag}, -1); }

void hold_on_message(struct watch *watch, uint32_t events) {
  struct hold_message message;
  ssize_t n = recv(watch->fd, &message, sizeof message, MSG_DONTWAIT);
  if (n == (ssize_t)sizeof message && message.kind == HOLD_REAPED) exit_scan_reaped();
  else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || (n < 0 && events & EPOLLHUP)) {
    watch_close(watch); /* pause was killed: the container and this shim live on */
    exit_pause_gone();
  }
}
