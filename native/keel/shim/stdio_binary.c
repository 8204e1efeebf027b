#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shim_parts.h"
#include "stdio_binary.h"

enum { READY_TIMEOUT_MS = 10000, MAX_ARGUMENTS = 64, URI_BYTES = 4096 };

static int other_stream = -1;

static int from_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %xx and, in a query, "+". In place. */
static void unescape(char *text, bool query) {
  char *out = text;
  for (; *text; text++) {
    int high, low;
    if (*text == '%' && (high = from_hex(text[1])) >= 0 && (low = from_hex(text[2])) >= 0) {
      *out++ = (char)(high << 4 | low);
      text += 2;
    } else {
      *out++ = query && *text == '+' ? ' ' : *text;
    }
  }
  *out = 0;
}

/* "/path?a=b&c" -> {path, "a", "b", "c", NULL}. */
static int arguments(char *path, char *argv[MAX_ARGUMENTS]) {
  int count = 0;
  argv[count++] = path;
  char *query = strchr(path, '?');
  if (query) *query++ = 0;
  unescape(path, false);
  for (char *pair = query ? strtok(query, "&") : NULL; pair; pair = strtok(NULL, "&")) {
    char *value = strchr(pair, '=');
    if (value) *value++ = 0;
    if (count + 3 > MAX_ARGUMENTS) return -E2BIG;
    unescape(pair, true);
    argv[count++] = pair;
    if (value && *value) {
      unescape(value, true);
      argv[count++] = value;
    }
  }
  argv[count] = NULL;
  return path[0] == '/' ? 0 : -EINVAL;
}

/* In the child. Descriptors 3, 4, 5: stdout, stderr, and one to be closed when ready. */
static _Noreturn void become_logger(char **argv, int out, int err, int ready) {
  int from[3] = {out, err, ready};
  for (int i = 0; i < 3; i++) from[i] = fcntl(from[i], F_DUPFD, 16);
  for (int i = 0; i < 3; i++)
    if (dup2(from[i], 3 + i) < 0) _exit(126);
  int null = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3 && null >= 0; i++) dup2(null, i);
  close_range(6, ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setenv("CONTAINER_ID", shim.config->id, 1);
  setenv("CONTAINER_NAMESPACE", shim.config->namespace, 1);
  execv(argv[0], argv);
  _exit(127);
}

/* The logger says that it reads by closing its end (or writing to it). */
static int await_ready(int fd) {
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
  int n = poll(&poll_fd, 1, READY_TIMEOUT_MS);
  close(fd);
  return n > 0 ? 0 : -ETIMEDOUT;
}

int binary_sink(struct blob uri, uint8_t kind) {
  if (kind == 2 && other_stream >= 0) {
    int fd = other_stream;
    other_stream = -1;
    return fd;
  }
  static const char scheme[] = "binary://";
  char text[URI_BYTES], *argv[MAX_ARGUMENTS];
  if (uri.length - (sizeof scheme - 1) >= sizeof text) return -ENAMETOOLONG;
  memcpy(text, uri.bytes + sizeof scheme - 1, uri.length - (sizeof scheme - 1));
  text[uri.length - (sizeof scheme - 1)] = 0;
  int error = arguments(text, argv);
  if (error) return error;
  if (access(argv[0], X_OK)) return -errno;
  int out[2], err[2], ready[2];
  if (pipe2(out, O_CLOEXEC)) return -errno;
  if (pipe2(err, O_CLOEXEC) || pipe2(ready, O_CLOEXEC)) return -errno; /* the shim that meets this limit ends */
  pid_t pid = fork();
  if (pid == 0) become_logger(argv, out[0], err[0], ready[1]);
  error = pid < 0 ? -errno : 0;
  close(out[0]);
  close(err[0]);
  close(ready[1]);
  if (error == 0) error = await_ready(ready[0]);
  else close(ready[0]);
  if (error) {
    close(out[1]);
    close(err[1]);
    return error;
  }
  if (other_stream >= 0) close(other_stream);
  other_stream = err[1];
  return out[1];
}
