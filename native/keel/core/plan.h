/*
 * Executes operations in order. A run is one attempt: descriptors in slots, a step per operation, outputs, and where it failed.
 *
 * Lifecycle: run_init -> plan_run -> (reply) -> run_close. After `clone` the run goes on in the child with the same memory.
 */
#pragma once
#include <stdbool.h>
#include "operations.h"
#include "wire.h"

enum { SLOTS = 64, RUN_TEXT_BYTES = 512, MOST_OUTPUT = 8 * 1024 * 1024 };
#define NO_SLOT 0xffffffffu
#define NO_INDEX 0xffffffffu

struct step {
  uint64_t start_ns;
  uint32_t duration_ns;
  int32_t error;
};

/* Before kernel 5.12: a remount's flags and the propagation, for once the tree is attached. */
struct late {
  unsigned long flags, propagation;
};

struct run {
  int slots[SLOTS];
  struct late late[SLOTS];   /* what mount_setattr could not do to the slot's tree */
  struct step *steps;
  uint32_t count, capacity;
  uint8_t *outputs;
  size_t outputs_length, outputs_capacity;
  uint32_t index;            /* of the operation that runs */
  uint32_t failed_index;     /* NO_INDEX: none */
  int error;                 /* errno of the failure */
  char text[RUN_TEXT_BYTES]; /* keel's own words about it, or empty */

  struct cursor rest;        /* the operations after the one that runs */
  int supervisor;            /* stage: SEQPACKET to the supervisor; -1 otherwise */
  int init_pidfd;            /* exec: the container's init; -1 otherwise */
  bool cloned;               /* we are what clone made */
  bool foreign;              /* the process is another runtime's: the plan ends without execve */
  bool ready;                /* waitStart or waitFifo has told the supervisor */
  int host_side;             /* SEQPACKET to the stage that stayed in the host's namespaces; -1: none */
  int host_pid;              /* our pid as the host sees it, where a later operation wants it */
  int listener;              /* connected to a seccomp agent; -1: none */
  char *program;             /* what lookPath found */
  char home[256];            /* "HOME=..." when setUserByName found one, else empty */
  int proc;                  /* private procfs, -1: not opened yet */
  int (*hold)(void *, const char *name, int fd); /* takes fd; 0 or -errno */
  void *hold_context;
};

typedef int (*operation)(struct run *, const struct record *);

int run_init(struct run *run, struct cursor operations);
void run_close(struct run *run);
/* 0, or -errno with failed_index and error set. */
int plan_run(struct run *run, struct cursor operations);

/* For operations. */
int slot_fd(const struct run *run, uint64_t slot);                 /* -EBADF */
int slot_put(struct run *run, uint64_t slot, int fd);              /* takes fd; closes it when the slot is bad */
int run_output(struct run *run, const void *bytes, size_t length); /* 0 or -errno */
int run_output3(struct run *run, struct blob first, struct blob second, struct blob third); /* one output of three parts */
bool run_tolerates(const struct record *record, int error);
int run_fail(struct run *run, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
uint64_t clock_ns(void);
void step_record(struct run *run, uint64_t start_ns, int error);

#define DECLARE_OPERATION(code, function, ints, blobs) int function(struct run *, const struct record *);
OPERATIONS(DECLARE_OPERATION)
#undef DECLARE_OPERATION
