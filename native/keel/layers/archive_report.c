#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "archive_root.h"

/* The closed set of words that hulld maps to its own errors. */
static const char *code_of(int error) {
  switch (error < 0 ? -error : error) {
    case ENOENT: return "not-found";
    case EROFS: return "read-only";
    case ENOTDIR: return "not-a-directory";
    case EISDIR: return "is-a-directory";
    case EBADMSG: return "bad-archive";
    case ENOSPC:
    case EDQUOT: return "no-space";
    case EOPNOTSUPP: return "not-supported";
    case EEXIST: return "already-exists";
    case EACCES:
    case EPERM: return "permission-denied";
    case EBUSY:
    case EXDEV: return "busy";
    case ELOOP: return "too-many-links";
    case ENAMETOOLONG: return "name-too-long";
    case EINVAL: return "invalid-argument";
    case ESRCH: return "no-such-process";
    case EPIPE: return "closed";
    default: return "unknown";
  }
}

/* Length of the UTF-8 sequence at `p`, 0: it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *p) {
  size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p <= 0xdf ? 2 : *p >= 0xe0 && *p <= 0xef ? 3 : *p >= 0xf0 && *p <= 0xf4 ? 4 : 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)) return 0;
  return n;
}

size_t json_string(char *into, size_t size, const char *text) {
  size_t at = 0;
  into[at++] = '"';
  for (const unsigned char *p = (const unsigned char *)text; *p && at + 8 < size;) {
    size_t n = utf8_length(p);
    if (n == 0) at += (size_t)snprintf(into + at, size - at, "\\ufffd");
    else if (*p == '"' || *p == '\\') at += (size_t)snprintf(into + at, size - at, "\\%c", *p);
    else if (*p < 0x20) at += (size_t)snprintf(into + at, size - at, "\\u%04x", *p);
    else memcpy(into + at, p, n), at += n;
    p += n ? n : 1;
  }
  into[at++] = '"';
  into[at] = 0;
  return at;
}

int archive_report(int error, const char *message, const char *entry, uint64_t offset) {
  char words[2048], name[2048];
  json_string(words, sizeof words, message);
  json_string(name, sizeof name, entry ? entry : "");
  dprintf(2, "{\"code\":\"%s\",\"errno\":%d,\"message\":%s,\"entry\":%s,\"offset\":%llu}\n", code_of(error), error < 0 ? -error : error, words, name, (unsigned long long)offset);
  return 1;
}

int archive_report_path(int error, const char *what, const char *path) {
  char message[1024];
  snprintf(message, sizeof message, "%s %.600s: %s", what, path ? path : "", strerror(error < 0 ? -error : error));
  return archive_report(error, message, path, 0);
}

struct option {
  const char *name;
  const char **text;
  bool *flag;
};

static int take(const struct option *options, char **argv, int left) {
  for (const struct option *o = options; o->name; o++) {
    if (strcmp(o->name, argv[0])) continue;
    if (o->flag) *o->flag = true;
    if (!o->text) return 1;
    if (left < 2) return archive_report(EINVAL, "an option lacks its value", argv[0], 0), -EINVAL;
    *o->text = argv[1];
    return 2;
  }
  return archive_report(EINVAL, "unknown option", argv[0], 0), -EINVAL;
}

int archive_parse(int argc, char **argv, struct archive_arguments *a) {
  *a = (struct archive_arguments){0};
  const char *pid = NULL, *bind = NULL;
  bool keep_owners = false; /* what the archive says is what is done anyway */
  const struct option options[] = {
      {"--directory", &a->directory, NULL}, {"--root", &a->root, NULL}, {"--path", &a->path, NULL}, {"--name", &a->name, &a->name_given},
      {"--format", &a->format, NULL}, {"--chown", &a->chown, NULL}, {"--pid", &pid, NULL}, {"--bind", &bind, NULL},
      {"--read-only", NULL, &a->read_only}, {"--no-overwrite-dir-non-dir", NULL, &a->no_overwrite}, {"--follow", NULL, &a->follow},
      {"--copy-uidgid", NULL, &keep_owners}, {NULL, NULL, NULL}};
  for (int i = 1; i < argc;) {
    int used = take(options, argv + i, argc - i);
    if (used < 0) return used;
    i += used;
    if (!bind) continue;
    if (a->bind_count == MOST_BINDS) return archive_report(E2BIG, "too many --bind", bind, 0), -EINVAL;
    a->binds[a->bind_count++] = bind;
    bind = NULL;
  }
  if (pid) a->pid = atoi(pid);
  if (pid && a->pid <= 0) return archive_report(EINVAL, "--pid is no process id", pid, 0), -EINVAL;
  if (!a->directory + !a->root + !pid != 2) return archive_report(EINVAL, "exactly one of --directory, --root and --pid is needed", NULL, 0), -EINVAL;
  return 0;
}
