#define _GNU_SOURCE
#include "launch.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "child.h"
#include "pause.h"
#include "plan.h"
#include "reply.h"
#include "system.h"

static int hold_socket(void *context, const char *name, int fd) {
  struct pause_start *start = context;
  if (start->dns_count >= MAX_DNS || strlen(name) >= DNS_NAME_BYTES) {
    close(fd);
    return start->dns_count >= MAX_DNS ? -EMFILE : -ENAMETOOLONG;
  }
  struct dns_socket *held = &start->dns[start->dns_count++];
  strncpy(held->name, name, sizeof held->name - 1);
  held->fd = fd;
  return 0;
}

/* Only the reply's descriptor and the held ones stay open, none of them on a terminal of the daemon's. */
static void leave_daemon(const struct pause_start *start, int reply_fd) {
  int keep[MAX_DNS + 1] = {reply_fd};
  for (int i = 0; i < start->dns_count; i++) keep[i + 1] = start->dns[i].fd;
  child_take_stdio((const int[3]){-1, -1, -1});
  child_keep_only(keep, (size_t)start->dns_count + 1);
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
  leave_daemon(&start, reply_fd);
  start.request = &request;
  start.reply = (struct launch_reply){
      .fd = reply_fd, .id = id, .steps = {(const char *)run.steps, (uint32_t)(run.count * sizeof *run.steps)},
      .outputs = {run.outputs ? (const char *)run.outputs : "", (uint32_t)run.outputs_length}};
  pause_become(&start);
}
