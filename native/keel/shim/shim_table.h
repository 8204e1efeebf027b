/*
 * What a shim knows of its processes, in memory that it shares with pause. Pause maps it before the first shim; a new shim finds
 * there what the old one left. Each field has one writer: the shim, but for `reaped*`, which pause writes.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include "log.h"

enum {
  MAX_PROCESSES = 256,        /* init and the execs not yet deleted */
  EXEC_ID_BYTES = 128,
  SPILL_DIR_BYTES = 256,
};

enum slot_state { SLOT_FREE, SLOT_CREATED, SLOT_RUNNING, SLOT_STOPPED, SLOT_STAGING };

/* How bytes reach a process or leave it. */
enum sink { SINK_NONE, SINK_FAN_OUT, SINK_FILE, SINK_DIRECT };

struct slot {
  char exec_id[EXEC_ID_BYTES];           /* "": init */
  _Atomic uint32_t state;
  int32_t pid;
  uint32_t terminal, stdin_once, stdin_closed;
  uint32_t rows, columns;
  uint32_t recorded, announced, oom_killed;
  uint32_t wait_status;
  uint32_t sinks[2];
  uint32_t ended[2];                     /* the stream was read to its end */
  uint64_t started_at_ns, exited_at_ns, oom_base;
  uint64_t spill_bytes;
  char spill_dir[SPILL_DIR_BYTES];
  _Atomic uint32_t reaped;
  uint32_t reaped_status;
  uint64_t reaped_at_ns;
};

struct shared {
  uint64_t oom_base;                     /* the cgroup's counter when the container was made */
  uint64_t oom_told;                     /* what it was when the last OOM event was sent */
  uint32_t slots_used;                   /* slots from here on were never used */
  uint32_t restarts;
  struct line_buffer lines[2];
  struct slot slots[MAX_PROCESSES];
};

/* Descriptors that pause keeps for the shim. `slot` is MAX_PROCESSES for the container's own. */
enum held_what { HELD_STDIN, HELD_STDOUT, HELD_STDERR, HELD_SINK_OUT, HELD_SINK_ERR, HELD_SOURCE_IN, HELD_PIDFD, HELD_STAGE, HELD_STAGE_END, HELD_LISTEN };

struct held {
  uint32_t slot, what;
  int fd;
};

/* Messages between shim and pause (SEQPACKET). */
enum hold_kind { HOLD_KEEP, HOLD_DROP, HOLD_DROP_SLOT, HOLD_LAUNCHED, HOLD_ANSWERED, HOLD_GOODBYE, HOLD_REAPED };

struct hold_message {
  uint32_t kind, slot, what, flag;
};
