/* What may be asked of a shim (docs/protocols.md): one function a request, one table. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "shim_parts.h"

enum { STATE = 32, START, KILL, EXEC, ATTACH, RESIZE, CLOSE_STDIN, WAIT, SUBSCRIBE, DELETE, SHUTDOWN };
enum { SECTION = 0x100, STDIO = 0x102, EXEC_RECORD = 0x104, ATTACH_RECORD = 0x111, RESIZE_RECORD, SIGNAL_RECORD, TARGET_RECORD };

struct request {
  struct connection *from;
  struct reply_to reply;
  uint16_t flags;
  struct cursor payload;
  struct record first;            /* of the code that the table names */
  struct process *process;        /* named by its only blob; NULL: none such */
};

static int on_state(struct request *r) {
  reply_processes(r->reply, NULL);
  return 1;
}

static bool init_ended(void) {
  const struct process *init = process_find((struct blob){"", 0});
  return !init || init->slot->state == SLOT_STOPPED;
}

static int on_start(struct request *r) {
  if (!r->process) return -ESRCH;
  if (r->process->slot->state == SLOT_STOPPED || init_ended()) return -ESRCH;
  if (r->process->slot->state != SLOT_CREATED) return -EALREADY;
  int error = process_go(r->process, r->reply);
  return error ? error : 1;
}

static int on_kill(struct request *r) {
  if (r->first.ints < 2) return -EPROTO;
  if (r->first.i[0] > 64) return -EINVAL;
  if (r->first.i[1]) return signal_all((int)r->first.i[0]);
  return r->process ? signal_process(r->process, (int)r->first.i[0]) : -ESRCH;
}

static bool usable_id(struct blob id) {
  if (id.length == 0 || id.length >= EXEC_ID_BYTES || id.bytes[0] == '.') return false;
  for (uint32_t i = 0; i < id.length; i++) {
    char c = id.bytes[i];
    bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    if (!fine) return false;
  }
  return true;
}

/* exec, stdio, section 3 and its operations. */
static int on_exec(struct request *r) {
  struct record record;
  struct stdio_request stdio;
  struct cursor at = r->payload;
  struct record exec = r->first;
  if (exec.ints < 1 || exec.blobs < 1 || !usable_id(exec.b[0])) return -EINVAL;
  if (record_next(&at, &record) <= 0 || record_next(&at, &record) <= 0 || record.code != STDIO || stdio_parse(&record, &stdio)) return -EPROTO;
  if (record_next(&at, &record) <= 0 || record.code != SECTION || record.ints < 1 || record.i[0] != 3) return -EPROTO;
  if (init_ended() || shim.ending) return -ESRCH;
  if (process_find(exec.b[0])) return -EEXIST;
  int error = 0;
  struct process *p = process_new(exec.b[0], &error);
  if (!p) return error;
  p->start_now = exec.i[0] != 0;
  error = process_stage(p, at, &stdio, r->reply);
  if (error) process_free(p);
  return error ? error : 1;
}

static int on_attach(struct request *r) {
  if (r->first.ints < 1) return -EPROTO;
  if (!r->process) return -ESRCH;
  struct outcome outcome = outcome_errno(0, NULL);
  outcome.pid = r->process->slot->pid;
  reply_outcome(r->reply, outcome);
  uint32_t flags = (uint32_t)r->first.i[0];
  struct process *p = r->process;
  int fd = connection_take(r->from);
  r->from = NULL;
  client_attach(fd, p, flags);
  return 1;
}

static int on_resize(struct request *r) {
  if (r->first.ints < 2) return -EPROTO;
  if (r->first.i[0] > 65535 || r->first.i[1] > 65535) return -EINVAL;
  if (!r->process || r->process->slot->state == SLOT_STOPPED) return -ESRCH;
  return stdio_resize(r->process, (uint16_t)r->first.i[0], (uint16_t)r->first.i[1]);
}

static int on_close_stdin(struct request *r) {
  if (!r->process) return -ESRCH;
  if (!r->process->slot->terminal) feed_close(r->process);
  return 0;
}

static int on_wait(struct request *r) {
  if (!r->process) return -ESRCH;
  if (!r->process->slot->announced) {
    int error = waiter_add(r->process, r->reply);
    return error ? error : 1;
  }
  reply_processes(r->reply, r->process->slot);
  return 1;
}

static int on_subscribe(struct request *r) {
  reply_errno(r->reply, 0, NULL);
  subscribe(r->from);
  return 1;
}

static int on_delete(struct request *r) {
  if (!r->process) return -ESRCH;
  if (!r->process->slot->announced) return -EBUSY;
  files_remove_exit(r->process->slot);
  process_free(r->process);
  return 0;
}

static int on_shutdown(struct request *r) {
  shim.ending = true;
  shim.end_pause = r->flags & 1;
  return 0;
}

/* `record`: the payload begins with one of this code, whose blob names a process. */
static const struct {
  uint16_t record;
  int (*run)(struct request *);
} requests[] = {
    [STATE] = {0, on_state},
    [START] = {TARGET_RECORD, on_start},
    [KILL] = {SIGNAL_RECORD, on_kill},
    [EXEC] = {EXEC_RECORD, on_exec},
    [ATTACH] = {ATTACH_RECORD, on_attach},
    [RESIZE] = {RESIZE_RECORD, on_resize},
    [CLOSE_STDIN] = {TARGET_RECORD, on_close_stdin},
    [WAIT] = {TARGET_RECORD, on_wait},
    [SUBSCRIBE] = {0, on_subscribe},
    [DELETE] = {TARGET_RECORD, on_delete},
    [SHUTDOWN] = {0, on_shutdown},
};

/* A request's function returns 1 when it has answered or will, else 0 or -errno to be answered here. */
void requests_on_message(struct connection *c, const struct message *message) {
  struct request request = {.from = c, .reply = {c->number, message->id}, .flags = message->flags, .payload = message->payload};
  struct inbox inbox = c->in; /* the connection may become a client's while its message is looked at */
  c->in = (struct inbox){0};
  int done = -EPROTO;
  bool known = message->type < sizeof requests / sizeof *requests && requests[message->type].run;
  if (known) {
    uint16_t code = requests[message->type].record;
    struct cursor at = message->payload;
    bool fits = code == 0 || (record_next(&at, &request.first) > 0 && request.first.code == code && request.first.blobs >= 1);
    if (fits && code) request.process = process_find(request.first.b[0]);
    if (fits) done = requests[message->type].run(&request);
  }
  if (done <= 0) reply_errno(request.reply, -done, NULL);
  inbox_done(&inbox);
}
