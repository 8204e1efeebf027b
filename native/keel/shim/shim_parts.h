/*
 * The inside of the shim: one process, one thread, one epoll. Everything it waits for is a `struct watch`. It handles one event a
 * turn, so a handler may free whatever it likes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "log.h"
#include "shim.h"
#include "shim_inbox.h"
#include "shim_table.h"
#include "spill.h"
#include "stage.h"
#include "wire.h"

struct watch {
  void (*on)(struct watch *watch, uint32_t events);
  int fd;
  bool added;
  uint32_t events;
};

/* The structure that a watch is part of. */
#define part_of(watch, type, member) ((type *)(void *)((char *)(watch) - offsetof(type, member)))

struct process;

/* One output stream: the end that is read, and where its bytes go. */
struct source {
  struct watch watch;              /* pipe or pty master; fd -1: not open or at its end */
  struct watch sink;               /* SINK_FILE: where they go; fd -1 otherwise */
  struct process *process;
  struct line_buffer *lines;       /* NULL: not logged */
  uint8_t kind;                    /* 1 stdout, 2 stderr: Docker's frame type */
  uint8_t *pending;                /* what the sink did not take */
  size_t pending_from, pending_to;
};

/* Stdin: the end that is written, and a FIFO that feeds it where the daemon gave one. */
struct feed {
  struct watch sink;               /* pipe or a copy of the pty master; fd -1: closed */
  struct watch source;             /* fifo://; fd -1 otherwise */
  uint8_t *pending;
  size_t from, to;
  bool closing;                    /* closed once pending is written */
};

/* Where an answer goes: a connection may be gone by then, so it is named by number. */
struct reply_to {
  uint32_t connection, id;         /* connection 0: nobody; LAUNCH_REPLY: whoever asked for the launch */
};
enum { LAUNCH_REPLY = 0xffffffff };

struct process {
  struct process *next;
  struct slot *slot;
  uint32_t number;                 /* of the slot */
  struct watch pidfd;
  struct watch stage_watch;
  struct stage stage;
  bool staged;                     /* the stage exists (until executed or failed) */
  bool start_now;
  bool going;                      /* the start byte was sent */
  struct reply_to asked;           /* who waits for the stage */
  struct source out[2];
  struct feed in;
  uint64_t drain_until_ns;         /* CLOCK_MONOTONIC; 0: not draining */
  bool drained;
};

struct waiter {
  struct waiter *next;
  uint32_t slot;
  struct reply_to to;
};

struct connection {
  struct watch watch;
  struct connection *next;
  uint32_t number;
  bool subscribed;
  struct inbox in;
  struct outbox out;             /* answers; the ring alone */
};

struct client {
  struct watch watch;
  struct client *next;
  struct process *process;         /* NULL once the process is forgotten */
  uint32_t flags;                  /* ATTACH_* */
  struct outbox out;
  bool input_ended, finished;      /* finished: no more output will come */
  bool ended;                      /* everything was sent and the connection half-closed */
};
enum { ATTACH_STDIN = 1, ATTACH_STDOUT = 2, ATTACH_STDERR = 4, ATTACH_RAW = 8 };

struct shim {
  int epoll, pause_pid;
  struct watch listen, signals, timer, pair_watch, oom;
  const struct shim_config *config;
  struct shared *shared;
  struct shim_start start;
  struct log log;
  struct process *processes;
  struct connection *connections;
  struct client *clients;
  struct waiter *waiters;
  uint32_t connection_numbers;
  uint8_t *scratch;                /* SCRATCH_BYTES, mapped while busy */
  int oom_file;                    /* v1: memory.oom_control; v2: memory.events */
  bool ending, end_pause;
};
enum { SCRATCH_BYTES = 64 * 1024 };

/* The one shim of this program. */
extern struct shim shim;

/* shim.c: the launch has failed; the shim ends, and with a LAUNCH pause too. */
_Noreturn void shim_abandon(void);

/* shim_loop.c */
void watch_set(struct watch *watch, uint32_t events);   /* 0: not watched */
void watch_close(struct watch *watch);
int loop_run(void);
uint8_t *scratch(void);
uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

/* stdio.c: making the ends. `theirs` is what the process gets (its 0, 1, 2; -1 with a terminal), to be closed by the caller. */
int stdio_open(struct process *p, const struct stdio_request *request, int theirs[3]);
void stdio_reset(struct process *p);
int stdio_take_master(struct process *p, int master);
int stdio_resize(struct process *p, uint16_t rows, uint16_t columns);
void stdio_hold(const struct process *p);
void stdio_restore(struct process *p, uint32_t what, int fd);
void stdio_restored(struct process *p);
void stdio_close(struct process *p);
/* stdio_source.c, stdio_feed.c */
void source_start(struct process *p);                    /* begins to read */
void source_resume(struct process *p);                   /* a client or sink has room again */
bool source_drain(struct process *p);                    /* after exit: reads what is there; true: all at their end */
void source_abandon(struct process *p);                  /* the drain's deadline: closes what still is open */
bool source_open(const struct process *p);
void feed_put(struct process *p, const uint8_t *bytes, size_t length);
bool feed_ready(const struct process *p);                /* takes more now */
void feed_close(struct process *p);                      /* EOF, once what is pending was written */
void feed_start(struct process *p);

/* attach.c */
void clients_send(struct process *p, uint8_t kind, const uint8_t *bytes, size_t length);
bool clients_full(const struct process *p);
void clients_finish(struct process *p);
void clients_feed(struct process *p);                    /* stdin takes more again */
bool clients_done(void);
int client_attach(int fd, struct process *p, uint32_t flags);

/* shim_process.c */
struct process *process_find(struct blob exec_id);
struct process *process_new(struct blob exec_id, int *error);
void process_free(struct process *p);
int process_stage(struct process *p, struct cursor operations, const struct stdio_request *stdio, struct reply_to asked);
int process_go(struct process *p, struct reply_to asked);
void process_unstage(struct process *p);
void process_hear_stages(void);
bool process_is_stand_in(const struct process *p);       /* another runtime is starting what this stage stands in for */
bool process_outlives(struct process *p, int pid);       /* `pid` was but its stand-in: the process itself is known now */
void process_settle(struct process *p);                  /* it has ended: whoever waits for its stage gets what the stage said last */
int process_restore(uint32_t number, const struct held *held, size_t count);

/* shim_exit.c */
void exit_watch(struct process *p);
void exit_reap(void);
void exit_on_child(struct watch *watch, uint32_t events);     /* SIGCHLD */
void exit_on_timer(struct watch *watch, uint32_t events);
void exit_scan_reaped(void);
void exit_pause_gone(void);
void exit_drained(struct process *p);
void timer_look_again(void);                                  /* at the OOM counter, shortly */

/* shim_files.c: shim.json, exit.json */
int files_write_shim(void);
int files_write_exit(const struct slot *slot);
void files_remove_exit(const struct slot *slot);
void files_remove_shim(void);

/* shim_oom.c */
void oom_watch(void);
uint64_t oom_count(void);
void oom_check(void);                                     /* sends the event when the counter has risen */

/* shim_signal.c */
int signal_process(const struct process *p, int signal);
int signal_all(int signal);

/* shim_requests.c, shim_connection.c */
enum { EVENT_EXITED = 0x4010, EVENT_OOM = 0x4011 };
void requests_on_message(struct connection *c, const struct message *message);
void connection_accept(struct watch *watch, uint32_t events);
int connection_take(struct connection *c);                    /* forgets the connection, gives its socket */
void reply_outcome(struct reply_to to, struct outcome outcome);
void reply_errno(struct reply_to to, int error, const char *text);
void reply_processes(struct reply_to to, const struct slot *only);
void publish(uint16_t type, const struct slot *slot);
void subscribe(struct connection *c);
int waiter_add(const struct process *p, struct reply_to to);
void waiters_answer(const struct process *p);

/* shim_hold.c: pause's copies */
void hold_keep(uint32_t slot, uint32_t what, int fd);
void hold_drop(uint32_t slot, uint32_t what);
void hold_drop_slot(uint32_t slot);
void hold_say(uint32_t kind, uint32_t flag);
void hold_on_message(struct watch *watch, uint32_t events);
