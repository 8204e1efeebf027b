#define _GNU_SOURCE
#include "apply.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that this archive replaced again is no directory any more, or gone. */
static int set_late_times(struct apply *a) {
  for (size_t i = 0; i < a->late_count; i++) {
    int fd = open_in_root(a->options->root, a->late[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) continue;
    if (fd < 0) return apply_fail(a, fd, "open", a->late[i].path);
    int error = futimens(fd, a->late[i].times.pair) ? -errno : 0;
    close(fd);
    if (error) return apply_fail(a, error, "set the times of", a->late[i].path);
  }
  return 0;
}

/* The archive's own complaint, for what apply_fail has not worded. */
static int fail_of_archive(struct apply *a, int error) {
  struct apply_result *r = a->result;
  const char *text = *a->tar.text ? a->tar.text : a->in.problem ? a->in.problem : strerror(-error);
  if (*a->tar.text || !*r->text) {
    snprintf(r->text, sizeof r->text, "%s", text);
    r->offset = a->tar.entry_offset;
  }
  return error;
}

static int apply_all(struct apply *a) {
  struct tar_entry entry;
  int got;
  while ((got = tar_next(&a->tar, &entry)) > 0) {
    int error = apply_entry(a, &entry);
    if (error) return *a->tar.text ? fail_of_archive(a, error) : error;
    a->result->entries++;
  }
  if (got < 0) return fail_of_archive(a, got);
  int error = inflate_drain(&a->in);
  return error ? fail_of_archive(a, error) : set_late_times(a);
}

static void digest(struct apply *a) {
  struct apply_result *r = a->result;
  sha256_end(&a->in.stored, r->stored);
  sha256_end(&a->in.plain, r->plain);
  r->plain_bytes = a->in.plain_bytes;
  r->stored_bytes = a->in.stored_bytes;
}

static void release(struct apply *a) {
  place_forget(&a->place);
  for (size_t i = 0; i < a->late_count; i++) free(a->late[i].path);
  free(a->late);
  free(a->seen.slots);
  tar_close(&a->tar);
  inflate_close(&a->in);
}

int apply_stream(int fd, const struct apply_options *options, struct apply_result *result) {
  memset(result, 0, sizeof *result);
  struct apply *a = calloc(1, sizeof *a);
  if (!a) return -ENOMEM;
  a->options = options;
  a->result = result;
  a->place = (struct place){.root = options->root, .fd = -1};
  mode_t mask = umask(0);
  int error = inflate_open(&a->in, fd, true);
  if (error == 0) error = tar_open(&a->tar, &a->in);
  if (error == 0) error = apply_all(a);
  if (error == 0) digest(a);
  release(a);
  free(a);
  umask(mask);
  return error;
}
