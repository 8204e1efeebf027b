/*
 * Another program, run to its end: its input given, its output and errors collected (each at most MOST_COLLECTED), its time bounded.
 *
 * Lifecycle: command_run -> read status and output -> command_close.
 */
#pragma once
#include <sys/types.h>
#include "plan.h"

enum { MOST_COLLECTED = 1024 * 1024 };

struct command {
  struct blob argv, envp, input;  /* lists; an empty environment is ours */
  struct blob path;               /* empty: argv[0], looked up in PATH */
  uint64_t timeout_ms;            /* 0: none */
  int status;                     /* as waitpid's */
  struct blob output[2];          /* stdout, stderr */
  char *owned[2];
};

/* 0, whatever the status; -errno when it could not be run, -ETIMEDOUT when its process group was killed. */
int command_run(struct command *command);
void command_close(struct command *command);

/* op_hook's record as a command; "@PID@" in its state becomes `pid`. A failure has the hook's words in run->text. */
int hook_run(struct run *run, const struct record *record, int pid);
struct hook_answer {
  int32_t error;
  char text[RUN_TEXT_BYTES];
};
int text_with_pid(struct blob text, int pid, struct blob *out, char **owned);
