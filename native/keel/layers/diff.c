#define _GNU_SOURCE
#include "diff.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "pack.h"

static void digest(struct tar_writer *w, struct apply_result *r) {
  sha256_end(&w->stored, r->stored);
  sha256_end(&w->plain, r->plain);
  r->stored_bytes = w->stored_bytes;
  r->plain_bytes = w->plain_bytes;
  r->file_bytes = w->file_bytes;
}

static int fail(struct apply_result *r, int error, const char *what, const char *path) {
  snprintf(r->text, sizeof r->text, "%s %.300s: %s", what, path,
           error == -EOPNOTSUPP ? "it has a renamed directory of overlayfs (redirect), which a layer can't say" : strerror(-error));
  return error;
}

int diff_to_file(const char *upper, const char *blob, int compression, struct blob left_out, struct apply_result *r) {
  int from = tree_open(upper);
  if (from < 0) return fail(r, from, "open", upper);
  int to = *blob ? open(blob, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1, error = *blob && to < 0 ? -errno : 0;
  if (error) {
    close(from);
    return fail(r, error, "create", blob);
  }
  struct tar_writer writer;
  struct packing packing = {.writer = &writer, .whiteouts = true, .left_out = left_out};
  error = tar_write_open(&writer, to, compression);
  if (error == 0) error = pack_tree(&packing, from, ".");
  if (error) fail(r, error, "read", *packing.name ? packing.name : upper);
  if (error == 0 && (error = tar_write_end(&writer))) fail(r, error, "write", blob);
  if (error == 0) digest(&writer, r);
  tar_write_close(&writer);
  pack_close(&packing);
  close(from);
  if (to >= 0 && close(to) && error == 0) error = fail(r, -errno, "write", blob);
  if (error && *blob) unlink(blob);
  return error;
}
