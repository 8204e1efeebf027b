/* A shim's life: set up, make or take over its processes, serve until told to end. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "shim_parts.h"
#include "title.h"

static _Noreturn void leave(int code) {
  hold_say(HOLD_GOODBYE, shim.end_pause);
  _exit(code);
}

static int open_loop(void) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  shim.epoll = epoll_create1(EPOLL_CLOEXEC);
  shim.signals = (struct watch){.on = exit_on_child, .fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)};
  shim.timer = (struct watch){.on = exit_on_timer, .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  if (shim.epoll < 0 || shim.signals.fd < 0 || shim.timer.fd < 0) return -errno;
  watch_set(&shim.signals, EPOLLIN);
  watch_set(&shim.timer, EPOLLIN);
  watch_set(&shim.pair_watch, EPOLLIN);
  return 0;
}

static void show_title(void) {
  char title[600];
  snprintf(title, sizeof title, "keel shim %s %s", shim.config->namespace, shim.config->id);
  title_set("keel-shim", title);
}

static int listen_first(void) {
  int fd = listen_at(shim.config->shim_socket);
  if (fd < 0) return fd;
  shim.listen = (struct watch){.on = connection_accept, .fd = fd};
  hold_keep(MAX_PROCESSES, HELD_LISTEN, fd);
  watch_set(&shim.listen, EPOLLIN);
  return 0;
}

static _Noreturn void refuse_launch(int error, const char *text) {
  struct outcome outcome = outcome_errno(-error, text);
  reply_outcome((struct reply_to){.connection = LAUNCH_REPLY}, outcome);
  shim_abandon();
}

/* The launch has failed: the socket and the record go, and with LAUNCH pause goes too. */
void shim_abandon(void) {
  unlink(shim.config->shim_socket);
  files_remove_shim();
  leave(1);
}

static void launch(void) {
  int error = log_open(&shim.log, shim.config->log_path, shim.config->log_max_bytes, shim.config->log_max_files);
  if (error) refuse_launch(error, "open the log file");
  error = listen_first();
  if (error) refuse_launch(error, "listen on the shim's socket");
  oom_watch();
  shim.shared->oom_base = shim.shared->oom_told = oom_count();
  struct process *init = process_new((struct blob){"", 0}, &error);
  if (!init) refuse_launch(error, "make init's entry");
  files_remove_exit(init->slot);
  error = process_stage(init, shim.start.stage, &shim.start.stdio, (struct reply_to){.connection = LAUNCH_REPLY});
  if (error) refuse_launch(error, "open stdio");
}

/* A predecessor was killed: everything is as it left it, but for clients and what it had just read. */
static void take_over(void) {
  log_open(&shim.log, shim.config->log_path, shim.config->log_max_bytes, shim.config->log_max_files); /* tried again at each write */
  oom_watch();
  for (size_t i = 0; i < shim.start.held_count; i++) {
    if (shim.start.held[i].what != HELD_LISTEN) continue;
    shim.listen = (struct watch){.on = connection_accept, .fd = shim.start.held[i].fd};
    watch_set(&shim.listen, EPOLLIN);
  }
  for (uint32_t i = 0; i < shim.shared->slots_used; i++) process_restore(i, shim.start.held, shim.start.held_count);
  files_write_shim();
  oom_check();
}

_Noreturn void shim_main(const struct shim_start *start) {
  shim = (struct shim){.start = *start, .config = start->config, .shared = start->shared, .pause_pid = getppid(), .oom_file = -1};
  shim.log.fd = -1;
  shim.listen.fd = -1;
  shim.pair_watch = (struct watch){.on = hold_on_message, .fd = start->pair};
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  show_title();
  int error = open_loop();
  if (error && !start->restore) refuse_launch(error, "prepare the shim");
  if (start->restore) take_over();
  else launch();
  error = loop_run();
  unlink(shim.config->shim_socket);
  if (shim.ending) files_remove_shim(); /* else a daemon is still to find by it what has ended */
  leave(error ? 1 : 0);
}
