/* Namespaces and the new process. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "command.h"
#include "plan.h"
#include "stage.h"
#include "system.h"

/* ENOSPC from what makes namespaces is no disk but a count (namespaces(7)); which of several it was the kernel does not say. */
static int namespaces_refused(struct run *run, int error, uint64_t flags) {
  static const struct {
    uint64_t flag;
    const char *name;
  } kinds[] = {{CLONE_NEWNET, "net"}, {CLONE_NEWNS, "mnt"},   {CLONE_NEWPID, "pid"},       {CLONE_NEWIPC, "ipc"},
               {CLONE_NEWUTS, "uts"}, {CLONE_NEWUSER, "user"}, {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWTIME, "time"}};
  char names[384] = "";
  if (error != -ENOSPC) return error;
  for (size_t i = 0, at = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (flags & kinds[i].flag) at += (size_t)snprintf(names + at, sizeof names - at, "%suser.max_%s_namespaces", at ? ", " : "", kinds[i].name);
  return run_fail(run, error, "a limit on namespaces is reached: raise the sysctl %s, or end containers", names);
}

int op_unshare(struct run *run, const struct record *r) {
  return unshare((int)r->i[0]) ? namespaces_refused(run, -errno, r->i[0]) : 0;
}

int op_setns(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  return fd < 0 ? fd : setns(fd, (int)r->i[1]) ? -errno : 0;
}

int op_setns_init(struct run *run, const struct record *r) {
  if (run->init_pidfd < 0) return -EBADF;
  return setns(run->init_pidfd, (int)r->i[0]) ? -errno : 0;
}

int op_kill(struct run *run, const struct record *r) {
  (void)run;
  return kill((pid_t)r->i[0], (int)r->i[1]) ? -errno : 0;
}

/* -- clone -------------------------------------------------------------------------------------------------------- */

/* What follows decides what the stage still has to do for its child. */
struct errands {
  bool pid_wanted;
  int host_hooks;
  const char *agent;
};

enum { HOOK_HERE, HOOK_ON_HOST };

static struct errands errands_of(struct cursor rest) {
  struct errands errands = {0};
  struct record r;
  while (record_next(&rest, &r) > 0) {
    if (r.code == OP_HOOK) errands.pid_wanted = true;
    if (r.code == OP_HOOK && r.i[1] == HOOK_ON_HOST) errands.host_hooks++;
    if (r.code == OP_SECCOMP && r.b[1].length) errands.agent = r.b[1].bytes;
  }
  errands.pid_wanted |= errands.agent != NULL;
  return errands;
}

static int connect_agent(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

static int write_map(int pid, const char *name, struct blob map) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = write(fd, map.bytes, map.length) == (ssize_t)map.length ? 0 : -errno;
  close(fd);
  return error;
}

/* The child's first message from the stage: the error of its mapping, and its pid. */
struct greeting {
  int32_t error, pid;
};

/* One host hook after the other, each named by its index among the operations. Ends when the child closes its end. */
static void run_host_hooks(struct run *run, int pair, int pid) {
  uint32_t index;
  while (recv(pair, &index, sizeof index, 0) == (ssize_t)sizeof index) {
    struct cursor at = run->rest;
    struct record r;
    uint32_t n = run->index;
    int error = -EPROTO;
    while (record_next(&at, &r) > 0)
      if (++n == index) error = hook_run(run, &r, pid);
    struct hook_answer answer = {.error = error};
    memcpy(answer.text, run->text, sizeof answer.text);
    if (send(pair, &answer, sizeof answer, MSG_NOSIGNAL) < 0) return;
  }
}

static _Noreturn void parent_of_clone(struct run *run, const struct record *r, int pair, int pid, int pidfd) {
  struct greeting greeting = {.pid = pid};
  if (r->b[0].length) greeting.error = write_map(pid, "uid_map", r->b[0]);
  if (greeting.error == 0 && r->b[1].length) greeting.error = write_map(pid, "gid_map", r->b[1]);
  int told = stage_tell_cloned(run, pid, pidfd);
  close(run->supervisor); /* its closing is how the supervisor learns of execve */
  close(pidfd);
  if (pair >= 0 && told == 0) {
    send(pair, &greeting, sizeof greeting, MSG_NOSIGNAL);
    run_host_hooks(run, pair, pid);
  }
  _exit(0);
}

static int child_of_clone(struct run *run, const struct record *r, struct errands errands, int pair) {
  run->cloned = true;
  if (run->proc >= 0) close(run->proc); /* another pid namespace's */
  run->proc = -1;
  if (pair < 0) return 0;
  struct greeting greeting;
  if (recv(pair, &greeting, sizeof greeting, 0) != (ssize_t)sizeof greeting) return -ECANCELED;
  run->host_pid = greeting.pid;
  if (errands.host_hooks) run->host_side = pair;
  else close(pair);
  if (greeting.error || r->b[0].length == 0) return greeting.error;
  if (setgroups(0, NULL) && errno != EPERM) return -errno; /* EPERM: setgroups is denied in this user namespace */
  if (setresgid(0, 0, 0) || setresuid(0, 0, 0)) return -errno;
  /* Nobody else is in a new pid namespace yet; and files of /proc/self belong to us only when dumpable. */
  if (r->i[0] & CLONE_NEWPID) prctl(PR_SET_DUMPABLE, 1);
  return 0;
}

static int clone_process(struct run *run, const struct record *r, int *pidfd) {
  struct clone_args arguments = {.flags = r->i[0] | CLONE_PIDFD | CLONE_PARENT, .pidfd = (uint64_t)(uintptr_t)pidfd};
  if (r->i[1] != NO_SLOT) {
    int cgroup = slot_fd(run, r->i[1]);
    if (cgroup < 0) return cgroup;
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = (uint64_t)cgroup;
  }
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  return pid < 0 ? -errno : (int)pid;
}

/* CLONE_PARENT: the child is our supervisor's, which survives us. What follows runs in it. */
int op_clone(struct run *run, const struct record *r) {
  if (run->supervisor < 0 || run->cloned) return run_fail(run, -EINVAL, "clone belongs into a stage, once");
  struct errands errands = errands_of(run->rest);
  int pair[2] = {-1, -1}, pidfd = -1;
  if (errands.agent && (run->listener = connect_agent(errands.agent)) < 0) return run_fail(run, run->listener, "connect to %s", errands.agent);
  if ((errands.pid_wanted || r->b[0].length) && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return -errno;
  int pid = clone_process(run, r, &pidfd);
  if (pid == 0) {
    if (pair[0] >= 0) close(pair[0]);
    return child_of_clone(run, r, errands, pair[1]);
  }
  if (pair[1] >= 0) close(pair[1]);
  if (pid > 0) parent_of_clone(run, r, pair[0], pid, pidfd);
  if (pair[0] >= 0) close(pair[0]);
  return namespaces_refused(run, pid, r->i[0]);
}

/* -- commands and hooks --------------------------------------------------------------------------------------------- */

int op_command(struct run *run, const struct record *r) {
  struct command command = {.argv = r->b[0], .envp = r->b[1], .input = r->b[2], .timeout_ms = r->i[0]};
  int error = command_run(&command);
  if (error == 0) {
    uint32_t head[2] = {(uint32_t)command.status, command.output[0].length};
    error = run_output3(run, (struct blob){(const char *)head, sizeof head}, command.output[0], command.output[1]);
  }
  if (error == 0 && r->i[1] && command.status) error = run_fail(run, -ECANCELED, "%.*s", (int)command.output[1].length, command.output[1].bytes);
  command_close(&command);
  return error;
}

static int host_hook(struct run *run) {
  struct hook_answer answer;
  if (send(run->host_side, &run->index, sizeof run->index, MSG_NOSIGNAL) < 0) return -errno;
  if (recv(run->host_side, &answer, sizeof answer, 0) != (ssize_t)sizeof answer) return -ECANCELED;
  if (answer.error) run_fail(run, answer.error, "%.*s", (int)sizeof answer.text - 1, answer.text);
  if (errands_of(run->rest).host_hooks == 0) {
    close(run->host_side);
    run->host_side = -1;
  }
  return answer.error;
}

int op_hook(struct run *run, const struct record *r) {
  return r->i[1] == HOOK_ON_HOST && run->host_side >= 0 ? host_hook(run) : hook_run(run, r, run->host_pid);
}
