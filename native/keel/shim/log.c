/* The log file: batches, rotation, and what happens when the disk is full or the writer is killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "log.h"

enum { LOG_OUT_BYTES = 256 * 1024 };

static uint64_t wall_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_span(struct line_buffer *b, uint32_t filled, uint32_t done) {
  atomic_store(&b->span, (uint64_t)filled << 32 | done);
}

static int log_fail(struct log *log, int error) {
  log->error = error;
  return -error;
}

static int log_adopt(struct log *log, int fd) {
  struct stat st;
  if (fstat(fd, &st)) {
    int error = errno;
    close(fd);
    return log_fail(log, error);
  }
  if (log->fd >= 0) close(log->fd);
  log->fd = fd;
  log->size = (uint64_t)st.st_size;
  log->inode = st.st_ino;
  return 0;
}

static int log_reopen(struct log *log) {
  int fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  return fd < 0 ? log_fail(log, errno) : log_adopt(log, fd);
}

int log_open(struct log *log, const char *path, uint64_t max_bytes, uint32_t max_files) {
  memset(log, 0, sizeof *log);
  log->fd = -1;
  if (strlen(path) >= sizeof log->path - 16) return -ENAMETOOLONG; /* room for ".next" and a number */
  memcpy(log->path, path, strlen(path) + 1);
  log->max_bytes = max_bytes;
  log->max_files = max_files ? max_files : 1;
  return *path ? log_reopen(log) : 0;
}

static void numbered(const struct log *log, uint32_t n, char out[LOG_PATH_BYTES]) {
  if (n == 0) snprintf(out, LOG_PATH_BYTES, "%s", log->path);
  else snprintf(out, LOG_PATH_BYTES, "%.490s.%u", log->path, n);
}

/* The new file is made first: when that fails nothing has changed and the old one is written on. */
static void log_rotate(struct log *log) {
  char next[LOG_PATH_BYTES], from[LOG_PATH_BYTES], to[LOG_PATH_BYTES];
  snprintf(next, sizeof next, "%.490s.next", log->path);
  int fd = open(next, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) {
    log_fail(log, errno);
    return;
  }
  for (uint32_t n = log->max_files - 1; n > 0; n--) {
    numbered(log, n - 1, from);
    numbered(log, n, to);
    if (rename(from, to) && errno != ENOENT) log_fail(log, errno); /* ENOENT: not that many files yet */
  }
  if (rename(next, log->path)) {
    log_fail(log, errno);
    close(fd);
    log_reopen(log);
    return;
  }
  log_adopt(log, fd);
}

static int write_whole(struct log *log, const char *bytes, size_t length) {
  if (log->fd < 0 && log_reopen(log)) return -log->error;
  size_t sent = 0;
  while (sent < length) {
    ssize_t n = write(log->fd, bytes + sent, length - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      log_fail(log, n < 0 ? errno : EIO);
      /* A torn entry would spoil the file; if even this fails the next write comes after it. */
      if (sent && ftruncate(log->fd, (off_t)log->size)) log->size += sent;
      return -log->error;
    }
    sent += (size_t)n;
  }
  log->size += length;
  log->error = 0;
  return 0;
}

struct batch {
  size_t used;
  uint32_t at, entries, partial;
  uint64_t partial_at_ns;
};

static void flush(struct log *log, struct line_buffer *b, struct batch *batch) {
  if (batch->entries) {
    b->intent = (struct log_intent){1, batch->at, batch->partial, batch->partial_at_ns, log->size, log->inode};
    atomic_signal_fence(memory_order_seq_cst);
    if (write_whole(log, log->out, batch->used)) log->dropped += batch->entries;
  }
  b->partial = batch->partial;
  b->partial_at_ns = batch->partial_at_ns;
  set_span(b, line_filled(b), batch->at);
  atomic_signal_fence(memory_order_seq_cst);
  b->intent.active = 0;
  batch->used = batch->entries = 0;
}

/* Length of the next piece at `at`; `newline` tells how it ends. False: wait for more. */
static bool next_piece(const struct line_buffer *b, uint32_t at, bool end, uint32_t *length, bool *newline) {
  uint32_t left = line_filled(b) - at, look = left < LOG_PART_BYTES ? left : LOG_PART_BYTES;
  const uint8_t *found = look ? memchr(b->data + at, '\n', look) : NULL;
  *newline = found != NULL;
  *length = found ? (uint32_t)(found - (b->data + at)) : look;
  return found || left >= LOG_PART_BYTES || (end && left > 0);
}

static void append(struct log *log, struct line_buffer *b, struct batch *batch, const char *stream, bool end) {
  uint32_t length;
  bool newline;
  while (next_piece(b, batch->at, end, &length, &newline)) {
    bool full = log->max_bytes && log->size + batch->used >= log->max_bytes;
    if (full || batch->used + log_entry_worst(length) > LOG_OUT_BYTES) flush(log, b, batch);
    if (full) log_rotate(log);
    uint64_t now = batch->partial ? batch->partial_at_ns : wall_ns();
    batch->used += log_entry(log->out + batch->used, b->data + batch->at, length, newline, stream, now);
    batch->entries++;
    batch->partial = !newline;
    batch->partial_at_ns = now;
    batch->at += length + newline;
  }
}

/* Unlogged bytes go to the front only where they don't overlap, so that one store makes the move whole. */
static void pull_front(struct line_buffer *b) {
  uint32_t filled = line_filled(b), done = line_done(b), left = filled - done;
  if (done == 0 || done < left) return;
  memcpy(b->data, b->data + done, left);
  atomic_signal_fence(memory_order_seq_cst);
  set_span(b, left, 0);
}

void log_lines(struct log *log, struct line_buffer *b, const char *stream, bool end) {
  if (!*log->path) {
    set_span(b, 0, 0);
    return;
  }
  if (!log->out) {
    void *out = mmap(NULL, LOG_OUT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (out == MAP_FAILED) {
      log_fail(log, ENOMEM); /* keeps draining: an unlogged chunk is better than a blocked container */
      log->dropped++;
      set_span(b, 0, 0);
      return;
    }
    log->out = out;
  }
  struct batch batch = {.at = line_done(b), .partial = b->partial, .partial_at_ns = b->partial_at_ns};
  append(log, b, &batch, stream, end);
  if (batch.at != line_done(b)) flush(log, b, &batch);
  if (end) b->partial = 0;
}

uint8_t *line_space(struct line_buffer *b, size_t *space) {
  pull_front(b);
  *space = LINE_BUFFER_BYTES - line_filled(b);
  return b->data + line_filled(b);
}

void line_filled_by(struct line_buffer *b, size_t count) {
  uint32_t filled = line_filled(b) + (uint32_t)count;
  if (filled > b->high_water) b->high_water = filled;
  set_span(b, filled, line_done(b));
}

void log_recover(struct log *log, struct line_buffer *b) {
  if (!b->intent.active || log->fd < 0) return;
  const struct log_intent *intent = &b->intent;
  bool same = log->inode == intent->inode;
  bool written = !same || log->size > intent->size;
  if (same && written) {
    /* A kill can't cut a write(2) to a regular file short, but a full disk can: entries end in a newline. */
    char last = 0;
    int fd = open(log->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool whole = fd >= 0 && pread(fd, &last, 1, (off_t)log->size - 1) == 1 && last == '\n';
    if (fd >= 0) close(fd);
    if (!whole && ftruncate(log->fd, (off_t)intent->size) == 0) {
      log->size = intent->size;
      written = false;
    }
  }
  if (written) {
    b->partial = intent->partial;
    b->partial_at_ns = intent->partial_at_ns;
    set_span(b, line_filled(b), intent->done);
  }
  b->intent.active = 0;
}

void log_release(struct log *log) {
  if (log->out) munmap(log->out, LOG_OUT_BYTES);
  log->out = NULL;
}

void line_release(struct line_buffer *b) {
  pull_front(b);
  uint32_t keep = (line_filled(b) + 4095u) & ~4095u;
  if (b->high_water <= 4096 || b->high_water <= keep) return;
  if (madvise(b->data + keep, LINE_BUFFER_BYTES - keep, MADV_REMOVE) == 0) b->high_water = keep;
}
