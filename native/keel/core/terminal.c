#define _GNU_SOURCE
#include "terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool have(const struct terminal *t) { return t->master >= 0; }

void terminal_begin(struct terminal *t, int master) {
  *t = (struct terminal){.master = master};
  if (!have(t)) return;
  fcntl(master, F_SETFL, O_NONBLOCK);
  terminal_size(t);
  t->raw = tcgetattr(0, &t->before) == 0;
  if (!t->raw) return;
  struct termios raw = t->before;
  cfmakeraw(&raw);
  tcsetattr(0, TCSANOW, &raw);
}

void terminal_size(const struct terminal *t) {
  struct winsize size;
  if (have(t) && ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(t->master, TIOCSWINSZ, &size);
}

void terminal_poll(const struct terminal *t, struct pollfd fds[TERMINAL_FDS]) {
  bool full = t->from < t->to;
  fds[0] = (struct pollfd){have(t) && !full && !t->input_ended ? 0 : -1, POLLIN, 0};
  fds[1] = (struct pollfd){t->master, (short)(full ? POLLIN | POLLOUT : POLLIN), 0};
}

static bool write_out(const char *bytes, size_t length) {
  while (length) {
    ssize_t n = write(1, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    length -= (size_t)n;
  }
  return true;
}

/* False: nothing more now, or for ever (EIO: no process has the slave open). */
static bool pass_output(struct terminal *t) {
  char bytes[TYPED_BYTES];
  ssize_t n = read(t->master, bytes, sizeof bytes);
  return n > 0 && write_out(bytes, (size_t)n);
}

void terminal_relay(struct terminal *t, const struct pollfd fds[TERMINAL_FDS]) {
  if (!have(t)) return;
  if (fds[0].fd == 0 && fds[0].revents) {
    ssize_t n = read(0, t->typed, sizeof t->typed);
    t->input_ended = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    t->from = 0;
    t->to = n > 0 ? (size_t)n : 0;
  }
  if (t->from < t->to) {
    ssize_t n = write(t->master, t->typed + t->from, t->to - t->from);
    if (n > 0) t->from += (size_t)n;
  }
  if (!(fds[1].revents & (POLLIN | POLLHUP))) return;
  if (pass_output(t) || !(fds[1].revents & POLLHUP)) return;
  close(t->master); /* the process has closed its terminal: it may still run */
  t->master = -1;
}

void terminal_end(struct terminal *t) {
  while (have(t) && pass_output(t)) continue;
  if (t->raw) tcsetattr(0, TCSANOW, &t->before);
}
