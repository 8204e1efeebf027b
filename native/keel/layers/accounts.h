/* Users and groups of a root file system: /etc/passwd and /etc/group as they stand there, which is not to be trusted. */
#pragma once
#include <sys/types.h>
#include "wire.h"

enum { MOST_GROUPS = 1024, HOME_BYTES = 240 };

struct account {
  uid_t uid;
  gid_t gid;
  gid_t groups[MOST_GROUPS];
  size_t group_count;
  char home[HOME_BYTES];      /* empty: unknown */
};

/* Docker's "name|uid[:group|gid]" and additional groups (a list of names or numbers), looked up below "/". 0, or -errno with words in `text`. */
int account_find(struct account *account, const char *user, struct blob extra_groups, char *text, size_t text_size);
/* The home directory of a uid; "/" where there is none. */
void account_home(uid_t uid, char home[HOME_BYTES]);
