#define _GNU_SOURCE
#include "launch.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "pause.h"
#include "plan.h"
#include "reply.h"
#include "system.h"

static void hold_socket(void *context, const char *name, int fd) {
  struct pause_start *start = context;
  if (start->dns_count >= MAX_DNS) {
    close(fd);
    return;
  }
  struct dns_socket *held = &start->dns[start->dns_count++];
  strncpy(held->name, name, sizeof held->name - 1);
  held->fd = fd;
}

/* Only the reply's descriptor and the named ones stay open. */
static void keep_only(int fd, const struct dns_socket *held, int count) {
  unsigned from = 3;
  for (;;) {
    int next = fd >= (int)from ? fd : -1;
    for (int i = 0; i < count; i++)
      if (held[i].fd >= (int)from && (next < 0 || held[i].fd < next)) next = held[i].fd;
    if (next < 0) break;
    if (next > (int)from) close_range(from, (unsigned)next - 1, 0);
    from = (unsigned)next + 1;
  }
  close_range(from, ~0u, 0);
}

static void close_standard_streams(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3 && null >= 0; fd++) dup2(null, fd);
  if (null > 2) close(null);
}

/* Both sections in one run, so that the steps come out in order and the indices count on. */
static int run_sections(struct run *run, struct cursor host, struct cursor pause_section, pid_t *forked) {
  int error = plan_run(run, host);
  if (error) return error;
  *forked = fork(); /* pause is nobody's child here: it is reparented as soon as we end */
  if (*forked) return *forked < 0 ? -errno : 0;
  return plan_run(run, pause_section);
}

static struct cursor whole(const struct launch_request *request, struct cursor payload) {
  struct cursor all = {NULL, NULL};
  const struct cursor *sections[] = {&request->host, &request->pause};
  for (size_t i = 0; i < 2; i++) {
    if (!sections[i]->at) continue;
    if (!all.at || sections[i]->at < all.at) all.at = sections[i]->at;
    if (sections[i]->end > all.end) all.end = sections[i]->end;
  }
  return all.at ? all : (struct cursor){payload.end, payload.end};
}

_Noreturn void launch_child(struct cursor payload, int reply_fd, uint32_t id) {
  static struct launch_request request;
  static struct pause_start start;
  struct run run;
  int error = launch_parse(payload, &request);
  if (error == 0) error = run_init(&run, whole(&request, payload)); /* a section record between the two only adds room */
  if (error) {
    reply_error(reply_fd, id, -error, "the launch can't be read");
    _exit(1);
  }
  run.hold = hold_socket;
  run.hold_context = &start;
  pid_t forked = -1;
  error = run_sections(&run, request.host, request.pause, &forked);
  if (forked > 0) _exit(0);
  if (error) {
    if (run.failed_index == NO_INDEX) run.error = -error;
    reply_run(reply_fd, id, &run);
    _exit(1);
  }
  close_standard_streams();
  keep_only(reply_fd, start.dns, start.dns_count);
  start.request = &request;
  start.reply = (struct launch_reply){
      .fd = reply_fd, .id = id, .steps = {(const char *)run.steps, (uint32_t)(run.count * sizeof *run.steps)},
      .outputs = {run.outputs ? (const char *)run.outputs : "", (uint32_t)run.outputs_length}};
  pause_become(&start);
}
