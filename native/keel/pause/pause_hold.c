/* What pause keeps for a shim that may be killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pause_parts.h"

int held_find(uint32_t slot, uint32_t what) {
  for (size_t i = 0; i < pause_state.held_count; i++)
    if (pause_state.held[i].slot == slot && pause_state.held[i].what == what) return (int)i;
  return -1;
}

static void remove_at(size_t i) {
  close(pause_state.held[i].fd);
  pause_state.held[i] = pause_state.held[--pause_state.held_count];
}

static void add(uint32_t slot, uint32_t what, int fd) {
  int old = held_find(slot, what);
  if (old >= 0) remove_at((size_t)old);
  if (pause_state.held_count == pause_state.held_room) {
    size_t room = pause_state.held_room + 16;
    struct held *held = realloc(pause_state.held, room * sizeof *held);
    if (!held) {
      close(fd); /* not kept: only a killed shim would have needed it */
      return;
    }
    pause_state.held = held;
    pause_state.held_room = room;
  }
  pause_state.held[pause_state.held_count++] = (struct held){slot, what, fd};
}

static void drop_slot(uint32_t slot) {
  for (size_t i = pause_state.held_count; i-- > 0;)
    if (pause_state.held[i].slot == slot) remove_at(i);
}

void held_drop_all(void) {
  while (pause_state.held_count) remove_at(0);
}

/* 1: handled one, 0: none there, -1: the shim's end is closed. */
static int receive(void) {
  struct hold_message message;
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&message, sizeof message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(pause_state.pair, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && errno == EINTR) return 1;
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  if (n == 0) return -1;
  int fd = -1;
  struct cmsghdr *c = CMSG_FIRSTHDR(&header);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
  if (n != (ssize_t)sizeof message) {
    if (fd >= 0) close(fd);
    return 1;
  }
  int index = message.kind == HOLD_DROP ? held_find(message.slot, message.what) : -1;
  if (message.kind == HOLD_KEEP && fd >= 0) add(message.slot, message.what, fd);
  else if (fd >= 0) close(fd);
  if (index >= 0) remove_at((size_t)index);
  if (message.kind == HOLD_DROP_SLOT) drop_slot(message.slot);
  if (message.kind == HOLD_LAUNCHED) pause_state.launched = true;
  if (message.kind == HOLD_ANSWERED) launch_answered();
  if (message.kind == HOLD_GOODBYE) {
    pause_state.goodbye = true;
    pause_state.end_with_shim = message.flag & 1;
  }
  return 1;
}

void held_message(void) { (void)receive(); }

void held_drain(void) {
  while (pause_state.pair >= 0 && receive() > 0) continue;
}
