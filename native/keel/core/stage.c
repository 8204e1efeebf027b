#define _GNU_SOURCE
#include "stage.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "child.h"

/* One message: a kind, a number or two, bytes, at most one descriptor. Long bytes come in several messages. */
enum { CLONED = 'P', CONSOLE = 'C', STEPS = 'S', OUTPUTS = 'O', READY = 'R', FAILED = 'F' };
enum { CHUNK = 32 * 1024 };

struct message_head {
  uint32_t kind, index;
  int32_t error, pid;
};

static int tell(int fd, struct message_head head, const void *bytes, size_t length, int pass) {
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)(uintptr_t)bytes, length}};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr m = {.msg_iov = parts, .msg_iovlen = length ? 2 : 1};
  if (pass >= 0) {
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(c), &pass, sizeof pass);
  }
  ssize_t n;
  while ((n = sendmsg(fd, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR) {}
  return n < 0 ? -errno : 0;
}

static int tell_bytes(int fd, uint32_t kind, const void *bytes, size_t length) {
  for (size_t at = 0; at < length; at += CHUNK) {
    size_t n = length - at < CHUNK ? length - at : CHUNK;
    int error = tell(fd, (struct message_head){.kind = kind}, (const char *)bytes + at, n, -1);
    if (error) return error;
  }
  return 0;
}

int stage_tell_cloned(struct run *run, int pid, int pidfd) {
  return tell(run->supervisor, (struct message_head){.kind = CLONED, .pid = pid}, NULL, 0, pidfd);
}

int stage_tell_console(struct run *run, int master) {
  return tell(run->supervisor, (struct message_head){.kind = CONSOLE}, NULL, 0, master);
}

static int tell_results(struct run *run) {
  int error = tell_bytes(run->supervisor, STEPS, run->steps, run->count * sizeof *run->steps);
  return error ? error : tell_bytes(run->supervisor, OUTPUTS, run->outputs, run->outputs_length);
}

int stage_tell_ready(struct run *run) {
  int error = tell_results(run);
  if (error == 0) error = tell(run->supervisor, (struct message_head){.kind = READY, .index = run->foreign}, NULL, 0, -1);
  run->ready = error == 0;
  return error;
}

int stage_await_start(struct run *run) {
  char byte;
  ssize_t n;
  while ((n = recv(run->supervisor, &byte, 1, 0)) < 0 && errno == EINTR) {}
  return n == 1 ? 0 : -ECANCELED; /* nobody is left who could start it */
}

static void tell_failure(struct run *run) {
  if (!run->ready) tell_results(run);
  struct message_head head = {.kind = FAILED, .index = run->failed_index, .error = run->error};
  tell(run->supervisor, head, run->text, strlen(run->text), -1);
}

static _Noreturn void stage_child(int supervisor, const struct stage_request *request) {
  struct run run;
  int error = run_init(&run, request->operations);
  run.supervisor = supervisor;
  run.init_pidfd = request->init_pidfd;
  /* A process that joins a container must not be open to its ptrace before execve (CVE-2016-9962). */
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NAME, "keel-init");
  child_default_signals();
  if (error == 0) error = child_take_stdio(request->stdio);
  int keep[MOST_PRESERVED + 2], kept = request->preserved;
  if (error == 0 && kept) error = child_take_more(PRESERVED_FROM, kept, (int *const[]){&run.supervisor, &run.init_pidfd}, 2);
  for (int i = 0; i < kept; i++) keep[i] = 3 + i;
  keep[kept] = run.supervisor;
  keep[kept + 1] = run.init_pidfd;
  child_keep_only(keep, (size_t)kept + 2);
  if (error == 0) error = plan_run(&run, request->operations);
  else run.error = -error;
  if (error == 0 && run.foreign) _exit(0);
  tell_failure(&run); /* a plan that succeeds ends in execve, or in what another runtime has started */
  _exit(error ? 1 : 0);
}

int stage_begin(struct stage *stage, const struct stage_request *request) {
  *stage = (struct stage){.fd = -1, .pidfd = -1, .master = -1, .failed_index = NO_INDEX, .steps.bytes = "", .outputs.bytes = "", .message.bytes = ""};
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return -errno;
  pid_t child = fork();
  if (child == 0) {
    close(pair[0]);
    stage_child(pair[1], request);
  }
  int error = child < 0 ? -errno : 0;
  close(pair[1]);
  if (error) {
    close(pair[0]);
    return error;
  }
  stage->fd = pair[0];
  stage->child = child;
  return 0;
}

void stage_adopt(struct stage *stage, int fd, int pid) {
  *stage = (struct stage){.fd = fd, .pid = pid, .pidfd = -1, .master = -1, .ready = true, .failed_index = NO_INDEX, .steps.bytes = "", .outputs.bytes = "", .message.bytes = ""};
}

int stage_go(struct stage *stage) {
  char byte = 1;
  return send(stage->fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

void stage_close(struct stage *stage) {
  if (stage->fd >= 0) close(stage->fd);
  if (stage->pidfd >= 0) close(stage->pidfd);
  if (stage->master >= 0) close(stage->master);
  for (int i = 0; i < 3; i++) free(stage->owned[i]);
  *stage = (struct stage){.fd = -1, .pidfd = -1, .master = -1, .failed_index = NO_INDEX, .steps.bytes = "", .outputs.bytes = "", .message.bytes = ""};
}

static int append(struct stage *stage, int which, struct blob *blob, struct blob more) {
  if (more.length == 0) return 0;
  char *grown = realloc(stage->owned[which], blob->length + more.length);
  if (!grown) return -ENOMEM;
  memcpy(grown + blob->length, more.bytes, more.length);
  stage->owned[which] = grown;
  *blob = (struct blob){grown, blob->length + more.length};
  return 0;
}

static int passed_descriptor(struct msghdr *m) {
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

static void on_message(struct stage *stage, struct message_head head, struct blob bytes, int passed) {
  switch (head.kind) {
    case CLONED:
      if (stage->pidfd >= 0) close(stage->pidfd);
      stage->pid = head.pid;
      stage->pidfd = passed;
      return;
    case CONSOLE: stage->master = passed; return;
    case STEPS: append(stage, 0, &stage->steps, bytes); return;
    case OUTPUTS: append(stage, 1, &stage->outputs, bytes); return;
    case READY:
      stage->ready = true;
      stage->foreign = head.index != 0;
      return;
    case FAILED:
      stage->failed_index = head.index;
      stage->error = head.error ? head.error : ECANCELED;
      append(stage, 2, &stage->message, bytes);
      return;
    default:
      if (passed >= 0) close(passed);
  }
}

/* Takes one message. 1: taken; 0: none yet; -1: the other side has closed. */
static int take_message(struct stage *stage) {
  char buffer[CHUNK], control[CMSG_SPACE(sizeof(int))];
  struct message_head head;
  struct iovec parts[2] = {{&head, sizeof head}, {buffer, sizeof buffer}};
  struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(stage->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n < (ssize_t)sizeof head) return -1;
  on_message(stage, head, (struct blob){buffer, (uint32_t)((size_t)n - sizeof head)}, passed_descriptor(&m));
  return 1;
}

/* READY is told once: when the process is known and has said so. */
enum stage_progress stage_on_readable(struct stage *stage) {
  bool was_ready = stage->ready && stage->pid;
  int got;
  while ((got = take_message(stage)) > 0) {
    if (stage->error) return STAGE_FAILED;
    if (!was_ready && stage->ready && stage->pid) return STAGE_READY;
  }
  if (got == 0) return STAGE_PENDING;
  if (was_ready) return STAGE_EXECUTED;
  stage->error = ECHILD; /* it died without a word: killed, or out of memory */
  return STAGE_FAILED;
}
