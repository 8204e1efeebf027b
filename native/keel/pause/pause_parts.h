/* The inside of pause. */
#pragma once
#include "pause.h"
#include "shim_inbox.h"
#include "shim_table.h"
#include <sys/types.h>

enum { MAX_CALLERS = 16 };

struct caller {
  int fd;                          /* -1: free */
  struct inbox in;
};

struct pause {
  int epoll, listen, signals, timer, pair;
  pid_t shim;                      /* 0: none */
  bool launched;                   /* this shim has brought init to its start, or is a successor */
  bool goodbye;                    /* it said that it would end */
  bool end_with_shim;
  bool first_launch;               /* the shim that is coming up answers the LAUNCH; if it fails, so does pause */
  struct launch_reply reply;       /* of the launch under way, for when the shim dies before it has answered; fd -1: none */
  struct shim_config config;
  struct shared *shared;
  struct held *held;
  size_t held_count, held_room;
  struct dns_socket dns[MAX_DNS];
  int dns_count;
  uint64_t forked_at_ns;
  unsigned failures;               /* shims in a row that died at once */
  struct caller callers[MAX_CALLERS];
};
extern struct pause pause_state;

/* pause_hold.c */
void held_message(void);           /* one message off the pair */
void held_drain(void);             /* the rest of a dead shim's messages */
void held_drop_all(void);
int held_find(uint32_t slot, uint32_t what);

/* pause_shim.c */
void shim_fork_first(const struct launch_request *request);
void shim_fork_again(void);
void launch_answered(void);
void launch_answer(int error, const char *text);
void shim_died(void);
bool init_lives(void);
void tell_reaped(void);

/* pause_requests.c */
struct outcome pause_outcome(int error, const char *text);
void callers_accept(void);
void caller_readable(struct caller *caller);
_Noreturn void pause_end(int code);
