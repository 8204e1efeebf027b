/*
 * One loop: frames from stdin, work in forked children, their answers to stdout. It allocates little and frees what it has sent:
 * pause and shim are forks of this process and share its pages.
 */
#define _GNU_SOURCE
#include "serve.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "child.h"
#include "launch.h"
#include "outqueue.h"
#include "plan.h"
#include "ports.h"
#include "relay.h"
#include "reply.h"
#include "shim_inbox.h"
#include "system.h"
#include "title.h"
#include "watch.h"

enum { PLAN = 1, LAUNCH, LOCK, RELAY, UNRELAY, PING, CANCEL, WATCH, PORTS };
enum { PATH_RECORD = 0x115, MOST_LOCKS = 16 };

/* A child at work: what it answers is collected until it closes its socket. */
struct job {
  struct pollable poll;
  struct job *next;
  uint32_t id;
  pid_t pid;
  uint8_t *bytes;
  size_t length;
  bool cancelled;
};

static struct {
  int epoll;
  struct inbox in;
  struct pollable input, output, children;
  struct outqueue out;
  struct job *jobs;
} serve;

static int watch_fd(struct pollable *p, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = p};
  if (epoll_ctl(serve.epoll, EPOLL_CTL_MOD, p->fd, &e) == 0) return 0;
  return epoll_ctl(serve.epoll, EPOLL_CTL_ADD, p->fd, &e) ? -errno : 0;
}

static void flush(void) {
  int left = outqueue_flush(&serve.out, serve.output.fd);
  if (left < 0) _exit(0); /* the daemon has gone */
  watch_fd(&serve.output, left ? EPOLLOUT : 0u);
}

static void on_output(struct pollable *self, uint32_t events) {
  (void)self, (void)events;
  flush();
}

static int send_frame(void *context, uint16_t type, uint32_t id, const uint8_t *payload, size_t length) {
  (void)context;
  int error = outqueue_put(&serve.out, type, id, payload, length);
  if (error == 0) flush();
  return error;
}

static void answer(uint32_t id, int error, const char *text) {
  const struct outcome outcome = outcome_errno(error < 0 ? -error : error, text);
  struct reply_record record = result_record(&outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, id, &record, 1, &size);
  if (frame) outqueue_raw(&serve.out, frame, size);
  free(frame);
  flush();
}

/* -- jobs ------------------------------------------------------------------------------------------------------------ */

static void job_end(struct job *job) {
  for (struct job **at = &serve.jobs; *at; at = &(*at)->next) {
    if (*at != job) continue;
    *at = job->next;
    break;
  }
  if (job->cancelled) answer(job->id, ECANCELED, "cancelled");
  else if (job->length) outqueue_raw(&serve.out, job->bytes, job->length);
  else answer(job->id, ECHILD, "the process at work ended without an answer");
  /* A child that was just forked may still have the descriptor open: closing ours alone would leave it in the epoll set. */
  epoll_ctl(serve.epoll, EPOLL_CTL_DEL, job->poll.fd, NULL);
  close(job->poll.fd);
  free(job->bytes);
  free(job);
  flush();
}

static void on_job(struct pollable *self, uint32_t events) {
  (void)events;
  struct job *job = (struct job *)(void *)self; /* poll is its first member */
  uint8_t piece[16 * 1024];
  ssize_t n = recv(self->fd, piece, sizeof piece, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  uint8_t *grown = n > 0 ? realloc(job->bytes, job->length + (size_t)n) : NULL;
  if (!grown) {
    job_end(job);
    return;
  }
  memcpy(grown + job->length, piece, (size_t)n);
  job->bytes = grown;
  job->length += (size_t)n;
}

/* It must not live on beside the successor of a killed serve: plans of the same daemon do not expect each other. */
static _Noreturn void plan_child(struct cursor payload, int fd, uint32_t id) {
  struct run run;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == 1) _exit(1);
  prctl(PR_SET_NAME, "keel-plan");
  int error = run_init(&run, payload);
  if (error) reply_error(fd, id, -error, "the plan can't be read");
  else plan_run(&run, payload), reply_run(fd, id, &run);
  _exit(0);
}

static int job_start(const struct message *m) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -errno;
  struct job *job = calloc(1, sizeof *job);
  int error = job ? 0 : -ENOMEM;
  pid_t pid = error ? -1 : fork();
  if (pid == 0) {
    int fd = pair[1];
    child_default_signals();
    child_keep_only(&fd, 1); /* the locks above all: they are held as long as serve lives, not longer */
    if (m->type == LAUNCH) launch_child(m->payload, fd, m->id);
    plan_child(m->payload, fd, m->id);
  }
  if (error == 0 && pid < 0) error = -errno;
  close(pair[1]);
  if (error || !job) {
    close(pair[0]);
    free(job);
    return error;
  }
  *job = (struct job){.poll = {on_job, pair[0]}, .next = serve.jobs, .id = m->id, .pid = pid};
  serve.jobs = job;
  return watch_fd(&job->poll, EPOLLIN);
}

static int cancel(uint32_t id) {
  for (struct job *job = serve.jobs; job; job = job->next) {
    if (job->id != id) continue;
    job->cancelled = true;
    kill(job->pid, SIGKILL); /* what it runs dies with it (PR_SET_PDEATHSIG) */
    return 0;
  }
  return -ENOENT;
}

/* -- requests ------------------------------------------------------------------------------------------------------- */

/* Held until serve ends. The descriptor is closed in every child that outlives it (keep_only). */
static int take_lock(const char *path) {
  static int held;
  if (held >= MOST_LOCKS) return -EMFILE;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -errno;
  if (flock(fd, LOCK_EX | LOCK_NB)) {
    int error = -errno;
    close(fd);
    return error;
  }
  held++;
  return 0;
}

static int path_of(struct cursor payload, const char **path) {
  struct record r;
  if (record_next(&payload, &r) <= 0 || r.code != PATH_RECORD || r.blobs < 1 || !blob_is_text(r.b[0])) return -EPROTO;
  *path = r.b[0].bytes;
  return 0;
}

static int start_watch(const struct loop_port *port, const struct message *m) {
  struct cursor at = m->payload;
  struct record r;
  if (record_next(&at, &r) <= 0 || r.code != RECORD_WATCH || r.ints < 2) return -EPROTO;
  return watch_start(port, m->id, r.i[0], r.i[1]);
}

static int handle(const struct loop_port *port, const struct message *m) {
  const char *path = "";
  switch (m->type) {
    case LOCK: return path_of(m->payload, &path) ? -EPROTO : take_lock(path);
    case RELAY: return path_of(m->payload, &path) ? -EPROTO : relay_start(port, m->id, path);
    case UNRELAY: return relay_stop(m->id);
    case PING: return 0;
    case WATCH: return start_watch(port, m);
    case PORTS: return path_of(m->payload, &path) ? -EPROTO : ports_start(path);
    default: return -EPROTO;
  }
}

static void on_request(const struct message *m) {
  static struct loop_port port; /* relays and watches keep a pointer to it */
  port = (struct loop_port){serve.epoll, NULL, send_frame};
  int error;
  if (m->type == EVENT_DATAGRAM) {
    relay_answer(m->id, m->payload); /* an asker that has gone needs no answer */
    return;
  }
  if (m->type == PLAN || m->type == LAUNCH) {
    error = job_start(m);
    if (error) answer(m->id, error, "fork");
    return;
  }
  if (m->type == CANCEL) {
    cancel(m->id); /* the plan's own reply tells; one that has ended has been answered */
    return;
  }
  error = handle(&port, m);
  answer(m->id, error, error == -EPROTO ? "a malformed message" : NULL);
}

static void on_input(struct pollable *self, uint32_t events) {
  (void)events;
  struct message m;
  int got = inbox_read(&serve.in, self->fd, &m);
  if (got == 0) return;
  if (got == -EPROTO) answer(inbox_id(&serve.in), EPROTO, "the message is too long");
  if (got < 0) _exit(got == -EPROTO ? 1 : 0);
  on_request(&m);
  inbox_done(&serve.in);
}

static void on_children(struct pollable *self, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info;
  while (read(self->fd, &info, sizeof info) == (ssize_t)sizeof info) {}
  while (waitpid(-1, NULL, WNOHANG) > 0) {}
}

static int prepare(void) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_SETMASK, &child, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN); /* a Ctrl-C at the daemon's terminal is the daemon's to handle */
  serve.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (serve.epoll < 0) return -errno;
  serve.input = (struct pollable){on_input, fcntl(0, F_DUPFD_CLOEXEC, 3)};
  serve.output = (struct pollable){on_output, fcntl(1, F_DUPFD_CLOEXEC, 3)};
  serve.children = (struct pollable){on_children, signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (serve.input.fd < 0 || serve.output.fd < 0) return -EBADF;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0) return -errno;
  close(null);
  for (int i = 0; i < 2; i++) {
    int fd = i ? serve.output.fd : serve.input.fd;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)) return -errno;
  }
  if (watch_fd(&serve.children, EPOLLIN) || watch_fd(&serve.input, EPOLLIN)) return -errno;
  return 0;
}

int serve_main(int argc, char **argv) {
  (void)argc, (void)argv;
  title_set("keel-serve", "keel serve");
  int error = prepare();
  while (error == 0) {
    struct epoll_event e;
    int n = epoll_wait(serve.epoll, &e, 1, -1);
    if (n < 0 && errno != EINTR) error = -errno;
    struct pollable *p = n == 1 ? e.data.ptr : NULL;
    if (p) p->on(p, e.events);
  }
  return 1;
}
