/* Namespaces, the new process, and programs that are run on the way. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include "plan.h"
#include "stage.h"
#include "system.h"

int op_unshare(struct run *run, const struct record *r) {
  (void)run;
  return unshare((int)r->i[0]) ? -errno : 0;
}

int op_setns(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  if (fd < 0) return fd;
  return setns(fd, (int)r->i[1]) ? -errno : 0;
}

/* One call for all of them: the kernel checks everything before it changes anything (5.8). */
int op_setns_init(struct run *run, const struct record *r) {
  if (run->init_pidfd < 0) return -ESRCH;
  return setns(run->init_pidfd, (int)r->i[0]) ? -errno : 0;
}

int op_kill(struct run *run, const struct record *r) {
  (void)run;
  return kill((pid_t)r->i[0], (int)r->i[1]) ? -errno : 0;
}

/* -- clone ------------------------------------------------------------------------------------------------------- */

static int write_proc(int pid, const char *name, struct blob text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = write(fd, text.bytes, text.length) == (ssize_t)text.length ? 0 : -errno;
  close(fd);
  return error;
}

/* The child waits in read until its ids are mapped, or the pipe ends: then it must not go on. */
static int map_ids(int pid, const struct record *r, int go) {
  int error = write_proc(pid, "uid_map", r->b[0]);
  if (error == 0 && r->b[1].length) error = write_proc(pid, "gid_map", r->b[1]);
  if (error == 0 && write(go, "", 1) != 1) error = -errno;
  return error;
}

static int await_mapping(int gate) {
  char byte;
  if (read(gate, &byte, 1) != 1) _exit(1);
  close(gate);
  return syscall(SYS_setresgid, 0, 0, 0) || syscall(SYS_setresuid, 0, 0, 0) ? -errno : 0;
}

/* In the parent: its work is done once the supervisor knows the child. */
static _Noreturn void parent_ends(struct run *run, int pid, int pidfd, int error) {
  if (run->supervisor >= 0) stage_tell_cloned(run, pid, pidfd);
  if (error) kill(pid, SIGKILL);
  _exit(error ? 1 : 0);
}

int op_clone(struct run *run, const struct record *r) {
  int gate[2] = {-1, -1}, pidfd = -1;
  bool maps = r->b[0].length > 0;
  if (maps && pipe2(gate, O_CLOEXEC)) return -errno;
  struct clone_args args = {.flags = r->i[0] | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
  if (run->under_shim) { /* the shim is to be its parent, and gets the signal that our own end would send */
    args.flags |= CLONE_PARENT;
    args.exit_signal = 0;
  }
  if (r->i[1] != NO_SLOT) {
    int cgroup = slot_fd(run, r->i[1]);
    if (cgroup < 0) return cgroup;
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)cgroup;
  }
  long pid = syscall(SYS_clone3, &args, sizeof args);
  int error = pid < 0 ? -errno : 0;
  if (error == 0 && pid > 0) {
    if (maps) close(gate[0]);
    parent_ends(run, (int)pid, pidfd, maps ? map_ids((int)pid, r, gate[1]) : 0);
  }
  if (error == 0) {
    run->cloned = true;
    if (maps) close(gate[1]);
    return maps ? await_mapping(gate[0]) : 0;
  }
  if (maps) close(gate[0]), close(gate[1]);
  return error;
}

/* -- commands and hooks -------------------------------------------------------------------------------------------- */

enum { MOST_SAID = 1024 * 1024, MOST_WORDS = 1024 };

struct program {
  struct blob argv, envp, input;
  const char *path; /* NULL: argv[0], looked up in PATH */
  uint64_t timeout_ms;
};

struct said {
  char *bytes;
  size_t length;
};

static int words(struct blob list, char **out) {
  size_t n = 0;
  for (const char *s = list_next(list, NULL); s; s = list_next(list, s)) {
    if (n + 1 >= MOST_WORDS) return -E2BIG;
    out[n++] = (char *)(uintptr_t)s;
  }
  out[n] = NULL;
  return n ? 0 : -EINVAL;
}

static _Noreturn void program_child(const struct program *p, const int pipes[3][2]) {
  char *argv[MOST_WORDS], *envp[MOST_WORDS] = {NULL};
  if (dup2(pipes[0][0], 0) < 0 || dup2(pipes[1][1], 1) < 0 || dup2(pipes[2][1], 2) < 0) _exit(127);
  close_range(3, ~0u, 0);
  setsid();
  if (words(p->argv, argv)) _exit(127);
  if (p->envp.length == 0 || words(p->envp, envp)) envp[0] = (char *)(uintptr_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", envp[1] = NULL;
  if (p->path) execve(p->path, argv, envp);
  else execvpe(argv[0], argv, envp);
  dprintf(2, "%s: %s", argv[0], strerror(errno));
  _exit(127);
}

/* Takes what is there; true: the end. */
static bool take_output(int fd, struct said *said) {
  char bytes[16 * 1024];
  ssize_t n = read(fd, bytes, sizeof bytes);
  if (n <= 0) return n == 0 || (errno != EINTR && errno != EAGAIN);
  size_t room = MOST_SAID - said->length, take = (size_t)n < room ? (size_t)n : room;
  char *grown = take ? realloc(said->bytes, said->length + take) : NULL;
  if (!grown) return false;
  memcpy(grown + said->length, bytes, take);
  said->bytes = grown;
  said->length += take;
  return false;
}

/* Feeds stdin and collects both outputs until they end. -ETIMEDOUT. */
static int converse(const struct program *p, int in, const int outs[2], struct said said[2]) {
  uint64_t deadline = clock_ns() + (p->timeout_ms ? p->timeout_ms : 60000) * 1000000u;
  size_t sent = 0;
  struct pollfd fds[3] = {{p->input.length ? in : -1, POLLOUT, 0}, {outs[0], POLLIN, 0}, {outs[1], POLLIN, 0}};
  if (!p->input.length) close(in);
  while (fds[1].fd >= 0 || fds[2].fd >= 0) {
    uint64_t now = clock_ns();
    if (now >= deadline) break;
    if (poll(fds, 3, (int)((deadline - now) / 1000000u) + 1) < 0 && errno != EINTR) break;
    if (fds[0].fd >= 0 && fds[0].revents) {
      ssize_t n = write(in, p->input.bytes + sent, p->input.length - sent);
      if (n > 0) sent += (size_t)n;
      if (sent == p->input.length || (n < 0 && errno != EAGAIN && errno != EINTR)) close(in), fds[0].fd = -1;
    }
    for (int i = 0; i < 2; i++)
      if (fds[i + 1].fd >= 0 && fds[i + 1].revents && take_output(outs[i], &said[i])) fds[i + 1].fd = -1;
  }
  if (fds[0].fd >= 0) close(in);
  return fds[1].fd >= 0 || fds[2].fd >= 0 ? -ETIMEDOUT : 0;
}

static int run_program(const struct program *p, struct said said[2], int *status) {
  int pipes[3][2];
  for (int i = 0; i < 3; i++)
    if (pipe2(pipes[i], O_CLOEXEC)) return -errno;
  signal(SIGPIPE, SIG_IGN);
  pid_t child = fork();
  if (child == 0) program_child(p, pipes);
  close(pipes[0][0]), close(pipes[1][1]), close(pipes[2][1]);
  const int outs[2] = {pipes[1][0], pipes[2][0]};
  int error = child < 0 ? -errno : converse(p, pipes[0][1], outs, said);
  if (child > 0 && error) kill(-child, SIGKILL), kill(child, SIGKILL);
  close(pipes[1][0]), close(pipes[2][0]);
  if (child > 0) waitpid(child, status, 0);
  return error;
}

static int output_said(struct run *run, int status, const struct said said[2]) {
  size_t length = 8 + said[0].length + said[1].length;
  char *bytes = malloc(length);
  if (!bytes) return -ENOMEM;
  uint32_t head[2] = {(uint32_t)status, (uint32_t)said[0].length};
  memcpy(bytes, head, sizeof head);
  if (said[0].length) memcpy(bytes + 8, said[0].bytes, said[0].length);
  if (said[1].length) memcpy(bytes + 8 + said[0].length, said[1].bytes, said[1].length);
  int error = run_output(run, bytes, length);
  free(bytes);
  return error;
}

int op_command(struct run *run, const struct record *r) {
  struct program p = {.argv = r->b[0], .envp = r->b[1], .input = r->b[2], .timeout_ms = r->i[0]};
  struct said said[2] = {{NULL, 0}, {NULL, 0}};
  int status = 0, error = run_program(&p, said, &status);
  if (error == 0) error = output_said(run, status, said);
  if (error == 0 && r->i[1] && status) {
    const struct said *words_said = said[1].length ? &said[1] : &said[0];
    error = run_fail(run, -ECANCELED, "%s ended with %d: %.*s", r->b[0].bytes, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                     (int)(words_said->length < 400 ? words_said->length : 400), words_said->bytes ? words_said->bytes : "");
  }
  free(said[0].bytes);
  free(said[1].bytes);
  return error;
}

/* The state names the container's pid as the host sees it: ours, once we are what clone made. */
static char *state_with_pid(const struct run *run, struct blob state, uint32_t *length) {
  const char *mark = memmem(state.bytes, state.length, "@PID@", 5);
  char *out = malloc(state.length + 16u);
  if (!out) return NULL;
  int pid = (int)getpid();
  char own[32] = "";
  if (run->cloned && readlink("/proc/self", own, sizeof own - 1) > 0) pid = atoi(own);
  if (!mark) memcpy(out, state.bytes, *length = state.length);
  else *length = (uint32_t)snprintf(out, state.length + 16u, "%.*s%d%s", (int)(mark - state.bytes), state.bytes, pid, mark + 5);
  return out;
}

int op_hook(struct run *run, const struct record *r) {
  uint32_t length = 0;
  char *state = state_with_pid(run, r->b[3], &length);
  if (!state) return -ENOMEM;
  struct program p = {.path = r->b[0].bytes, .argv = r->b[1].length ? r->b[1] : r->b[0], .envp = r->b[2], .input = {state, length}, .timeout_ms = r->i[0]};
  struct said said[2] = {{NULL, 0}, {NULL, 0}};
  int status = 0, error = run_program(&p, said, &status);
  if (error == 0 && status)
    error = run_fail(run, -ECANCELED, "hook %s ended with status %d: %.*s", r->b[0].bytes, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                     (int)(said[1].length < 300 ? said[1].length : 300), said[1].bytes ? said[1].bytes : "");
  free(said[0].bytes);
  free(said[1].bytes);
  free(state);
  return error;
}
