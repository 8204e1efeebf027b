/* Who the process is. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "accounts.h"
#include "plan.h"

/* The process must be able to open /dev/stdout again. What can't be given away (a read-only device, a user namespace) stays. */
static void give_stdio(uid_t uid) {
  for (int fd = 0; fd < 3; fd++) {
    struct stat st;
    if (fstat(fd, &st) || st.st_uid == uid) continue;
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) continue;
    if (fchown(fd, uid, st.st_gid)) continue;
  }
}

static int become(uid_t uid, gid_t gid, mode_t mask) {
  give_stdio(uid);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) return -errno;
  if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) return -errno;
  umask(mask);
  return 0;
}

static void remember_home(struct run *run, uid_t uid, const char *home) {
  char found[HOME_BYTES];
  if (!*home) account_home(uid, found);
  snprintf(run->home, sizeof run->home, "HOME=%s", *home ? home : found);
}

int op_set_user(struct run *run, const struct record *r) {
  gid_t groups[MOST_GROUPS];
  size_t count = r->b[0].length / sizeof(gid_t);
  if (count > MOST_GROUPS || r->b[0].length % sizeof(gid_t)) return -EINVAL;
  memcpy(groups, r->b[0].bytes, count * sizeof(gid_t));
  remember_home(run, (uid_t)r->i[0], "");
  if (!r->i[3] && setgroups(count, groups)) return -errno;
  return become((uid_t)r->i[0], (gid_t)r->i[1], (mode_t)r->i[2]);
}

int op_set_user_by_name(struct run *run, const struct record *r) {
  struct account account;
  int error = account_find(&account, r->b[0].bytes, r->b[1], run->text, sizeof run->text);
  if (error) return error;
  remember_home(run, account.uid, account.home);
  if (setgroups(account.group_count, account.groups)) return -errno;
  return become(account.uid, account.gid, (mode_t)r->i[0]);
}
