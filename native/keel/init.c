#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "reply.h"
#include "shim_inbox.h"
#include "stage.h"
#include "system.h"

enum { MESSAGE_FD = 3, RESULT_FD = 4, CONSOLE_FD = 5, MOST_MESSAGE = 16 * 1024 * 1024 };

static int read_all(int fd, struct cursor *out) {
  uint8_t *bytes = NULL;
  size_t length = 0, capacity = 0;
  for (;;) {
    if (length == capacity) {
      capacity = capacity ? capacity * 2 : 64 * 1024;
      uint8_t *grown = capacity > MOST_MESSAGE ? NULL : realloc(bytes, capacity);
      if (!grown) return -E2BIG;
      bytes = grown;
    }
    ssize_t n = read(fd, bytes + length, capacity - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) break;
    length += (size_t)n;
  }
  *out = (struct cursor){bytes, bytes + length};
  return 0;
}

static void report(const struct stage *stage) {
  const struct outcome outcome = {.failed_index = stage->failed_index, .error = stage->error, .pid = stage->pid, .steps = stage->steps, .outputs = stage->outputs, .message = stage->message};
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, 0, &record, 1, &size);
  for (size_t at = 0; frame && at < size;) {
    ssize_t n = write(RESULT_FD, frame + at, size - at);
    if (n <= 0) break;
    at += (size_t)n;
  }
  free(frame);
}

/* Blocks until there is news. */
static enum stage_progress next_news(struct stage *stage) {
  for (;;) {
    struct pollfd p = {.fd = stage->fd, .events = POLLIN};
    poll(&p, 1, -1);
    enum stage_progress progress = stage_on_readable(stage);
    if (progress != STAGE_PENDING) return progress;
  }
}

/* The master goes to whoever listens on the console socket (runc's --console-socket, passed as descriptor 5). */
static int pass_console(int master) {
  char name[] = "/dev/ptmx", control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {name, sizeof name - 1};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(c), &master, sizeof master);
  return sendmsg(CONSOLE_FD, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/* In the foreground: passes signals on, ends as the process ends. */
static int supervise(struct stage *stage, int signals) {
  for (;;) {
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != (ssize_t)sizeof info) continue;
    if (info.ssi_signo != SIGCHLD) {
      syscall(SYS_pidfd_send_signal, stage->pidfd, (int)info.ssi_signo, NULL, 0);
      continue;
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == stage->pid) return exit_code(status);
  }
}

static int block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV), sigdelset(&all, SIGBUS), sigdelset(&all, SIGABRT), sigdelset(&all, SIGTSTP), sigdelset(&all, SIGTTIN), sigdelset(&all, SIGTTOU);
  sigprocmask(SIG_SETMASK, &all, NULL);
  return signalfd(-1, &all, SFD_CLOEXEC);
}

static int open_init(int argc, char **argv) {
  if (argc < 3) return -1;
  return (int)syscall(SYS_pidfd_open, atoi(argv[2]), 0);
}

int init_main(int argc, char **argv) {
  bool foreground = argc >= 2 && strcmp(argv[1], "run") == 0;
  struct stage_request request = {.stdio = {0, 1, 2}, .init_pidfd = -1};
  struct stage stage;
  int error = read_all(MESSAGE_FD, &request.operations);
  int signals = foreground ? block_signals() : -1;
  if (strcmp(argv[0], "exec") == 0) request.init_pidfd = open_init(argc, argv);
  if (foreground) prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (error == 0) error = stage_begin(&stage, &request);
  if (error) {
    reply_error(RESULT_FD, 0, -error, "start the container's process");
    return 1;
  }
  enum stage_progress progress = next_news(&stage);
  if (progress == STAGE_READY && stage.master >= 0 && pass_console(stage.master)) progress = STAGE_FAILED, stage.error = EPIPE;
  bool starts = foreground || strcmp(argv[0], "exec") == 0;
  if (progress == STAGE_READY && starts && stage_go(&stage) == 0) progress = next_news(&stage);
  report(&stage);
  close(RESULT_FD);
  if (progress == STAGE_FAILED) {
    if (stage.pidfd >= 0) syscall(SYS_pidfd_send_signal, stage.pidfd, SIGKILL, NULL, 0);
    return 1;
  }
  if (!foreground) return 0;
  close(0);
  return supervise(&stage, signals);
}
