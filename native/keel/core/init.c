/*
 * The stand-alone runtime's supervisor: takes one frame of operations from descriptor 3, stages the process, tells on descriptor 4.
 * See docs/protocols.md, "keel init and keel exec".
 */
#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "reply.h"
#include "shim_inbox.h"
#include "stage.h"
#include "system.h"
#include "terminal.h"

enum { MESSAGE_FD = 3, RESULT_FD = 4, CONSOLE_FD = 5, FAILURE = 1, USAGE = 2 };

enum mode { CREATE, RUN, TIED, DETACH };

static int read_exactly(void *into, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = read(MESSAGE_FD, (char *)into + at, length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? -errno : -EPIPE;
    at += (size_t)n;
  }
  return 0;
}

/* A frame's header, then its payload: where the start byte may follow, an end of file can't mark the end. */
static int read_operations(struct cursor *out) {
  uint8_t header[SOCKET_FRAME_HEADER];
  uint32_t length;
  int error = read_exactly(header, sizeof header);
  if (error) return error;
  memcpy(&length, header, sizeof length);
  if (length == 0 || length > MOST_PAYLOAD) return -EPROTO;
  uint8_t *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return -ENOMEM;
  *out = (struct cursor){bytes, bytes + length};
  return read_exactly(bytes, length);
}

static void tell(const struct outcome *outcome) {
  struct reply_record record = result_record(outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, 0, &record, 1, &size);
  for (size_t at = 0; frame && at < size;) {
    ssize_t n = write(RESULT_FD, frame + at, size - at);
    if (n < 0 && errno != EINTR) break;
    if (n > 0) at += (size_t)n;
  }
  free(frame);
}

static void report(const struct stage *s) {
  tell(&(struct outcome){.failed_index = s->failed_index, .error = s->error, .pid = s->pid, .steps = s->steps, .outputs = s->outputs, .message = s->message});
}

static int refuse(int error, const char *text) {
  struct outcome outcome = outcome_errno(-error, text);
  tell(&outcome);
  return FAILURE;
}

/* Blocks until there is news. */
static enum stage_progress next_news(struct stage *stage) {
  enum stage_progress progress;
  do {
    struct pollfd p = {.fd = stage->fd, .events = POLLIN};
    poll(&p, 1, -1);
    progress = stage_on_readable(stage);
  } while (progress == STAGE_PENDING);
  return progress;
}

/* The master goes to whoever listens on the console socket, in runc's form: its name and the descriptor. */
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

/* True: the process has ended. Everything else that is ours by reparenting is reaped on the way. */
static bool reap(const struct stage *stage, int *status) {
  int of;
  for (pid_t pid; (pid = waitpid(-1, &of, WNOHANG | __WALL)) > 0;) {
    if (pid != stage->pid) continue;
    *status = of;
    return true;
  }
  return false;
}

static bool on_signal(const struct stage *stage, const struct terminal *terminal, int signals, int *status) {
  struct signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != (ssize_t)sizeof info) return false;
  if (info.ssi_signo == SIGCHLD) return reap(stage, status);
  if (info.ssi_signo == SIGWINCH) terminal_size(terminal);
  else syscall(SYS_pidfd_send_signal, stage->pidfd, (int)info.ssi_signo, NULL, 0);
  return false;
}

/* Who asked for the process is gone or wants it no more: it ends, and with it its pid namespace. Told once. */
static void cut(const struct stage *stage, int *tie) {
  syscall(SYS_pidfd_send_signal, stage->pidfd, SIGKILL, NULL, 0);
  *tie = -1;
}

/* In the foreground: passes signals and the terminal's bytes on, ends as the process ends. `tie`: a descriptor whose end is the process's, or -1. */
static int supervise(struct stage *stage, int signals, int tie) {
  enum { SIGNALS = TERMINAL_FDS, TIE, COUNT };
  struct terminal terminal;
  int status = 0;
  terminal_begin(&terminal, stage->master);
  bool ended = reap(stage, &status);
  while (!ended) {
    struct pollfd fds[COUNT] = {[SIGNALS] = {signals, POLLIN, 0}, [TIE] = {tie, POLLIN, 0}};
    terminal_poll(&terminal, fds);
    if (poll(fds, COUNT, -1) < 0) continue;
    terminal_relay(&terminal, fds);
    if (fds[TIE].revents) cut(stage, &tie);
    if (fds[SIGNALS].revents) ended = on_signal(stage, &terminal, signals, &status);
  }
  terminal_end(&terminal);
  return exit_code(status);
}

/* What a terminal's job control and our own faults send stays as it is. */
static int take_signals(void) {
  sigset_t all;
  sigfillset(&all);
  const int ours[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) sigdelset(&all, ours[i]);
  sigprocmask(SIG_SETMASK, &all, NULL);
  return signalfd(-1, &all, SFD_CLOEXEC);
}

static int abandon(struct stage *stage) {
  if (stage->pidfd >= 0) syscall(SYS_pidfd_send_signal, stage->pidfd, SIGKILL, NULL, 0);
  /* Unreaped it would keep its pid namespace, and so the container's init, from ending. */
  while (stage->pid > 0 && waitpid(stage->pid, NULL, __WALL) < 0 && errno == EINTR) {}
  return FAILURE;
}

/* Ready: told; then started when we are to start it. STAGE_READY: it waits for another to do so. */
static enum stage_progress start(struct stage *stage, enum mode mode, bool exec) {
  char byte;
  if (mode == CREATE) return STAGE_READY;
  if (!exec) report(stage);
  if (!exec && read_exactly(&byte, 1)) return STAGE_FAILED; /* nobody wants it any more */
  return stage_go(stage) ? STAGE_FAILED : next_news(stage);
}

static int bring_up(struct stage *stage, enum mode mode, bool exec, int signals) {
  enum stage_progress progress = next_news(stage);
  bool passes = stage->master >= 0 && mode != RUN && mode != TIED;
  int error = progress == STAGE_READY && passes ? pass_console(stage->master) : 0;
  if (error) return refuse(error, "pass the terminal to the console socket"), abandon(stage);
  if (progress == STAGE_READY) progress = start(stage, mode, exec);
  report(stage);
  close(RESULT_FD);
  if (progress == STAGE_FAILED) return abandon(stage);
  return mode == RUN || mode == TIED ? supervise(stage, signals, mode == TIED ? MESSAGE_FD : -1) : 0;
}

static bool parse_mode(const char *text, bool exec, enum mode *mode) {
  bool tied = !exec && strcmp(text, "tied") == 0;
  *mode = tied ? TIED : strcmp(text, "run") == 0 ? RUN : exec ? DETACH : CREATE;
  return tied || *mode == RUN || strcmp(text, exec ? "detach" : "create") == 0;
}

int init_main(int argc, char **argv) {
  bool exec = strcmp(argv[0], "exec") == 0;
  enum mode mode;
  int words = exec ? 3 : 2, preserved = argc == words + 1 ? atoi(argv[words]) : 0;
  if (argc < words || argc > words + 1 || !parse_mode(argv[1], exec, &mode) || preserved < 0 || preserved > MOST_PRESERVED) {
    dprintf(2, "usage: keel init run|tied|create [PRESERVED]\n       keel exec run|detach PID [PRESERVED]\n");
    return USAGE;
  }
  for (int fd = MESSAGE_FD; fd <= CONSOLE_FD; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  struct stage_request request = {.stdio = {0, 1, 2}, .init_pidfd = -1, .preserved = preserved};
  struct stage stage;
  int error = read_operations(&request.operations);
  if (error) return refuse(error, "read the operations");
  if (exec && (request.init_pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[2]), 0)) < 0) return refuse(-errno, "open the container's process");
  bool stays = mode == RUN || mode == TIED;
  int signals = stays ? take_signals() : -1;
  if (stays) prctl(PR_SET_CHILD_SUBREAPER, 1);
  error = stage_begin(&stage, &request);
  if (preserved) close_range(PRESERVED_FROM, (unsigned)(PRESERVED_FROM + preserved - 1), 0); /* the process's alone */
  return error ? refuse(error, "start the container's process") : bring_up(&stage, mode, exec, signals);
}
