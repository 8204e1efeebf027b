/*
 * Pause: holder of a container's network and UTS namespaces, parent and subreaper of its shim, keeper of copies of every stdio end.
 *
 * Lifecycle: the forked child of a LAUNCH that has run the host and pause sections becomes it. It forks the shim, forks another whenever
 * one dies unbidden, and stays through restarts of the container until STOP, SHUTDOWN with flag 1, or SIGTERM while no init lives.
 */
#pragma once
#include "shim.h"

enum { MAX_DNS = 8, DNS_NAME_BYTES = 32 };

/* A descriptor that the plan's `hold` operation left for borrowers. */
struct dns_socket {
  char name[DNS_NAME_BYTES];
  int fd;
};

struct pause_start {
  const struct launch_request *request;   /* its cursors need to live until the shim is forked only */
  struct launch_reply reply;              /* pause closes its copy */
  struct dns_socket dns[MAX_DNS];
  int dns_count;
};

/* Never returns. The caller has closed every descriptor that is not to be kept. */
_Noreturn void pause_become(const struct pause_start *start);
