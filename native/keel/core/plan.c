#define _GNU_SOURCE
#include "plan.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct entry {
  operation run;
  uint8_t ints, blobs;
};

enum { CODES = 128 };
static const struct entry table[CODES] = {
#define ENTRY(code, function, ints, blobs) [code] = {function, ints, blobs},
    OPERATIONS(ENTRY)
#undef ENTRY
};

uint64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Mapped, not allocated: a plan of hundreds of operations leaves nothing in the heap of what is forked from here. */
int run_init(struct run *run, struct cursor operations) {
  memset(run, 0, sizeof *run);
  for (int i = 0; i < SLOTS; i++) run->slots[i] = -1;
  run->failed_index = NO_INDEX;
  run->supervisor = run->init_pidfd = run->proc = run->host_side = run->listener = -1;
  struct record r;
  int got;
  while ((got = record_next(&operations, &r)) > 0) run->capacity++;
  if (got < 0) return got;
  size_t bytes = (run->capacity + 1) * sizeof *run->steps;
  run->steps = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return run->steps == MAP_FAILED ? -ENOMEM : 0;
}

void run_close(struct run *run) {
  for (int i = 0; i < SLOTS; i++)
    if (run->slots[i] >= 0) close(run->slots[i]);
  if (run->proc >= 0) close(run->proc);
  if (run->steps && run->steps != MAP_FAILED) munmap(run->steps, (run->capacity + 1) * sizeof *run->steps);
  free(run->outputs);
  free(run->program);
  memset(run, 0, sizeof *run);
}

bool run_tolerates(const struct record *record, int error) {
  for (size_t i = 0; i < sizeof tolerable / sizeof *tolerable; i++)
    if (record->flags & 1u << i && tolerable[i] == error) return true;
  return false;
}

void step_record(struct run *run, uint64_t start_ns, int error) {
  uint64_t took = clock_ns() - start_ns;
  if (run->count >= run->capacity) return;
  run->steps[run->count++] = (struct step){start_ns, took > UINT32_MAX ? UINT32_MAX : (uint32_t)took, error};
}

static int check(const struct record *r) {
  if (r->code >= CODES || !table[r->code].run) return -EPROTO;
  if (r->ints != table[r->code].ints || r->blobs != table[r->code].blobs) return -EPROTO;
  return 0;
}

static int run_one(struct run *run, const struct record *r) {
  uint64_t start = clock_ns();
  int error = check(r);
  if (error == 0) error = table[r->code].run(run, r);
  step_record(run, start, error < 0 ? -error : 0);
  if (error >= 0 || run_tolerates(r, -error)) {
    run->text[0] = 0;
    return 0;
  }
  run->failed_index = run->index;
  run->error = -error;
  return error;
}

int plan_run(struct run *run, struct cursor operations) {
  struct record r;
  int got;
  while ((got = record_next(&operations, &r)) > 0) {
    run->rest = operations;
    int error = run_one(run, &r);
    if (error) return error;
    run->index++;
  }
  if (got < 0) {
    run->failed_index = run->index;
    run->error = -got;
  }
  return got;
}

int slot_fd(const struct run *run, uint64_t slot) {
  return slot < SLOTS && run->slots[slot] >= 0 ? run->slots[slot] : -EBADF;
}

int slot_put(struct run *run, uint64_t slot, int fd) {
  if (slot >= SLOTS) {
    close(fd);
    return -EBADF;
  }
  if (run->slots[slot] >= 0) close(run->slots[slot]);
  run->slots[slot] = fd;
  run->late[slot] = (struct late){0, 0};
  return 0;
}

static uint8_t *output_room(struct run *run, size_t space) {
  if (space > MOST_OUTPUT || run->outputs_length + space > MOST_OUTPUT) return NULL;
  if (run->outputs_length + space > run->outputs_capacity) {
    size_t capacity = (run->outputs_length + space) * 2;
    uint8_t *grown = realloc(run->outputs, capacity);
    if (!grown) return NULL;
    run->outputs = grown;
    run->outputs_capacity = capacity;
  }
  uint8_t *at = run->outputs + run->outputs_length;
  memset(at, 0, space);
  run->outputs_length += space;
  return at;
}

/* u32 index, u32 length, bytes, padded to 8. */
int run_output3(struct run *run, struct blob first, struct blob second, struct blob third) {
  const struct blob parts[3] = {first, second, third};
  size_t length = (size_t)first.length + second.length + third.length;
  uint8_t *at = output_room(run, 8 + ((length + 7) & ~(size_t)7));
  if (!at) return -EMSGSIZE;
  uint32_t head[2] = {run->index, (uint32_t)length};
  memcpy(at, head, sizeof head);
  at += sizeof head;
  for (int i = 0; i < 3; i++) {
    if (parts[i].length) memcpy(at, parts[i].bytes, parts[i].length);
    at += parts[i].length;
  }
  return 0;
}

int run_output(struct run *run, const void *bytes, size_t length) {
  if (length > MOST_OUTPUT) return -EMSGSIZE;
  return run_output3(run, (struct blob){bytes, (uint32_t)length}, (struct blob){0}, (struct blob){0});
}

int run_fail(struct run *run, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(run->text, sizeof run->text, format, arguments);
  va_end(arguments);
  return error;
}
