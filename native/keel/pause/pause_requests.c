/* Pause's socket: FORK_SHIM, BORROW, INFO, STOP. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pause_parts.h"

enum { FORK_SHIM = 16, BORROW, INFO, STOP };

static void caller_close(struct caller *caller) {
  if (caller->fd >= 0) close(caller->fd);
  if (pause_state.reply.fd == caller->fd) pause_state.reply.fd = -1;
  inbox_done(&caller->in);
  caller->fd = -1;
}

void callers_accept(void) {
  int fd = accept_own(pause_state.listen);
  if (fd < 0) return;
  for (int i = 0; i < MAX_CALLERS; i++) {
    struct caller *caller = &pause_state.callers[i];
    if (caller->fd >= 0) continue;
    *caller = (struct caller){.fd = fd};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(pause_state.epoll, EPOLL_CTL_ADD, fd, &event)) caller_close(caller);
    return;
  }
  close(fd); /* too many at once: they see a closed connection and come again */
}

static int init_pid(void) {
  for (uint32_t i = 0; i < pause_state.shared->slots_used; i++) {
    const struct slot *slot = &pause_state.shared->slots[i];
    if (!*slot->exec_id && slot->state != SLOT_FREE) return slot->pid;
  }
  return 0;
}

struct outcome pause_outcome(int error, const char *text) {
  struct outcome outcome = outcome_errno(error, text);
  outcome.pause_pid = getpid();
  outcome.shim_pid = pause_state.shim;
  outcome.pid = init_pid();
  return outcome;
}

/* The names of the lent descriptors stand in `outputs`, NUL separated, in their order. */
static void answer(struct caller *caller, uint32_t id, struct outcome outcome, bool lend) {
  char names[MAX_DNS * DNS_NAME_BYTES];
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(MAX_DNS * sizeof(int))] = {0};
  struct iovec part;
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (lend && pause_state.dns_count) {
    size_t used = 0;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE((size_t)pause_state.dns_count * sizeof(int));
    struct cmsghdr *c = (struct cmsghdr *)(void *)control;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)pause_state.dns_count * sizeof(int));
    for (int i = 0; i < pause_state.dns_count; i++) {
      memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &pause_state.dns[i].fd, sizeof(int));
      size_t n = strlen(pause_state.dns[i].name) + 1;
      memcpy(names + used, pause_state.dns[i].name, n);
      used += n;
    }
    outcome.outputs = (struct blob){names, (uint32_t)used};
  }
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, id, &record, 1, &size);
  if (!frame) return;
  part = (struct iovec){frame, size};
  ssize_t n = sendmsg(caller->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n >= 0 && (size_t)n < size) send_whole(caller->fd, frame + n, size - (size_t)n);
  free(frame);
}

static void on_fork_shim(struct caller *caller, const struct message *message) {
  struct launch_request request;
  if (pause_state.shim) {
    answer(caller, message->id, pause_outcome(EBUSY, "the shim lives"), false);
    return;
  }
  int error = launch_parse(message->payload, &request);
  if (error) {
    answer(caller, message->id, pause_outcome(-error, "the launch can't be read"), false);
    return;
  }
  struct shim_config old = pause_state.config;
  pause_state.config = request.config;
  shim_config_free(&old);
  pause_state.first_launch = false;
  pause_state.reply = (struct launch_reply){.fd = caller->fd, .id = message->id, .steps = {"", 0}, .outputs = {"", 0}};
  shim_fork_first(&request);
}

static void on_stop(struct caller *caller, uint32_t id) {
  if (init_lives()) {
    answer(caller, id, pause_outcome(EBUSY, "the container's process lives"), false);
    return;
  }
  answer(caller, id, pause_outcome(0, NULL), false);
  pause_end(0);
}

void caller_readable(struct caller *caller) {
  struct message message;
  int got = inbox_read(&caller->in, caller->fd, &message);
  if (got == 0) return;
  if (got == -EPROTO) answer(caller, inbox_id(&caller->in), pause_outcome(EPROTO, "the message is too long"), false);
  if (got < 0) {
    caller_close(caller);
    return;
  }
  switch (message.type) {
    case FORK_SHIM: on_fork_shim(caller, &message); break;
    case BORROW: answer(caller, message.id, pause_outcome(0, NULL), true); break;
    case INFO: answer(caller, message.id, pause_outcome(0, NULL), false); break;
    case STOP: on_stop(caller, message.id); break;
    default: answer(caller, message.id, pause_outcome(EPROTO, "no such request"), false);
  }
  inbox_done(&caller->in);
}
