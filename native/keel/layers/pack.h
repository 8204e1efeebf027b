/* A tree as tar entries. */
#pragma once
#include "plan.h"
#include "tar_write.h"
#include "tree.h"

struct packing {
  struct tar_writer *writer;
  bool whiteouts;      /* overlayfs' marks become ".wh." names */
  bool skip_kernel;    /* proc, sysfs and their like: the directory, not what is in it */
  struct blob left_out; /* names in the archive, NUL separated: mount points of ours, when there is nothing in them */
  struct links links;
  char name[PATH_MAX]; /* in the archive, of what is at work */
};

/* `name` in `directory` and all below it, as packing->name; an empty name leaves out the entry of the top itself. */
int pack_tree(struct packing *packing, int directory, const char *name);
void pack_close(struct packing *packing);
