#define _GNU_SOURCE
#include "layers.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "apply.h"
#include "diff.h"
#include "title.h"
#include "tree.h"

int layer_run(struct run *run, const char *title, void (*work)(const struct record *, struct layer_answer *), const struct record *record) {
  struct layer_answer *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (answer == MAP_FAILED) return -ENOMEM;
  answer->error = -ECHILD; /* until it says otherwise */
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    title_set(title, title);
    work(record, answer);
    _exit(0);
  }
  int status = 0, error = child < 0 ? -errno : 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (error == 0) error = answer->error;
  if (error == -ECHILD) error = run_fail(run, error, "the process at work was ended by signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  else if (error) error = run_fail(run, error, "%s", answer->text);
  else error = run_output(run, answer->output, sizeof answer->output);
  munmap(answer, sizeof *answer);
  return error;
}

static void put_output(uint8_t output[88], const struct apply_result *r) {
  memcpy(output, r->stored, SHA256_BYTES);
  memcpy(output + 32, r->plain, SHA256_BYTES);
  memcpy(output + 64, &r->plain_bytes, 8);
  memcpy(output + 72, &r->stored_bytes, 8);
  memcpy(output + 80, &r->file_bytes, 8);
}

static void apply_work(const struct record *r, struct layer_answer *answer) {
  struct apply_options options = {.format = r->i[0] ? APPLY_DELETE : APPLY_OVERLAY, .user_xattr = r->i[1] & 1};
  struct apply_result result = {0};
  tree_raise_limit();
  int blob = open(r->b[0].bytes, O_RDONLY | O_CLOEXEC), error = blob < 0 ? -errno : 0;
  if (error) snprintf(answer->text, sizeof answer->text, "open %.300s: %s", r->b[0].bytes, strerror(-error));
  options.root = error ? -1 : tree_open(r->b[1].bytes);
  if (error == 0 && options.root < 0) {
    error = options.root;
    snprintf(answer->text, sizeof answer->text, "open %.300s: %s", r->b[1].bytes, strerror(-error));
  }
  if (error == 0) {
    error = apply_stream(blob, &options, &result);
    snprintf(answer->text, sizeof answer->text, "%s", result.text);
    put_output(answer->output, &result);
  }
  answer->error = error;
}

int op_apply_layer(struct run *run, const struct record *r) {
  if (r->i[0] > 1 || !blob_is_text(r->b[0]) || !blob_is_text(r->b[1])) return -EINVAL;
  return layer_run(run, "keel-apply", apply_work, r);
}

static void diff_work(const struct record *r, struct layer_answer *answer) {
  struct apply_result result = {0};
  tree_raise_limit();
  answer->error = diff_to_file(r->b[0].bytes, r->b[1].bytes, (int)r->i[0], r->b[2], &result);
  snprintf(answer->text, sizeof answer->text, "%s", result.text);
  put_output(answer->output, &result);
}

int op_diff_layer(struct run *run, const struct record *r) {
  if (r->i[0] > 2 || !blob_is_text(r->b[0]) || !blob_is_text(r->b[1])) return -EINVAL;
  return layer_run(run, "keel-diff", diff_work, r);
}

static void hash_work(const struct record *r, struct layer_answer *answer) {
  struct inflate in;
  int fd = open(r->b[0].bytes, O_RDONLY | O_CLOEXEC), error = fd < 0 ? -errno : inflate_open(&in, fd, true);
  if (error) {
    snprintf(answer->text, sizeof answer->text, "read %.300s: %s", r->b[0].bytes, strerror(-error));
    answer->error = error;
    return;
  }
  if (!r->i[0]) in.kind = INFLATE_PLAIN; /* as it is, whatever it looks like */
  answer->error = inflate_drain(&in);
  if (answer->error) snprintf(answer->text, sizeof answer->text, "read %.200s: %s", r->b[0].bytes, in.problem ? in.problem : strerror(-answer->error));
  sha256_end(&in.stored, answer->output);
  memcpy(answer->output + 32, &in.stored_bytes, 8);
  sha256_end(&in.plain, answer->output + 40);
  memcpy(answer->output + 72, &in.plain_bytes, 8);
  inflate_close(&in);
}

int op_hash_file(struct run *run, const struct record *r) {
  if (r->i[0] > 1 || !blob_is_text(r->b[0])) return -EINVAL;
  return layer_run(run, "keel-hash", hash_work, r);
}
