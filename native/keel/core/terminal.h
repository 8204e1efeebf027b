/*
 * A process in the foreground with a terminal of its own: our terminal is raw meanwhile, bytes and sizes go both ways.
 *
 * Lifecycle: terminal_begin -> poll the fds of terminal_poll -> terminal_relay -> terminal_end, which restores our terminal.
 */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

enum { TERMINAL_FDS = 2, TYPED_BYTES = 4096 };

struct terminal {
  int master;              /* -1: none */
  bool raw, input_ended;
  struct termios before;
  char typed[TYPED_BYTES]; /* what the process has not taken yet */
  size_t from, to;
};

void terminal_begin(struct terminal *terminal, int master);
void terminal_size(const struct terminal *terminal); /* SIGWINCH: ours is passed on */
void terminal_poll(const struct terminal *terminal, struct pollfd fds[TERMINAL_FDS]);
void terminal_relay(struct terminal *terminal, const struct pollfd fds[TERMINAL_FDS]);
void terminal_end(struct terminal *terminal);        /* after the process's end: what it wrote last is written first */
