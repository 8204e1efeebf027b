/* Entries put into a layer's own directory, one after the other in the order of trees. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "ingest.h"
#include "tree.h"

/* What stands at `path` afterwards. Strings are the caller's. */
struct placement {
  struct index_entry entry;  /* kind as in an index, 'h': another name of what stands at `link` */
  bool has_object;
  struct index_entry object; /* of the store: what it is and the attributes it has */
  const char *source;        /* below the source directory; where there is no object */
  const char **xattrs;       /* names and values in hexadecimal, in turn */
};

struct placer {
  int upper, lower;          /* lower: what is seen below the layer; -1: nothing */
  int store, source;         /* -1: not given */
  uid_t uid;                 /* of directories that are made on the way */
  gid_t gid;
  char parent[PATH_MAX];     /* the directory in hand, with what is open of it */
  int in_upper, in_lower;    /* in_lower -1: the base does not have it */
  struct links linked;       /* objects that have a name in this layer */
  struct timed {
    char *path;
    struct timespec time;
  } *times;                  /* of directories: set last, as what is put into them changes them */
  size_t time_count, time_room;
  char problem[PATH_MAX + 128]; /* words of ours for the last error */
};

/* 0 or -errno; -ENOTDIR and -EISDIR with a problem where a directory and something else meet. */
int place_one(struct placer *placer, const struct placement *placement);
/* Once everything is in place. 0 or -errno. */
int place_times(struct placer *placer);
void place_close(struct placer *placer);
