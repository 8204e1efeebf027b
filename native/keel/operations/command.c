#define _GNU_SOURCE
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "child.h"

extern char **environ;

/* Our ends: 0 its input, 1 its output, 2 its errors, 3 the errno of a failed execve. */
enum { ENDS = 4 };

static _Noreturn void become(const struct command *command, char **argv, char **envp, int theirs[ENDS]) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);
  child_default_signals();
  child_take_stdio(theirs);
  if (command->path.length) execve(command->path.bytes, argv, envp);
  else execvpe(argv[0], argv, envp);
  int error = errno;
  if (write(theirs[3], &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

static int open_ends(int ours[ENDS], int theirs[ENDS]) {
  for (int i = 0; i < ENDS; i++) ours[i] = theirs[i] = -1;
  for (int i = 0; i < ENDS; i++) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -errno;
    ours[i] = ends[i == 0];
    theirs[i] = ends[i != 0];
    if (fcntl(ours[i], F_SETFL, O_NONBLOCK)) return -errno;
  }
  return 0;
}

static void close_ends(int ends[ENDS]) {
  for (int i = 0; i < ENDS; i++)
    if (ends[i] >= 0) close(ends[i]);
}

static void close_end(int *end) {
  close(*end);
  *end = -1;
}

static void give_input(struct command *command, int *end) {
  ssize_t n = write(*end, command->input.bytes, command->input.length);
  if (n > 0) command->input = (struct blob){command->input.bytes + n, command->input.length - (uint32_t)n};
  if (command->input.length == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(end);
}

/* What is beyond the limit is read and dropped, so that the program can end. */
static int collect(struct command *command, int which, int *end) {
  char buffer[16384];
  ssize_t n = read(*end, buffer, sizeof buffer);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
  if (n == 0) close_end(end);
  struct blob *blob = &command->output[which];
  if ((size_t)n > MOST_COLLECTED - blob->length) n = (ssize_t)(MOST_COLLECTED - blob->length);
  if (n == 0) return 0;
  char *grown = realloc(command->owned[which], blob->length + (size_t)n);
  if (!grown) return -ENOMEM;
  memcpy(grown + blob->length, buffer, (size_t)n);
  command->owned[which] = grown;
  *blob = (struct blob){grown, blob->length + (uint32_t)n};
  return 0;
}

static int until(uint64_t deadline_ns) {
  if (!deadline_ns) return -1;
  uint64_t now = clock_ns();
  return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / 1000000) + 1;
}

static int converse(struct command *command, int ours[ENDS], uint64_t deadline_ns) {
  if (command->input.length == 0) close_end(&ours[0]);
  while (ours[1] >= 0 || ours[2] >= 0) {
    struct pollfd ends[3] = {{ours[0], POLLOUT, 0}, {ours[1], POLLIN, 0}, {ours[2], POLLIN, 0}};
    int ready = poll(ends, 3, until(deadline_ns));
    if (ready == 0) return -ETIMEDOUT;
    if (ready < 0 && errno != EINTR) return -errno;
    if (ready < 0) continue;
    if (ends[0].revents) give_input(command, &ours[0]);
    for (int i = 1; i < 3; i++) {
      int error = ends[i].revents ? collect(command, i - 1, &ours[i]) : 0;
      if (error) return error;
    }
  }
  return 0;
}

/* Its output may end before it does: the deadline holds for both. */
static int wait_for(struct command *command, pid_t pid, uint64_t deadline_ns) {
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd end = {pidfd, POLLIN, 0};
  while (pidfd >= 0 && poll(&end, 1, until(deadline_ns)) < 0 && errno == EINTR) continue;
  if (pidfd >= 0) close(pidfd);
  int error = pidfd >= 0 && end.revents == 0 ? -ETIMEDOUT : 0;
  if (error) kill(-pid, SIGKILL);
  while (waitpid(pid, &command->status, 0) < 0)
    if (errno != EINTR) return -errno;
  return error;
}

static int supervise(struct command *command, pid_t pid, int ours[ENDS]) {
  uint64_t deadline_ns = command->timeout_ms ? clock_ns() + command->timeout_ms * 1000000 : 0;
  int error = converse(command, ours, deadline_ns), failed;
  if (error) kill(-pid, SIGKILL);
  int ended = wait_for(command, pid, error ? 0 : deadline_ns);
  if (error == 0) error = ended;
  if (error == 0 && read(ours[3], &failed, sizeof failed) == (ssize_t)sizeof failed) error = -failed;
  return error;
}

int command_run(struct command *command) {
  for (int i = 0; i < 2; i++) command->output[i].bytes = "";
  signal(SIGPIPE, SIG_IGN); /* it need not read its input */
  int ours[ENDS], theirs[ENDS], error = open_ends(ours, theirs);
  char **argv = list_vector(command->argv), **envp = command->envp.length ? list_vector(command->envp) : environ;
  if (error == 0 && (!argv || !envp)) error = -ENOMEM;
  if (error == 0 && !argv[0]) error = -EINVAL;
  pid_t pid = error ? -1 : fork();
  if (pid == 0) become(command, argv, envp, theirs);
  if (error == 0 && pid < 0) error = -errno;
  close_ends(theirs);
  if (error == 0) error = supervise(command, pid, ours);
  close_ends(ours);
  signal(SIGPIPE, SIG_DFL);
  free(argv);
  if (envp != environ) free(envp);
  return error;
}

void command_close(struct command *command) {
  for (int i = 0; i < 2; i++) free(command->owned[i]);
  memset(command->owned, 0, sizeof command->owned);
}

#define PID_MARK "@PID@"

int text_with_pid(struct blob text, int pid, struct blob *out, char **owned) {
  char number[16];
  size_t digits = (size_t)snprintf(number, sizeof number, "%d", pid), mark = strlen(PID_MARK), length = 0;
  size_t marks = 0;
  for (const char *at = text.bytes; (at = memmem(at, (size_t)(text.bytes + text.length - at), PID_MARK, mark)); at += mark) marks++;
  *owned = malloc(text.length + marks * digits + 1);
  if (!*owned) return -ENOMEM;
  for (uint32_t i = 0; i < text.length;) {
    bool marked = text.length - i >= mark && memcmp(text.bytes + i, PID_MARK, mark) == 0;
    memcpy(*owned + length, marked ? number : text.bytes + i, marked ? digits : 1);
    length += marked ? digits : 1;
    i += marked ? (uint32_t)mark : 1;
  }
  *out = (struct blob){*owned, (uint32_t)length};
  return 0;
}

int hook_run(struct run *run, const struct record *r, int pid) {
  char *owned;
  struct command command = {.path = r->b[0], .argv = r->b[1], .envp = r->b[2], .timeout_ms = r->i[0]};
  char no_environment[] = "";
  if (command.envp.length == 0) command.envp = (struct blob){no_environment, 1}; /* not ours: a hook gets what the spec says */
  int error = text_with_pid(r->b[3], pid, &command.input, &owned);
  if (error) return error;
  error = command_run(&command);
  if (error == -ETIMEDOUT) run_fail(run, error, "hook %s did not end within %llu ms", r->b[0].bytes, (unsigned long long)r->i[0]);
  else if (error) run_fail(run, error, "hook %s", r->b[0].bytes);
  else if (command.status) {
    const char *how = WIFSIGNALED(command.status) ? "signal" : "exit status";
    int number = WIFSIGNALED(command.status) ? WTERMSIG(command.status) : WEXITSTATUS(command.status);
    error = run_fail(run, -ECANCELED, "hook %s: %s %d, stderr: %.*s", r->b[0].bytes, how, number, (int)command.output[1].length, command.output[1].bytes);
  }
  command_close(&command);
  free(owned);
  return error;
}
