/*
 * The json-file log of a container, byte for byte as Docker writes it: one JSON object a line, lines over 16 KiB
 * in parts without "\n", rotation by rename and create (never truncation).
 *
 * Bytes on their way to the log live in a line buffer in memory that pause and the shim share, so that a shim which is
 * killed loses none of them and its successor writes none of them twice.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  LOG_PART_BYTES = 16 * 1024,      /* longest piece of a line in one entry */
  LINE_BUFFER_BYTES = 64 * 1024,   /* one read */
  LOG_PATH_BYTES = 512,
};

/* What a write to the log is about to do, so that a successor can tell whether it was done. */
struct log_intent {
  uint32_t active, done, partial;
  uint64_t partial_at_ns, size, inode;
};

/* One stream's bytes between read(2) and the log. Shared by pause and shim; starts zeroed. */
struct line_buffer {
  _Atomic uint64_t span;           /* filled << 32 | done: both move in one store */
  uint32_t partial;                /* the line at `done` continues one that was logged in part */
  uint32_t high_water;             /* highest byte touched since the memory was last given back */
  uint64_t partial_at_ns;          /* time of that line's first part */
  struct log_intent intent;
  uint8_t data[LINE_BUFFER_BYTES] __attribute__((aligned(4096)));
};

struct log {
  char path[LOG_PATH_BYTES];       /* empty: no log */
  int fd;
  uint64_t size, inode;
  uint64_t max_bytes;              /* 0: never rotated */
  uint32_t max_files;
  uint64_t dropped;                /* lines that could not be written */
  int error;                       /* errno of the last failure, 0 once a write succeeds again */
  char *out;                       /* LOG_OUT_BYTES, mapped when needed */
};

static inline uint32_t line_filled(const struct line_buffer *b) { return (uint32_t)(atomic_load(&b->span) >> 32); }
static inline uint32_t line_done(const struct line_buffer *b) { return (uint32_t)atomic_load(&b->span); }

/* Opens (creates, 0640) the file for appending. 0 or -errno. */
int log_open(struct log *log, const char *path, uint64_t max_bytes, uint32_t max_files);

/* Where the next read of a stream goes, and how much fits (at least LOG_PART_BYTES). */
uint8_t *line_space(struct line_buffer *b, size_t *space);
/* `count` bytes were read there. */
void line_filled_by(struct line_buffer *b, size_t count);

/*
 * Writes every whole line (at the end of the stream the rest too). Never fails: what can't be written is counted. The bytes
 * stay where they are until the next line_space.
 */
void log_lines(struct log *log, struct line_buffer *b, const char *stream, bool end);

/* After a predecessor was killed: finishes or undoes the write it was in. */
void log_recover(struct log *log, struct line_buffer *b);

/* Gives back memory that is not needed while idle. */
void log_release(struct log *log);
void line_release(struct line_buffer *b);

/* log_json.c: one entry into `out`, which must hold log_entry_worst(length) bytes. Returns its size. */
size_t log_entry(char *out, const uint8_t *text, size_t length, bool newline, const char *stream, uint64_t at_ns);
static inline size_t log_entry_worst(size_t length) { return length * 6 + 128; }
/* RFC 3339 with nanoseconds, trailing zeros cut, as Go prints it. At most 31 bytes with the NUL. */
size_t format_time(char *out, uint64_t at_ns);
