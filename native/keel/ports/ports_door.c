#define _GNU_SOURCE
#include "ports_door.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "child.h"
#include "ports.h"
#include "ports_parts.h"
#include "title.h"

struct visitor {
  struct pollable poll; /* first */
  struct inbox in;
};

static struct pollable listener = {.fd = -1}, directory = {.fd = -1};
static char socket_path[PATH_MAX];
static int ready_fd = -1;

static void visitor_close(struct visitor *v) {
  close(v->poll.fd);
  inbox_done(&v->in);
  free(v);
}

static void on_visitor(struct pollable *poll, uint32_t events) {
  (void)events;
  struct visitor *v = (struct visitor *)(void *)poll;
  struct message message;
  int got = inbox_read(&v->in, poll->fd, &message);
  if (got == 0) return;
  if (got < 0) {
    visitor_close(v);
    return;
  }
  size_t size = 0;
  uint8_t *frame = ports_on_message(&message, &size);
  int error = frame ? send_whole(poll->fd, frame, size) : -ENOMEM;
  free(frame);
  if (ports_may_end(&message)) {
    unlink(socket_path);
    _exit(0);
  }
  inbox_done(&v->in);
  if (error) visitor_close(v);
}

static void on_listener(struct pollable *poll, uint32_t events) {
  (void)events;
  int fd = accept_own(poll->fd);
  struct visitor *v = fd < 0 ? NULL : calloc(1, sizeof *v);
  if (!v) {
    if (fd >= 0) close(fd);
    return;
  }
  v->poll = (struct pollable){on_visitor, fd};
  if (ports_watch(&v->poll, EPOLLIN)) visitor_close(v);
}

static int listen_again(void) {
  int fd = listen_at(socket_path);
  if (fd < 0) return fd;
  if (listener.fd >= 0) close(listener.fd);
  listener = (struct pollable){on_listener, fd};
  return ports_watch(&listener, EPOLLIN);
}

/* Something in the directory was deleted or moved: was it ours? */
static void on_directory(struct pollable *poll, uint32_t events) {
  (void)events;
  char bytes[4096] __attribute__((aligned(8)));
  struct stat st;
  while (read(poll->fd, bytes, sizeof bytes) > 0) {}
  if (stat(socket_path, &st) && errno == ENOENT) listen_again();
}

static int watch_directory(void) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", socket_path);
  char *slash = strrchr(path, '/');
  if (!slash) return -EINVAL;
  *slash = 0;
  int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return 0; /* too many of them on this host: then a deleted socket stays deleted */
  directory = (struct pollable){on_directory, fd};
  if (inotify_add_watch(fd, *path ? path : "/", IN_DELETE | IN_MOVED_FROM) < 0) return 0;
  return ports_watch(&directory, EPOLLIN);
}

int door_open(const char *path) {
  char lock[PATH_MAX + 8];
  snprintf(socket_path, sizeof socket_path, "%s", path);
  snprintf(lock, sizeof lock, "%s.lock", socket_path);
  char *slash = strrchr(lock, '/');
  if (!slash) return -EINVAL;
  *slash = 0;
  if (*lock && mkdir(lock, 0700) && errno != EEXIST) return -errno;
  *slash = '/';
  int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -errno;
  if (flock(fd, LOCK_EX | LOCK_NB)) return -errno; /* held as long as this process lives */
  int error = listen_again();
  return error ? error : watch_directory();
}

void door_tell_ready(void) {
  if (ready_fd < 0) return;
  const int fine = 0;
  if (write(ready_fd, &fine, sizeof fine) < 0) return; /* whoever started us has gone: we serve the next one */
  close(ready_fd);
  ready_fd = -1;
}

static int answers(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int error = connect(fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
  close(fd);
  return error;
}

static _Noreturn void become(const char *path, int ready) {
  char title[256];
  ready_fd = ready;
  setsid();
  child_default_signals();
  child_keep_only(&ready_fd, 1);
  if (child_take_stdio((const int[]){-1, -1, -1}) == 0 && chdir("/") == 0) {
    snprintf(title, sizeof title, "keel ports %s", path);
    title_set("keel-ports", title);
    int error = ports_loop(path);
    if (ready_fd >= 0 && write(ready_fd, &error, sizeof error) < 0) _exit(2);
  }
  _exit(1);
}

/* Twice forked, so that it is nobody's child here. */
int ports_start(const char *path) {
  int error = answers(path);
  if (error == 0 || error == -ENAMETOOLONG) return error;
  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) return -errno;
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) become(path, ready[1]);
    _exit(0);
  }
  error = child < 0 ? -errno : -ECHILD;
  close(ready[1]);
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  int said;
  if (child > 0 && read(ready[0], &said, sizeof said) == (ssize_t)sizeof said) error = said;
  close(ready[0]);
  return error;
}

int ports_main(int argc, char **argv) {
  if (argc != 2) {
    dprintf(2, "usage: keel ports SOCKET\n");
    return 2;
  }
  char title[256];
  snprintf(title, sizeof title, "keel ports %s", argv[1]);
  title_set("keel-ports", title);
  int error = ports_loop(argv[1]);
  dprintf(2, "keel ports: %s: %s\n", argv[1], strerror(-error));
  return 1;
}
