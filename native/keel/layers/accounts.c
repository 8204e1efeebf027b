#define _GNU_SOURCE
#include "accounts.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "system.h"

/* An image may bring a FIFO, a device or a gigabyte in their place (CVE-2026-47262): regular files, read up to this. */
enum { MOST_BYTES = 10 * 1024 * 1024, FIELDS = 7 };

struct text_file {
  char *bytes;
  size_t length;
};

static struct text_file file_open(const char *path) {
  struct text_file none = {NULL, 0};
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = sys_openat2(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  close(root);
  if (fd < 0) return none;
  struct stat st;
  size_t length = 0;
  char *bytes = NULL;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MOST_BYTES) bytes = malloc((size_t)st.st_size);
  for (ssize_t n; bytes && length < (size_t)st.st_size && (n = read(fd, bytes + length, (size_t)st.st_size - length)) > 0;) length += (size_t)n;
  close(fd);
  return (struct text_file){bytes, length};
}

/* The next line split at colons; false at the end. */
static bool line_next(const struct text_file *file, size_t *at, struct blob fields[FIELDS]) {
  if (*at >= file->length) return false;
  const char *line = file->bytes + *at, *end = memchr(line, '\n', file->length - *at);
  size_t length = end ? (size_t)(end - line) : file->length - *at;
  *at += length + 1;
  for (int i = 0; i < FIELDS; i++) fields[i] = (struct blob){"", 0};
  for (int i = 0; i < FIELDS && line; i++) {
    const char *colon = i < FIELDS - 1 ? memchr(line, ':', length) : NULL;
    size_t part = colon ? (size_t)(colon - line) : length;
    fields[i] = (struct blob){line, (uint32_t)part};
    length -= colon ? part + 1 : part;
    line = colon ? colon + 1 : NULL;
  }
  return true;
}


enum number { NO_NUMBER, A_NUMBER, OUT_OF_RANGE };

/* Digits only; ids go up to 2^31-1 as with Docker. A number is never looked up as a name (CVE-2016-3697). */
static enum number number_of(struct blob text, unsigned *value) {
  unsigned long long sum = 0;
  uint32_t from = text.length > 1 && text.bytes[0] == '-';
  if (text.length == 0) return NO_NUMBER;
  for (uint32_t i = from; i < text.length; i++) {
    if (text.bytes[i] < '0' || text.bytes[i] > '9') return NO_NUMBER;
    if (sum <= INT_MAX) sum = sum * 10 + (unsigned)(text.bytes[i] - '0');
  }
  if (from || sum > INT_MAX) return OUT_OF_RANGE;
  *value = (unsigned)sum;
  return A_NUMBER;
}

static struct blob as_blob(const char *text) { return (struct blob){text, (uint32_t)strlen(text)}; }

static void copy_home(struct blob field, char home[HOME_BYTES]) {
  if (field.length == 0 || field.length >= HOME_BYTES) return;
  memcpy(home, field.bytes, field.length);
  home[field.length] = 0;
}

/* Fills uid, gid, home; `name` gets the name under which groups list the user. -ENOENT: not there. */
static int find_user(const struct text_file *passwd, struct account *account, struct blob user, struct blob *name) {
  unsigned wanted = 0;
  enum number kind = number_of(user, &wanted);
  if (kind == OUT_OF_RANGE) return -ERANGE;
  struct blob fields[FIELDS];
  for (size_t at = 0; passwd->bytes && line_next(passwd, &at, fields);) {
    unsigned uid, gid;
    if (number_of(fields[2], &uid) != A_NUMBER || number_of(fields[3], &gid) != A_NUMBER) continue;
    bool same = kind == A_NUMBER ? uid == wanted : fields[0].length == user.length && memcmp(fields[0].bytes, user.bytes, user.length) == 0;
    if (!same) continue;
    account->uid = uid;
    account->gid = gid;
    *name = fields[0];
    copy_home(fields[5], account->home);
    return 0;
  }
  account->uid = wanted;
  return kind == A_NUMBER ? 0 : -ENOENT;
}

static int find_group(const struct text_file *group, struct blob text, gid_t *gid) {
  unsigned wanted = 0;
  switch (number_of(text, &wanted)) {
    case OUT_OF_RANGE: return -ERANGE;
    case A_NUMBER: *gid = wanted; return 0;
    case NO_NUMBER: break;
  }
  struct blob fields[FIELDS];
  for (size_t at = 0; group->bytes && line_next(group, &at, fields);) {
    if (fields[0].length != text.length || memcmp(fields[0].bytes, text.bytes, text.length) != 0) continue;
    if (number_of(fields[2], &wanted) != A_NUMBER) continue;
    *gid = wanted;
    return 0;
  }
  return -ENOENT;
}

static void add_group(struct account *account, gid_t gid) {
  for (size_t i = 0; i < account->group_count; i++)
    if (account->groups[i] == gid) return;
  if (account->group_count < MOST_GROUPS) account->groups[account->group_count++] = gid;
}

static bool lists(struct blob members, struct blob name) {
  for (const char *at = members.bytes, *end = at + members.length; at < end;) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    size_t length = (size_t)((comma ? comma : end) - at);
    if (length == name.length && memcmp(at, name.bytes, length) == 0) return true;
    at += length + 1;
  }
  return false;
}

static void add_memberships(const struct text_file *group, struct account *account, struct blob name) {
  struct blob fields[FIELDS];
  unsigned gid;
  for (size_t at = 0; group->bytes && name.length && line_next(group, &at, fields);)
    if (lists(fields[3], name) && number_of(fields[2], &gid) == A_NUMBER) add_group(account, gid);
}

static int failed(int error, struct blob what, const char *kind, char *text, size_t size) {
  if (error == -ERANGE) snprintf(text, size, "uids and gids must be in range 0-2147483647");
  else if (*kind == 'u') snprintf(text, size, "unable to find user %.*s: no matching entries in passwd file", (int)what.length, what.bytes);
  else snprintf(text, size, "unable to find group %.*s: no matching entries in group file", (int)what.length, what.bytes);
  return error == -ERANGE ? -EINVAL : error;
}

static int resolve(const struct text_file *passwd, const struct text_file *group, struct account *account, const char *text_user, struct blob extra, char *text, size_t size) {
  const char *colon = strchr(text_user, ':');
  struct blob user = colon ? (struct blob){text_user, (uint32_t)(colon - text_user)} : as_blob(text_user), name = {"", 0};
  struct blob wanted_group = as_blob(colon ? colon + 1 : "");
  if (user.length == 0) user = as_blob("0");
  int error = find_user(passwd, account, user, &name);
  if (error) return failed(error, user, "user", text, size);
  if (wanted_group.length) error = find_group(group, wanted_group, &account->gid);
  if (error) return failed(error, wanted_group, "group", text, size);
  add_group(account, account->gid);
  if (!wanted_group.length) add_memberships(group, account, name);
  for (const char *one = list_next(extra, NULL); one; one = list_next(extra, one)) {
    gid_t gid;
    error = find_group(group, as_blob(one), &gid);
    if (error) return failed(error, as_blob(one), "group", text, size);
    add_group(account, gid);
  }
  return 0;
}

int account_find(struct account *account, const char *user, struct blob extra, char *text, size_t size) {
  memset(account, 0, sizeof *account);
  struct text_file passwd = file_open("/etc/passwd"), group = file_open("/etc/group");
  int error = resolve(&passwd, &group, account, user, extra, text, size);
  free(passwd.bytes);
  free(group.bytes);
  return error;
}

void account_home(uid_t uid, char home[HOME_BYTES]) {
  struct text_file passwd = file_open("/etc/passwd");
  struct blob fields[FIELDS];
  strcpy(home, "/");
  for (size_t at = 0; passwd.bytes && line_next(&passwd, &at, fields);) {
    unsigned value;
    if (number_of(fields[2], &value) != A_NUMBER || value != uid) continue;
    copy_home(fields[5], home);
    break;
  }
  free(passwd.bytes);
}
