/* The ends of a process's stdin, stdout and stderr, from the URIs the daemon gave; and what pause keeps of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shim_parts.h"
#include "stdio_binary.h"

enum { PATH_BYTES = 1024 };

static bool begins(struct blob uri, const char *prefix) {
  size_t n = strlen(prefix);
  return uri.length >= n && memcmp(uri.bytes, prefix, n) == 0;
}

/* The path of scheme://path, or of a bare path. -EINVAL for anything else. */
static int path_of(struct blob uri, const char *scheme, char out[PATH_BYTES]) {
  size_t skip = uri.length && uri.bytes[0] == '/' ? 0 : strlen(scheme);
  if (uri.length - skip >= PATH_BYTES) return -ENAMETOOLONG;
  memcpy(out, uri.bytes + skip, uri.length - skip);
  out[uri.length - skip] = 0;
  return out[0] == '/' ? 0 : -EINVAL;
}

static int own(int fd) { return fd < 0 ? -errno : fd; }

static int pipe_pair(int *reader, int *writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return -errno;
  *reader = ends[0];
  *writer = ends[1];
  return 0;
}

static void make_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* A FIFO is opened at both ends: no waiting for a reader, no broken pipe when it leaves. */
static int open_sink(struct blob uri, char path[PATH_BYTES]) {
  if (begins(uri, "file://")) {
    int error = path_of(uri, "file://", path);
    return error ? error : own(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  }
  if (!begins(uri, "fifo://") && !begins(uri, "/")) return -EINVAL;
  int error = path_of(uri, "fifo://", path);
  if (error) return error;
  int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) || !S_ISFIFO(st.st_mode)) {
    error = fd < 0 ? -errno : -EINVAL;
    if (fd >= 0) close(fd);
    return error;
  }
  return fd;
}

static int open_out_pipe(struct source *s, int *theirs) {
  if (s->process->slot->terminal) return 0;
  int error = pipe_pair(&s->watch.fd, theirs);
  if (error == 0) make_nonblocking(s->watch.fd);
  return error;
}

static int open_out(struct source *s, struct blob uri, int *theirs) {
  struct process *p = s->process;
  bool terminal = p->slot->terminal;
  uint32_t *sink = &p->slot->sinks[s->kind - 1];
  char path[PATH_BYTES];
  *sink = SINK_NONE;
  if (uri.length == 0) {
    if (terminal) return 0;
    return (*theirs = own(open("/dev/null", O_WRONLY | O_CLOEXEC))) < 0 ? *theirs : 0;
  }
  if (begins(uri, "pipe:")) {
    *sink = SINK_FAN_OUT;
    if (!*p->slot->exec_id && *shim.log.path) s->lines = &shim.shared->lines[s->kind - 1];
    return open_out_pipe(s, theirs);
  }
  int fd;
  if (begins(uri, "binary://")) fd = binary_sink(uri, s->kind);
  else fd = open_sink(uri, path);
  if (fd < 0) return fd;
  if (!terminal && !begins(uri, "fifo://") && !begins(uri, "/")) {
    *sink = SINK_DIRECT; /* a file or a logger's pipe: the process writes to it itself */
    *theirs = fd;
    return 0;
  }
  *sink = SINK_FILE;
  make_nonblocking(fd);
  s->sink.fd = fd;
  return open_out_pipe(s, theirs);
}

static int open_in(struct process *p, struct blob uri, int *theirs) {
  bool terminal = p->slot->terminal;
  if (uri.length == 0) {
    if (terminal) return 0;
    return (*theirs = own(open("/dev/null", O_RDONLY | O_CLOEXEC))) < 0 ? *theirs : 0;
  }
  if (!begins(uri, "pipe:")) {
    char path[PATH_BYTES];
    if (!begins(uri, "fifo://") && !begins(uri, "/")) return -EINVAL;
    int error = path_of(uri, "fifo://", path);
    if (error) return error;
    p->in.source.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (p->in.source.fd < 0) return -errno;
  }
  if (terminal) return 0;
  int error = pipe_pair(theirs, &p->in.sink.fd);
  if (error == 0) make_nonblocking(p->in.sink.fd);
  return error;
}

void stdio_reset(struct process *p) {
  p->in.sink.fd = p->in.source.fd = -1;
  for (int i = 0; i < 2; i++) {
    p->out[i].process = p;
    p->out[i].kind = (uint8_t)(i + 1);
    p->out[i].watch.fd = p->out[i].sink.fd = -1;
  }
}

int stdio_open(struct process *p, const struct stdio_request *request, int theirs[3]) {
  struct slot *slot = p->slot;
  slot->terminal = request->terminal;
  slot->stdin_once = request->stdin_once;
  slot->spill_bytes = request->spill_bytes;
  if (request->spill_dir.length >= sizeof slot->spill_dir) return -ENAMETOOLONG;
  memcpy(slot->spill_dir, request->spill_dir.bytes, request->spill_dir.length);
  theirs[0] = theirs[1] = theirs[2] = -1;
  int error = open_in(p, request->in, &theirs[0]);
  if (error == 0) error = open_out(&p->out[0], request->out, &theirs[1]);
  if (error == 0 && !slot->terminal) error = open_out(&p->out[1], request->err, &theirs[2]);
  for (int i = 0; i < 3 && error; i++) {
    if (theirs[i] >= 0) close(theirs[i]);
    theirs[i] = -1;
  }
  if (error) stdio_close(p);
  return error;
}

int stdio_take_master(struct process *p, int master) {
  make_nonblocking(master);
  int writer = fcntl(master, F_DUPFD_CLOEXEC, 3);
  if (writer < 0) return -errno;
  p->out[0].watch.fd = master;
  p->in.sink.fd = writer;
  return 0;
}

int stdio_resize(struct process *p, uint16_t rows, uint16_t columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  if (!p->slot->terminal) return -ENOTTY;
  p->slot->rows = rows;
  p->slot->columns = columns;
  if (p->out[0].watch.fd < 0) return 0; /* no pty yet: it gets this size when it comes */
  return ioctl(p->out[0].watch.fd, TIOCSWINSZ, &size) ? -errno : 0;
}

void stdio_hold(const struct process *p) {
  uint32_t n = p->number;
  if (!p->slot->terminal) hold_keep(n, HELD_STDIN, p->in.sink.fd);
  hold_keep(n, HELD_SOURCE_IN, p->in.source.fd);
  for (uint32_t i = 0; i < 2; i++) {
    hold_keep(n, HELD_STDOUT + i, p->out[i].watch.fd);
    hold_keep(n, HELD_SINK_OUT + i, p->out[i].sink.fd);
  }
}

void stdio_restore(struct process *p, uint32_t what, int fd) {
  switch (what) {
    case HELD_STDIN: p->in.sink.fd = fd; break;
    case HELD_SOURCE_IN: p->in.source.fd = fd; break;
    case HELD_STDOUT: case HELD_STDERR: p->out[what - HELD_STDOUT].watch.fd = fd; break;
    case HELD_SINK_OUT: case HELD_SINK_ERR: p->out[what - HELD_SINK_OUT].sink.fd = fd; break;
  }
}

void stdio_restored(struct process *p) {
  if (p->slot->terminal && p->out[0].watch.fd >= 0) p->in.sink.fd = fcntl(p->out[0].watch.fd, F_DUPFD_CLOEXEC, 3);
  for (int i = 0; i < 2; i++) {
    if (p->slot->sinks[i] != SINK_FAN_OUT || *p->slot->exec_id || !*shim.log.path) continue;
    struct source *s = &p->out[i];
    s->lines = &shim.shared->lines[i];
    log_recover(&shim.log, s->lines);
    log_lines(&shim.log, s->lines, i ? "stderr" : "stdout", p->slot->ended[i]);
  }
}

void stdio_close(struct process *p) {
  if (p->in.sink.fd >= 0) feed_close(p);
  watch_close(&p->in.source);
  watch_close(&p->in.sink);
  source_abandon(p);
}
