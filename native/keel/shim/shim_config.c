/* The records of LAUNCH and FORK_SHIM as values. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "shim.h"

enum { SECTION = 0x100, CONTAINER = 0x101, STDIO = 0x102, LOG = 0x103 };
enum { SECTION_HOST = 1, SECTION_PAUSE = 2, SECTION_STAGE = 3 };

static int copy(struct blob text, size_t most, char **out) {
  if (text.length > most) return -ENAMETOOLONG;
  if (memchr(text.bytes, 0, text.length)) return -EINVAL;
  *out = malloc(text.length + 1u);
  if (!*out) return -ENOMEM;
  memcpy(*out, text.bytes, text.length);
  (*out)[text.length] = 0;
  return 0;
}

static int parse_container(const struct record *r, struct shim_config *config) {
  if (r->ints < 2 || r->blobs < 6 || r->b[0].length == 0) return -EPROTO;
  config->oom_version = (uint32_t)r->i[0];
  config->flags = (uint32_t)r->i[1];
  char **const into[6] = {&config->id, &config->namespace, &config->state_dir, &config->pause_socket, &config->shim_socket, &config->memory_cgroup};
  static const size_t most[6] = {256, 256, 512, 100, 100, 768}; /* a socket's path holds 107 bytes, a temporary name needs some */
  int error = 0;
  for (int i = 0; i < 6 && error == 0; i++) error = copy(r->b[i], most[i], into[i]);
  return error;
}

static int parse_log(const struct record *r, struct shim_config *config) {
  if (r->ints < 3 || r->blobs < 1) return -EPROTO;
  config->log_max_bytes = r->i[0];
  config->log_max_files = (uint32_t)r->i[1];
  free(config->log_path);
  return copy(r->b[0], 480, &config->log_path);
}

int stdio_parse(const struct record *r, struct stdio_request *request) {
  if (r->ints < 5 || r->blobs < 4) return -EPROTO;
  *request = (struct stdio_request){
      .terminal = r->i[0] != 0, .rows = (uint16_t)r->i[1], .columns = (uint16_t)r->i[2], .stdin_once = r->i[3] != 0,
      .spill_bytes = r->i[4], .in = r->b[0], .out = r->b[1], .err = r->b[2], .spill_dir = r->b[3]};
  return 0;
}

static struct cursor *section(struct launch_request *request, uint64_t which) {
  switch (which) {
    case SECTION_HOST: return &request->host;
    case SECTION_PAUSE: return &request->pause;
    case SECTION_STAGE: return &request->stage;
    default: return NULL;
  }
}

/* A section lasts to the next section record; the three descriptions may stand anywhere before the first. */
int launch_parse(struct cursor payload, struct launch_request *request) {
  memset(request, 0, sizeof *request);
  request->config.log_path = calloc(1, 1);
  struct cursor *open = NULL;
  struct record r;
  int got = 0, error = request->config.log_path ? 0 : -ENOMEM;
  while (error == 0 && (got = record_next(&payload, &r)) > 0) {
    if (r.code == SECTION) {
      open = r.ints ? section(request, r.i[0]) : NULL;
      if (!open) return -EPROTO;
      *open = (struct cursor){payload.at, payload.at};
    } else if (open) {
      open->end = payload.at;
    } else if (r.code == CONTAINER) {
      error = parse_container(&r, &request->config);
    } else if (r.code == STDIO) {
      error = stdio_parse(&r, &request->stdio);
    } else if (r.code == LOG) {
      error = parse_log(&r, &request->config);
    } else {
      return -EPROTO;
    }
  }
  if (error) return error;
  return got < 0 || !request->config.id ? -EPROTO : 0;
}

void shim_config_free(struct shim_config *config) {
  char *const strings[] = {config->id, config->namespace, config->state_dir, config->pause_socket, config->shim_socket, config->memory_cgroup, config->log_path};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) free(strings[i]);
  *config = (struct shim_config){0};
}
