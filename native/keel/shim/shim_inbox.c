#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "shim_inbox.h"

enum { BACKLOG = 128, RESULT = 0x110, SEND_TIMEOUT_MS = 1000 };

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }
static uint32_t get32(const uint8_t *at) { return get16(at) | (uint32_t)get16(at + 2) << 16; }
static uint8_t *put_bytes(uint8_t *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) *at++ = (uint8_t)(value >> (8 * i));
  return at;
}

/* Reads up to `need`; 1 when complete, 0 when there is no more now. */
static int fill(int fd, uint8_t *into, uint32_t *have, uint32_t need) {
  while (*have < need) {
    ssize_t n = recv(fd, into + *have, need - *have, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? 0 : -errno;
    if (n == 0) return -EPIPE;
    *have += (uint32_t)n;
  }
  return 1;
}

int inbox_read(struct inbox *in, int fd, struct message *message) {
  int got = fill(fd, in->header, &in->got, SOCKET_FRAME_HEADER);
  if (got <= 0) return got;
  in->length = get32(in->header);
  if (in->length > MOST_PAYLOAD) return -EPROTO;
  if (in->length && !in->payload) {
    void *bytes = mmap(NULL, in->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) return -ENOMEM;
    in->payload = bytes;
  }
  got = fill(fd, in->payload, &in->filled, in->length);
  if (got <= 0) return got;
  *message = (struct message){.type = get16(in->header + 4), .flags = get16(in->header + 6), .id = get32(in->header + 8),
                              .payload = {in->payload, in->payload + in->length}};
  return 1;
}

uint32_t inbox_id(const struct inbox *in) { return get32(in->header + 8); }

void inbox_done(struct inbox *in) {
  if (in->payload) munmap(in->payload, in->length);
  memset(in, 0, sizeof *in);
}

static size_t blob_space(uint32_t length) { return ((size_t)length + 4 + 1 + 7) & ~(size_t)7; }

static size_t record_space(const struct reply_record *r) {
  size_t size = 8 + 8u * r->ints;
  for (int i = 0; i < r->blobs; i++) size += blob_space(r->b[i].length);
  return size;
}

static uint8_t *put_record(uint8_t *at, const struct reply_record *r) {
  at = put_bytes(at, r->code, 2);
  *at++ = r->ints;
  *at++ = r->blobs;
  at = put_bytes(at, 0, 4);
  for (int i = 0; i < r->ints; i++) at = put_bytes(at, r->i[i], 8);
  for (int i = 0; i < r->blobs; i++) {
    put_bytes(at, r->b[i].length, 4);
    if (r->b[i].length) memcpy(at + 4, r->b[i].bytes, r->b[i].length);
    at += blob_space(r->b[i].length);
  }
  return at;
}

uint8_t *frame_build(uint16_t type, uint32_t id, const struct reply_record *records, size_t count, size_t *size) {
  size_t length = 0;
  for (size_t i = 0; i < count; i++) length += record_space(&records[i]);
  uint8_t *bytes = length > MOST_PAYLOAD ? NULL : calloc(1, SOCKET_FRAME_HEADER + length);
  if (!bytes) return NULL;
  uint8_t *at = put_bytes(bytes, length, 4);
  at = put_bytes(at, type, 2);
  at = put_bytes(at, 0, 2);
  at = put_bytes(at, id, 4);
  for (size_t i = 0; i < count; i++) at = put_record(at, &records[i]);
  *size = SOCKET_FRAME_HEADER + length;
  return bytes;
}

struct reply_record result_record(const struct outcome *o) {
  return (struct reply_record){
      .code = RESULT, .ints = 5, .blobs = 3,
      .i = {o->failed_index, (uint64_t)o->error, (uint64_t)o->pause_pid, (uint64_t)o->shim_pid, (uint64_t)o->pid},
      .b = {o->steps, o->outputs, o->message}};
}

int send_whole(int fd, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t n = send(fd, bytes + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (n >= 0) done += (size_t)n;
    else if (errno == EAGAIN && poll(&room, 1, SEND_TIMEOUT_MS) == 0) return -ETIMEDOUT;
    else if (errno != EAGAIN && errno != EINTR) return -errno;
  }
  return 0;
}

static int bind_renamed(int fd, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (snprintf(address.sun_path, sizeof address.sun_path, "%s.tmp", path) >= (int)sizeof address.sun_path) return -ENAMETOOLONG;
  unlink(address.sun_path);
  mode_t mask = umask(0177);
  int error = bind(fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
  umask(mask);
  if (error == 0 && listen(fd, BACKLOG)) error = -errno;
  if (error == 0 && rename(address.sun_path, path)) error = -errno;
  if (error) unlink(address.sun_path);
  return error;
}

int listen_at(const char *path) {
  char directory[128];
  if (snprintf(directory, sizeof directory, "%s", path) >= (int)sizeof directory) return -ENAMETOOLONG;
  char *slash = strrchr(directory, '/');
  if (!slash) return -EINVAL;
  *slash = 0;
  if (mkdir(directory, 0700) && errno != EEXIST) return -errno;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int error = bind_renamed(fd, path);
  if (error) close(fd);
  return error ? error : fd;
}

int accept_own(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return -errno;
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid())) return fd;
  close(fd);
  return -EPERM;
}
