/*
 * A stage: the child in which the operations of a new process run, up to `clone` in the child itself, from there on in what clone
 * made. Asynchronous for a poll loop: `fd` becomes readable when there is news.
 *
 * Lifecycle: stage_begin -> PENDING... -> READY (it waits at waitStart) or FAILED -> stage_go -> EXECUTED or FAILED -> stage_close.
 */
#pragma once
#include "plan.h"

struct stage_request {
  struct cursor operations;
  int stdio[3];     /* the process's 0, 1, 2; -1: /dev/null (a terminal replaces them) */
  int init_pidfd;   /* exec: the container's init; -1 */
  int preserved;    /* so many descriptors from PRESERVED_FROM on become its 3 and up */
};

enum { PRESERVED_FROM = 6, MOST_PRESERVED = 256 };

struct stage {
  int fd;           /* SEQPACKET to the stage; -1: closed */
  int pid;          /* of the new process, 0: not known yet */
  int pidfd;        /* its pidfd, -1; the owner may take it and set -1 */
  int master;       /* its pty master, -1; the owner may take it and set -1 */
  int child;        /* the stage child itself; the owner's SIGCHLD */
  bool ready, gone;
  bool foreign;     /* another runtime's commands start the process, which may end before they do */
  uint32_t failed_index;
  int error;        /* errno of a failure, 0 */
  struct blob steps, outputs, message;
  char *owned[3];   /* storage of the three */
};

enum stage_progress { STAGE_PENDING, STAGE_READY, STAGE_EXECUTED, STAGE_FAILED };

/* 0 or -errno. The caller's stdio descriptors stay its own. */
int stage_begin(struct stage *stage, const struct stage_request *request);
enum stage_progress stage_on_readable(struct stage *stage);
/* The start byte; 0 or -errno. */
int stage_go(struct stage *stage);
/* Takes over a stage that waits at waitStart from a supervisor that has died. */
void stage_adopt(struct stage *stage, int fd, int pid);
void stage_close(struct stage *stage);

/* For operations, inside the stage: messages to the supervisor. 0 or -errno. */
int stage_tell_cloned(struct run *run, int pid, int pidfd);
int stage_tell_console(struct run *run, int master);
int stage_tell_ready(struct run *run);
int stage_await_start(struct run *run);
