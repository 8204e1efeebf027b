#include "reply.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "shim_inbox.h"

static int send_outcome(int fd, uint32_t id, const struct outcome *outcome) {
  struct reply_record record = result_record(outcome);
  size_t size = 0;
  uint8_t *frame = frame_build(REPLY_TYPE, id, &record, 1, &size);
  if (!frame) return -ENOMEM;
  int error = send_whole(fd, frame, size);
  free(frame);
  return error;
}

int reply_run(int fd, uint32_t id, const struct run *run) {
  const struct outcome outcome = {
      .failed_index = run->failed_index,
      .error = run->error,
      .steps = {(const char *)run->steps, (uint32_t)(run->count * sizeof *run->steps)},
      .outputs = {run->outputs ? (const char *)run->outputs : "", (uint32_t)run->outputs_length},
      .message = {run->text, (uint32_t)strlen(run->text)}};
  return send_outcome(fd, id, &outcome);
}

int reply_error(int fd, uint32_t id, int error, const char *text) {
  const struct outcome outcome = outcome_errno(error, text);
  return send_outcome(fd, id, &outcome);
}
