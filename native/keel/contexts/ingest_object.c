#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ingest.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

enum { SHELF_BYTES = 2, ATTRIBUTE_DIGITS = 16 };

int objects_open(struct objects *o, const char *path) {
  memset(o, 0, sizeof *o);
  o->memory = malloc(OBJECT_MEMORY);
  o->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return !o->memory ? -ENOMEM : o->directory < 0 ? -errno : 0;
}

void objects_close(struct objects *o) {
  if (o->directory >= 0) close(o->directory);
  free(o->memory);
}

void object_path(const struct index_entry *e, char name[OBJECT_PATH_BYTES]) {
  char text[128], attributes[2 * SHA256_BYTES + 1];
  uint8_t digest[SHA256_BYTES];
  struct sha256 hash;
  long long ns = (long long)e->seconds * 1000000000LL + e->nanoseconds;
  int length = snprintf(text, sizeof text, "%o %u %u %lld", e->mode, e->uid, e->gid, ns);
  sha256_init(&hash);
  sha256_add(&hash, text, (size_t)length);
  sha256_end(&hash, digest);
  sha256_text(digest, attributes);
  snprintf(name, OBJECT_PATH_BYTES, "%.*s/%s-%.*s", SHELF_BYTES, e->sha256, e->sha256, ATTRIBUTE_DIGITS, attributes);
}

static int make_shelf(struct objects *o, const char *name) {
  unsigned shelf = 0;
  char path[SHELF_BYTES + 1] = {name[0], name[1], 0};
  sscanf(path, "%2x", &shelf);
  if (o->shelves[shelf]) return 0;
  if (mkdirat(o->directory, path, 0700) && errno != EEXIST) return -errno;
  o->shelves[shelf] = true;
  return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = write(fd, bytes + done, length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    done += (size_t)n;
  }
  return 0;
}

/* A new file below a name that no object has. */
static int begin(struct objects *o, char name[OBJECT_PATH_BYTES]) {
  for (;;) {
    snprintf(name, OBJECT_PATH_BYTES, "incoming-%d-%llu", getpid(), (unsigned long long)o->made++);
    int fd = openat(o->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EEXIST) return fd < 0 ? -errno : fd;
  }
}

/* Gets its attributes and its name, unless another was first. Closes it; of a failure nothing is left. */
static int finish(struct objects *o, const struct index_entry *e, int fd, const char *temporary) {
  char name[OBJECT_PATH_BYTES];
  const struct timespec times[2] = {{e->seconds, e->nanoseconds}, {e->seconds, e->nanoseconds}};
  object_path(e, name);
  int error = fchown(fd, e->uid, e->gid) || fchmod(fd, e->mode) || futimens(fd, times) ? -errno : make_shelf(o, name);
  if (close(fd) && error == 0) error = -errno;
  if (error == 0 && syscall(SYS_renameat2, o->directory, temporary, o->directory, name, RENAME_NOREPLACE) == 0) return 0;
  if (error == 0 && errno != EEXIST) error = -errno;
  unlinkat(o->directory, temporary, 0);
  return error;
}

static bool is_there(struct objects *o, const struct index_entry *e) {
  char name[OBJECT_PATH_BYTES];
  object_path(e, name);
  return faccessat(o->directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void settle_hash(struct sha256 *hash, struct index_entry *e) {
  uint8_t digest[SHA256_BYTES];
  sha256_end(hash, digest);
  sha256_text(digest, e->sha256);
}

/* The first e->size bytes of the memory: what is there already is never written. */
static int keep_memory(struct objects *o, struct index_entry *e) {
  struct sha256 hash;
  sha256_init(&hash);
  sha256_add(&hash, o->memory, e->size);
  settle_hash(&hash, e);
  if (is_there(o, e)) return 0;
  char temporary[OBJECT_PATH_BYTES];
  int fd = begin(o, temporary), error = fd < 0 ? fd : write_all(fd, o->memory, e->size);
  if (fd < 0) return fd;
  if (error == 0) return finish(o, e, fd, temporary);
  close(fd);
  unlinkat(o->directory, temporary, 0);
  return error;
}

static int take_small(struct objects *o, struct tar *tar, const struct tar_entry *from, struct index_entry *e) {
  memset(o->memory, 0, e->size);
  for (size_t i = 0; i < from->extent_count; i++) {
    uint64_t at = from->extents[i].offset, end = at + from->extents[i].length;
    while (at < end) {
      const uint8_t *bytes;
      ssize_t n = tar_data(tar, &bytes);
      if (n <= 0) return n < 0 ? (int)n : -EBADMSG;
      size_t size = (uint64_t)n < end - at ? (size_t)n : (size_t)(end - at);
      memcpy(o->memory + at, bytes, size);
      tar_take(tar, size);
      at += size;
    }
  }
  return keep_memory(o, e);
}

static void hash_zeros(struct sha256 *hash, uint8_t *room, uint64_t count) {
  memset(room, 0, OBJECT_MEMORY);
  for (; count; count -= count < OBJECT_MEMORY ? count : OBJECT_MEMORY) sha256_add(hash, room, count < OBJECT_MEMORY ? count : OBJECT_MEMORY);
}

static bool has_too_many_holes(const struct objects *o, const struct tar_entry *from) {
  uint64_t stored = 0;
  for (size_t i = 0; i < from->extent_count; i++) stored += from->extents[i].length;
  return from->size > stored && from->size - stored > o->most_holes;
}

/* Hashed while it is written: whether it is there shows at its end. Holes stay holes. */
static int take_large(struct objects *o, struct tar *tar, const struct tar_entry *from, struct index_entry *e) {
  char temporary[OBJECT_PATH_BYTES];
  if (has_too_many_holes(o, from)) return -EFBIG;
  int fd = begin(o, temporary), error = 0;
  if (fd < 0) return fd;
  struct sha256 hash;
  uint64_t at = 0;
  sha256_init(&hash);
  for (size_t i = 0; error == 0 && i < from->extent_count; i++) {
    uint64_t end = from->extents[i].offset + from->extents[i].length;
    if (from->extents[i].offset > at) {
      hash_zeros(&hash, o->memory, from->extents[i].offset - at);
      at = from->extents[i].offset;
      if (lseek(fd, (off_t)at, SEEK_SET) < 0) error = -errno;
    }
    while (error == 0 && at < end) {
      const uint8_t *bytes;
      ssize_t n = tar_data(tar, &bytes);
      size_t size = n > 0 && (uint64_t)n < end - at ? (size_t)n : (size_t)(end - at);
      error = n <= 0 ? (n < 0 ? (int)n : -EBADMSG) : write_all(fd, bytes, size);
      if (error) break;
      sha256_add(&hash, bytes, size);
      tar_take(tar, size);
      at += size;
    }
  }
  if (error == 0 && at < e->size) {
    hash_zeros(&hash, o->memory, e->size - at);
    if (ftruncate(fd, (off_t)e->size)) error = -errno;
  }
  settle_hash(&hash, e);
  if (error == 0 && !is_there(o, e)) return finish(o, e, fd, temporary);
  close(fd);
  unlinkat(o->directory, temporary, 0);
  return error;
}

/* As much as fits into the memory, less only at the file's end. Bytes or -errno. */
static ssize_t read_memory(struct objects *o, int from) {
  size_t have = 0;
  while (have < OBJECT_MEMORY) {
    ssize_t n = read(from, o->memory + have, OBJECT_MEMORY - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) break;
    have += (size_t)n;
  }
  return (ssize_t)have;
}

static bool is_zeros(const uint8_t *bytes, size_t length) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0; }

/* The memory is full of the file's beginning. Whether it is there shows at its end; memories of zeros become holes. */
static int copy_large(struct objects *o, int from, int to, struct index_entry *e) {
  struct sha256 hash;
  ssize_t have = OBJECT_MEMORY;
  sha256_init(&hash);
  for (e->size = 0; have > 0; have = read_memory(o, from)) {
    sha256_add(&hash, o->memory, (size_t)have);
    e->size += (uint64_t)have;
    int error = is_zeros(o->memory, (size_t)have) ? (lseek(to, have, SEEK_CUR) < 0 ? -errno : 0) : write_all(to, o->memory, (size_t)have);
    if (error) return error;
  }
  settle_hash(&hash, e);
  return have < 0 ? (int)have : ftruncate(to, (off_t)e->size) ? -errno : 0;
}

int objects_take_file(struct objects *o, int from, struct index_entry *e) {
  ssize_t have = read_memory(o, from);
  e->size = have < 0 ? 0 : (uint64_t)have;
  if (have < OBJECT_MEMORY) return have < 0 ? (int)have : keep_memory(o, e);
  char temporary[OBJECT_PATH_BYTES];
  int fd = begin(o, temporary);
  if (fd < 0) return fd;
  int error = copy_large(o, from, fd, e);
  if (error == 0 && !is_there(o, e)) return finish(o, e, fd, temporary);
  close(fd);
  unlinkat(o->directory, temporary, 0);
  return error;
}

int objects_take(struct objects *o, struct tar *tar, const struct tar_entry *from, struct index_entry *e) {
  return e->size <= OBJECT_MEMORY ? take_small(o, tar, from, e) : take_large(o, tar, from, e);
}
