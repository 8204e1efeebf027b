/*
 * Another OCI runtime below a stage: its command line instead of clone and execve. Its `create` and `exec` leave a process whose pid they
 * write into a file; with their end that process is the shim's child, which is a subreaper.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plan.h"
#include "shim_inbox.h"
#include "stage.h"

/* The runtime with the stage's own stdio, to its end. Its wait status, or -errno when it can't be run. */
static int run_to_end(char **argv) {
  int ends[2], failed = 0, status;
  if (pipe2(ends, O_CLOEXEC)) return -errno;
  pid_t pid = fork();
  if (pid == 0) {
    execvp(argv[0], argv);
    failed = errno;
    if (write(ends[1], &failed, sizeof failed) < 0) _exit(126);
    _exit(127);
  }
  int error = pid < 0 ? -errno : 0;
  close(ends[1]);
  while (error == 0 && read(ends[0], &failed, sizeof failed) < 0 && errno == EINTR) continue;
  close(ends[0]);
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return error ? error : failed ? -failed : status;
}

static int read_pid(const char *path) {
  char text[32];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  int error = n < 0 ? -errno : 0;
  if (fd >= 0) close(fd);
  if (error) return error;
  text[n] = 0;
  int pid = atoi(text);
  return pid > 0 ? pid : -EPROTO;
}

static int tell_process(struct run *run, int pid) {
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0) return -errno;
  int error = stage_tell_cloned(run, pid, pidfd);
  close(pidfd);
  return error;
}

/* The runtime has connected, sent the master and gone: all of that waits in the socket. */
static int take_console(struct run *run, int listener) {
  char name[64], control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {name, sizeof name};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int from = accept_own(listener), master;
  if (from < 0) return from;
  ssize_t n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  int error = n < 0 ? -errno : 0;
  close(from);
  struct cmsghdr *c = error ? NULL : CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) return error ? error : -EPROTO;
  memcpy(&master, CMSG_DATA(c), sizeof master);
  error = stage_tell_console(run, master);
  close(master);
  return error;
}

static int ended_badly(struct run *run, char **argv, int status) {
  const char *how = WIFSIGNALED(status) ? "signal" : "exit status";
  return run_fail(run, -ECANCELED, "%s: %s %d", argv[0], how, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int run_runtime(struct run *run, const struct record *r, char **argv) {
  const char *pid_file = r->b[1].bytes, *console = r->b[2].bytes;
  int listener = *console ? listen_at(console) : -1;
  if (*console && listener < 0) return run_fail(run, listener, "listen on %s", console);
  int status = run_to_end(argv);
  int error = status < 0 ? run_fail(run, status, "%s", argv[0]) : status ? ended_badly(run, argv, status) : 0;
  if (error == 0 && listener >= 0 && (error = take_console(run, listener))) run_fail(run, error, "%s: no terminal came", argv[0]);
  if (listener >= 0) {
    close(listener);
    unlink(console);
  }
  if (error || !*pid_file) return error;
  int pid = read_pid(pid_file);
  error = pid < 0 ? pid : tell_process(run, pid);
  return error ? run_fail(run, error, "the pid in %s", pid_file) : 0;
}

int op_runtime(struct run *run, const struct record *r) {
  if (run->supervisor < 0) return run_fail(run, -EINVAL, "runtime belongs into a stage");
  char **argv = list_vector(r->b[0]);
  if (!argv) return -ENOMEM;
  run->foreign = true;
  int error = argv[0] ? run_runtime(run, r, argv) : -EINVAL;
  free(argv);
  return error;
}

/* Until there is a process of the runtime's, the stage itself is what waits, and what a signal ends. */
int op_stand_in(struct run *run, const struct record *r) {
  (void)r;
  run->foreign = true;
  return run->supervisor < 0 ? -EINVAL : tell_process(run, getpid());
}
