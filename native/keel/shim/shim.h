/*
 * The shim: supervisor of one container. Forked by pause, never executed; ends when told (SHUTDOWN) and nothing is left to do.
 *
 * Lifecycle: pause forks it with a `shim_start`. A first shim stages init, answers whoever asked, and serves its socket. A shim that
 * follows a killed one (`restore`) finds the table and the descriptors as they were and goes on, on the same listening socket.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wire.h"

struct shared;
struct held;

/* Record 0x102. */
struct stdio_request {
  bool terminal, stdin_once;
  uint16_t rows, columns;
  uint64_t spill_bytes;
  struct blob in, out, err, spill_dir;
};

/* Records 0x101 and 0x103, as strings. */
struct shim_config {
  char *id, *namespace, *state_dir, *pause_socket, *shim_socket, *memory_cgroup, *log_path;
  uint32_t oom_version, flags;
  uint64_t log_max_bytes;
  uint32_t log_max_files;
};

/* Where the result of a launch goes: a frame on `fd` with this id. Steps and outputs of earlier sections go in front. */
struct launch_reply {
  int fd;
  uint32_t id;
  struct blob steps, outputs;
};

struct shim_start {
  const struct shim_config *config;
  struct shared *shared;
  int pair;                        /* SEQPACKET to pause */
  bool restore;
  const struct held *held;         /* restore: what pause kept */
  size_t held_count;
  struct stdio_request stdio;      /* not restore: */
  struct cursor stage;
  struct launch_reply reply;
};

/* Never returns. */
_Noreturn void shim_main(const struct shim_start *start);

/* shim_config.c: the records of LAUNCH and FORK_SHIM. */
struct launch_request {
  struct shim_config config;
  struct stdio_request stdio;
  struct cursor host, pause, stage;    /* the operations of each section */
};
/* Strings are copied; shim_config_free frees them. 0, -EPROTO, -EINVAL, -ENAMETOOLONG, -ENOMEM. */
int launch_parse(struct cursor payload, struct launch_request *request);
void shim_config_free(struct shim_config *config);
int stdio_parse(const struct record *record, struct stdio_request *request);
