/* Pause itself: sleeps until a signal, its shim or a caller wants something. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "pause_parts.h"
#include "title.h"

struct pause pause_state;

_Noreturn void pause_end(int code) {
  if (pause_state.listen >= 0) unlink(pause_state.config.pause_socket);
  _exit(code);
}

static struct slot *slot_of_pid(int pid) {
  for (uint32_t i = 0; i < pause_state.shared->slots_used; i++) {
    struct slot *slot = &pause_state.shared->slots[i];
    if (slot->pid == pid && (slot->state == SLOT_CREATED || slot->state == SLOT_RUNNING || slot->state == SLOT_STAGING)) return slot;
  }
  return NULL;
}

/* Children of a killed shim come to us; the next one can't wait for them, so their status goes into the table. */
static void note_reaped(int pid, uint32_t status) {
  struct slot *slot = slot_of_pid(pid);
  if (!slot) return;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  slot->reaped_status = status;
  slot->reaped_at_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  atomic_store(&slot->reaped, 1);
  tell_reaped();
}

static void reap(void) {
  int status;
  bool died = false;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == pause_state.shim) died = true;
    else note_reaped(pid, (uint32_t)status);
  }
  if (died) shim_died();
}

static void on_signals(void) {
  struct signalfd_siginfo info;
  while (read(pause_state.signals, &info, sizeof info) == (ssize_t)sizeof info)
    if (info.ssi_signo == SIGTERM && !init_lives()) pause_end(0);
  reap();
}

static int watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd < 0 ? -EBADF : epoll_ctl(pause_state.epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL); /* nothing but SIGKILL and SIGSTOP reaches us; what matters is read */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, 0);
  prctl(PR_SET_DUMPABLE, 0);
  raise_file_limit();
  void *shared = mmap(NULL, sizeof *pause_state.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return -errno;
  pause_state.shared = shared;
  pause_state.epoll = epoll_create1(EPOLL_CLOEXEC);
  pause_state.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  pause_state.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  pause_state.listen = listen_at(pause_state.config.pause_socket);
  if (pause_state.listen < 0) return pause_state.listen;
  int error = watch(pause_state.signals);
  if (error == 0) error = watch(pause_state.timer);
  return error ? error : watch(pause_state.listen);
}

static void on_event(int fd) {
  uint64_t times;
  if (fd == pause_state.signals) on_signals();
  else if (fd == pause_state.listen) callers_accept();
  else if (fd == pause_state.timer && read(fd, &times, sizeof times) > 0) {
    if (!pause_state.shim) shim_fork_again();
  } else if (fd == pause_state.pair) held_message();
  for (int i = 0; i < MAX_CALLERS; i++)
    if (pause_state.callers[i].fd == fd) caller_readable(&pause_state.callers[i]);
}

static _Noreturn void refuse(struct launch_reply reply, int error, const char *text) {
  struct outcome outcome = outcome_errno(-error, text);
  outcome.steps = reply.steps;
  outcome.outputs = reply.outputs;
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, reply.id, &record, 1, &size);
  if (frame) send_whole(reply.fd, frame, size);
  pause_end(1);
}

_Noreturn void pause_become(const struct pause_start *start) {
  pause_state = (struct pause){.pair = -1, .listen = -1, .config = start->request->config, .dns_count = start->dns_count, .first_launch = true};
  memcpy(pause_state.dns, start->dns, sizeof pause_state.dns);
  for (int i = 0; i < MAX_CALLERS; i++) pause_state.callers[i].fd = -1;
  setsid();
  title_set("pause", "/pause");
  int error = prepare();
  if (error) refuse(start->reply, error, "prepare pause");
  pause_state.reply = start->reply;
  shim_fork_first(start->request);
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(pause_state.epoll, &event, 1, -1) == 1) on_event(event.data.fd);
    else if (errno != EINTR) pause_end(1);
  }
}
