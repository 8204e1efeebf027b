/* The process's user: by number, or by name from the container's own /etc/passwd and /etc/group. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "plan.h"
#include "system.h"

enum { MOST_FILE = 10 * 1024 * 1024, MOST_GROUPS = 256, MOST_ID = 0x7fffffff };

struct identity {
  uid_t uid;
  gid_t gid;
  gid_t groups[MOST_GROUPS];
  size_t group_count;
};

static int apply(const struct identity *id, mode_t mask) {
  prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  for (int fd = 0; fd < 3; fd++) { /* the user must be able to open its own /dev/stdout again */
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_uid != id->uid && !(S_ISCHR(st.st_mode) && st.st_rdev == 0x103)) (void)!fchown(fd, id->uid, (gid_t)-1);
  }
  if (syscall(SYS_setgroups, id->group_count, id->groups)) return -errno;
  if (syscall(SYS_setresgid, id->gid, id->gid, id->gid) || syscall(SYS_setresuid, id->uid, id->uid, id->uid)) return -errno;
  umask(mask);
  return 0;
}

int op_set_user(struct run *run, const struct record *r) {
  (void)run;
  struct identity id = {.uid = (uid_t)r->i[0], .gid = (gid_t)r->i[1], .group_count = r->b[0].length / 4};
  if (r->b[0].length % 4 || id.group_count > MOST_GROUPS) return -EINVAL;
  memcpy(id.groups, r->b[0].bytes, r->b[0].length);
  return apply(&id, (mode_t)r->i[2]);
}

/* -- names -------------------------------------------------------------------------------------------------------- */

/* NULL when absent; *error -EINVAL for anything but a regular file of bearable size (CVE-2026-47262). */
static char *read_database(const char *path, int *error) {
  int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_NO_MAGICLINKS);
  *error = 0;
  if (fd < 0) return NULL;
  struct stat st;
  char *text = NULL;
  if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > MOST_FILE) *error = -EINVAL;
  else text = calloc(1, (size_t)st.st_size + 1);
  size_t length = 0;
  ssize_t n;
  while (text && length < (size_t)st.st_size && (n = read(fd, text + length, (size_t)st.st_size - length)) > 0) length += (size_t)n;
  close(fd);
  return text;
}

/* The fields of a line; how many there are. The line is changed. */
static int fields_of(char *line, char *fields[7]) {
  int n = 0;
  for (char *at = line; at && n < 7;) fields[n++] = strsep(&at, ":");
  return n;
}

/* Is all of it a number in range? A number is never looked up as a name (CVE-2016-3697, CVE-2026-46680). */
static int parse_id(const char *text, uint32_t *id) {
  if (!*text) return -ENOENT;
  for (const char *c = text; *c; c++)
    if (!isdigit((unsigned char)*c)) return -ENOENT;
  unsigned long long value = strlen(text) > 10 ? ~0ull : strtoull(text, NULL, 10);
  if (value > MOST_ID) return -ERANGE;
  *id = (uint32_t)value;
  return 0;
}

static int find_user(struct run *run, char *passwd, const char *user, struct identity *id, char name[64]) {
  uint32_t number = 0;
  int numeric = parse_id(user, &number);
  if (numeric == -ERANGE) return run_fail(run, -EINVAL, "uids and gids must be in range 0-2147483647");
  char *fields[7];
  for (char *at = passwd, *line; at && (line = strsep(&at, "\n"));) {
    if (fields_of(line, fields) < 6) continue;
    uint32_t uid, gid;
    if (parse_id(fields[2], &uid) || parse_id(fields[3], &gid)) continue;
    if (numeric == 0 ? uid != number : strcmp(fields[0], user) != 0) continue;
    id->uid = uid;
    id->gid = gid;
    snprintf(name, 64, "%s", fields[0]);
    snprintf(run->home, sizeof run->home, "HOME=%s", *fields[5] ? fields[5] : "/");
    return 0;
  }
  if (numeric) return run_fail(run, -EINVAL, "unable to find user %s: no matching entries in passwd file", user);
  id->uid = number;
  id->gid = 0;
  snprintf(run->home, sizeof run->home, "HOME=/");
  return 0;
}

static bool lists_member(char *members, const char *name) {
  for (char *at = members, *member; at && (member = strsep(&at, ","));)
    if (*name && strcmp(member, name) == 0) return true;
  return false;
}

static void add_group(struct identity *id, gid_t gid) {
  for (size_t i = 0; i < id->group_count; i++)
    if (id->groups[i] == gid) return;
  if (id->group_count < MOST_GROUPS) id->groups[id->group_count++] = gid;
}

static bool group_by_name(const char *text, const char *name, gid_t *gid) {
  char *copy = strdup(text ? text : ""), *fields[7];
  bool found = false;
  for (char *at = copy, *line; !found && at && (line = strsep(&at, "\n"));)
    found = fields_of(line, fields) >= 3 && strcmp(fields[0], name) == 0 && parse_id(fields[2], gid) == 0;
  free(copy);
  return found;
}

static int resolve_group(struct run *run, const char *text, const char *name, gid_t *gid) {
  int error = parse_id(name, gid);
  if (error == -ERANGE) return run_fail(run, -EINVAL, "uids and gids must be in range 0-2147483647");
  if (error == 0 || group_by_name(text, name, gid)) return 0;
  return run_fail(run, -EINVAL, "unable to find group %s: no matching entries in group file", name);
}

static void own_groups(char *text, const char *name, struct identity *id) {
  char *fields[7];
  for (char *at = text, *line; at && (line = strsep(&at, "\n"));) {
    gid_t gid;
    if (fields_of(line, fields) >= 4 && parse_id(fields[2], &gid) == 0 && lists_member(fields[3], name)) add_group(id, gid);
  }
}

static int resolve(struct run *run, const struct record *r, char *passwd, char *group, struct identity *id) {
  char user[256], name[64] = "";
  if (r->b[0].length >= sizeof user) return -ENAMETOOLONG;
  memcpy(user, r->b[0].bytes, r->b[0].length + 1);
  char *group_name = strchr(user, ':');
  if (group_name) *group_name++ = 0;
  int error = find_user(run, passwd, *user ? user : "0", id, name);
  if (error == 0 && group_name && *group_name) error = resolve_group(run, group, group_name, &id->gid);
  for (const char *extra = list_next(r->b[1], NULL); extra && error == 0; extra = list_next(r->b[1], extra)) {
    gid_t gid;
    error = resolve_group(run, group, extra, &gid);
    if (error == 0) add_group(id, gid);
  }
  if (error == 0 && !(group_name && *group_name) && group) own_groups(group, name, id);
  add_group(id, id->gid);
  return error;
}

int op_set_user_by_name(struct run *run, const struct record *r) {
  int error, group_error;
  struct identity id = {0};
  char *passwd = read_database("/etc/passwd", &error), *group = read_database("/etc/group", &group_error);
  if (error || group_error) error = run_fail(run, -EINVAL, "%s in the image is no regular file of at most 10 MiB", error ? "/etc/passwd" : "/etc/group");
  else error = resolve(run, r, passwd, group, &id);
  free(passwd);
  free(group);
  return error ? error : apply(&id, (mode_t)r->i[0]);
}
