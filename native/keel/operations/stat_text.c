#define _GNU_SOURCE
#include "stat_text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "apply.h"
#include "archive_root.h"

enum { MOST_LINKS = 255 };

/* The target of a link at a path without links on the way: its length, 0: it is none (or is not there), -errno. */
static ssize_t link_at(int root, const char *path, char target[PATH_MAX]) {
  int fd = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);
  if (fd < 0) return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
  ssize_t n = readlinkat(fd, "", target, PATH_MAX - 1);
  close(fd);
  if (n < 0) return 0;
  target[n] = 0;
  return n;
}

static void pop(char *path) {
  char *slash = strrchr(path, '/');
  if (slash) *slash = 0;
  else *path = 0;
}

/* Where a path leads, by names: unlike an open it also answers for what does not exist. */
static int resolve(int root, const char *path, char done[PATH_MAX]) {
  char rest[2 * PATH_MAX], target[PATH_MAX], tail[PATH_MAX];
  int links = 0;
  done[0] = 0;
  if (snprintf(rest, sizeof rest, "%s", path) >= PATH_MAX) return -ENAMETOOLONG;
  while (rest[strspn(rest, "/")]) {
    char *at = rest + strspn(rest, "/");
    size_t n = strcspn(at, "/"), length = strlen(done);
    if (length + n + 2 > PATH_MAX) return -ENAMETOOLONG;
    snprintf(tail, sizeof tail, "%s", at + n);
    if (n == 2 && at[0] == '.' && at[1] == '.') pop(done);
    else if (!(n == 1 && at[0] == '.')) {
      snprintf(done + length, PATH_MAX - length, "%s%.*s", length ? "/" : "", (int)n, at);
      ssize_t got = link_at(root, done, target);
      if (got < 0) return (int)got;
      if (got > 0) {
        if (++links > MOST_LINKS) return -ELOOP;
        if (target[0] == '/') done[0] = 0;
        else done[length] = 0;
        if ((size_t)got + strlen(tail) + 2 > PATH_MAX) return -ENAMETOOLONG;
        snprintf(rest, sizeof rest, "%s/%s", target, tail);
        continue;
      }
    }
    snprintf(rest, sizeof rest, "%s", tail);
  }
  return 0;
}

static int open_named(int root, const char *path, bool follow) {
  char clean[PATH_MAX];
  int error = path_clean(path, clean);
  if (error) return error;
  size_t length = strlen(path);
  bool directory = !*clean || path[length - 1] == '/' || (length > 1 && strcmp(path + length - 2, "/.") == 0);
  return open_in_root(root, clean, O_PATH | (directory ? O_DIRECTORY : follow ? 0 : O_NOFOLLOW), 0);
}

int stat_text(int root, const char *path, bool follow, char text[STAT_TEXT_BYTES]) {
  char clean[PATH_MAX], target[PATH_MAX] = "", name[2 * PATH_MAX], link[2 * PATH_MAX];
  int fd = open_named(root, path, follow);
  if (fd < 0) return fd;
  struct stat st;
  int error = fstatat(fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : path_clean(path, clean);
  close(fd);
  if (error) return error;
  bool is_link = S_ISLNK(st.st_mode);
  if (is_link) {
    target[0] = '/';
    char inside[PATH_MAX];
    error = resolve(root, clean, inside);
    if (error) return error;
    snprintf(target + 1, sizeof target - 1, "%.*s", PATH_MAX - 2, inside);
  }
  const char *slash = strrchr(clean, '/');
  json_string(name, sizeof name, *clean ? slash ? slash + 1 : clean : "/");
  json_string(link, sizeof link, target);
  return snprintf(text, STAT_TEXT_BYTES, "{\"name\":%s,\"mode\":%u,\"size\":%lld,\"uid\":%u,\"gid\":%u,\"mtimeSeconds\":%lld,\"mtimeNanoseconds\":%ld,\"linkTarget\":%s}",
                  name, st.st_mode, (long long)st.st_size, st.st_uid, st.st_gid, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, link);
}
