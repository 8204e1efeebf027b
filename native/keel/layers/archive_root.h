/* What apply, archive and stat work in: a directory, or what a container's process sees. And how they report. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_BINDS = 64 };

struct archive_arguments {
  const char *directory, *root, *path, *name, *format, *chown;
  int pid;
  bool read_only, no_overwrite, follow, name_given;
  const char *binds[MOST_BINDS]; /* SOURCE:DESTINATION[:ro] */
  size_t bind_count;
};

/* 0, or -EINVAL after a report. */
int archive_parse(int argc, char **argv, struct archive_arguments *arguments);
/*
 * The descriptor (O_PATH) of the root that the arguments name, or -errno with `what` saying what failed. With --pid this process enters
 * that process's mount namespace and root; with --bind or --read-only a mount namespace of its own. Both end with the process.
 */
int archive_root(const struct archive_arguments *arguments, const char **what);

/* One line of JSON on stderr; returns the exit code, 1. */
int archive_report(int error, const char *message, const char *entry, uint64_t offset);
int archive_report_path(int error, const char *what, const char *path);
/* `text` as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD. Returns the length written (less than size). */
size_t json_string(char *into, size_t size, const char *text);
