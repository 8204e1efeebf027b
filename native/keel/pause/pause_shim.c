/* Pause as the shim's parent: forks it, forks the next one, reaps what the dead one left. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "pause_parts.h"

#define SHORT_LIFE_NS 1000000000ull
enum { PATIENCE = 3, LONGEST_DELAY_MS = 5000 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool init_lives(void) {
  for (uint32_t i = 0; i < pause_state.shared->slots_used; i++) {
    const struct slot *slot = &pause_state.shared->slots[i];
    if (*slot->exec_id || slot->state == SLOT_FREE) continue;
    int index = held_find(i, HELD_PIDFD);
    struct pollfd alive = {.fd = index < 0 ? -1 : pause_state.held[index].fd, .events = POLLIN};
    return alive.fd >= 0 && poll(&alive, 1, 0) == 0;
  }
  return false;
}

/* In the child: nothing of pause's own stays open, but what it is given. */
static _Noreturn void become_shim(struct shim_start *start) {
  close(pause_state.epoll);
  close(pause_state.listen);
  close(pause_state.signals);
  close(pause_state.timer);
  for (int i = 0; i < pause_state.dns_count; i++) close(pause_state.dns[i].fd);
  for (int i = 0; i < MAX_CALLERS; i++)
    if (pause_state.callers[i].fd >= 0 && pause_state.callers[i].fd != start->reply.fd) close(pause_state.callers[i].fd);
  shim_main(start);
}

static int fork_shim(struct shim_start *start) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return -errno;
  start->config = &pause_state.config;
  start->shared = pause_state.shared;
  start->pair = pair[1];
  pid_t pid = fork();
  if (pid == 0) {
    close(pair[0]);
    become_shim(start);
  }
  int error = pid < 0 ? -errno : 0;
  close(pair[1]);
  if (error) {
    close(pair[0]);
    return error;
  }
  pause_state.pair = pair[0];
  pause_state.shim = pid;
  pause_state.goodbye = false;
  pause_state.forked_at_ns = now_ns();
  struct epoll_event event = {.events = EPOLLIN, .data.fd = pair[0]};
  epoll_ctl(pause_state.epoll, EPOLL_CTL_ADD, pair[0], &event);
  return 0;
}

/* Pause's copy of the reply's descriptor: its own after a LAUNCH, its caller's connection after a FORK_SHIM. */
void launch_answered(void) {
  if (pause_state.first_launch && pause_state.reply.fd >= 0) close(pause_state.reply.fd);
  pause_state.reply.fd = -1;
}

/* Instead of a shim that did not live to do it. */
void launch_answer(int error, const char *text) {
  if (pause_state.reply.fd < 0) return;
  struct outcome outcome = pause_outcome(error, text);
  outcome.steps = pause_state.reply.steps;
  outcome.outputs = pause_state.reply.outputs;
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, pause_state.reply.id, &record, 1, &size);
  if (frame) send_whole(pause_state.reply.fd, frame, size);
  free(frame);
  launch_answered();
}

/* Answered by the shim; here only if it can't be forked. */
void shim_fork_first(const struct launch_request *request) {
  held_drop_all();
  if (madvise(pause_state.shared, sizeof *pause_state.shared, MADV_REMOVE)) /* reads as zeros from here on */
    memset(pause_state.shared, 0, sizeof *pause_state.shared);
  struct shim_start start = {.stdio = request->stdio, .stage = request->stage, .reply = pause_state.reply};
  pause_state.launched = false;
  pause_state.end_with_shim = false;
  pause_state.failures = 0;
  int error = fork_shim(&start);
  if (error) launch_answer(-error, "fork the shim");
  if (error && pause_state.first_launch) pause_end(1);
}

void shim_fork_again(void) {
  struct shim_start start = {.restore = true, .held = pause_state.held, .held_count = pause_state.held_count, .reply = {.fd = -1}};
  pause_state.shared->restarts++;
  if (fork_shim(&start) == 0) return;
  struct itimerspec soon = {.it_value = {0, 100000000}};
  timerfd_settime(pause_state.timer, 0, &soon, NULL);
}

static void schedule_next(void) {
  pause_state.failures = now_ns() - pause_state.forked_at_ns < SHORT_LIFE_NS ? pause_state.failures + 1 : 0;
  if (pause_state.failures <= PATIENCE) {
    shim_fork_again();
    return;
  }
  unsigned exponent = pause_state.failures - PATIENCE < 10 ? pause_state.failures - PATIENCE : 10;
  long delay_ms = 10L << exponent;
  if (delay_ms > LONGEST_DELAY_MS) delay_ms = LONGEST_DELAY_MS;
  struct itimerspec at = {.it_value = {delay_ms / 1000, delay_ms % 1000 * 1000000}};
  timerfd_settime(pause_state.timer, 0, &at, NULL);
}

void shim_died(void) {
  held_drain();
  close(pause_state.pair);
  pause_state.pair = -1;
  pause_state.shim = 0;
  if (pause_state.goodbye) {
    held_drop_all();
    if (pause_state.first_launch && (!pause_state.launched || pause_state.reply.fd >= 0)) pause_end(1); /* nobody knows of us */
    if (pause_state.end_with_shim) pause_end(0);
    launch_answered();
    return;
  }
  if (pause_state.launched) {
    launch_answer(0, NULL);
    schedule_next();
    return;
  }
  launch_answer(ECHILD, "the shim ended before the container was made");
  if (pause_state.first_launch) pause_end(1);
  held_drop_all();
}

void tell_reaped(void) {
  struct hold_message message = {.kind = HOLD_REAPED};
  if (pause_state.pair >= 0) send(pause_state.pair, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}
