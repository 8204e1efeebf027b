/*
 * Whole directory trees, by descriptors only: no link is followed and no mount is crossed. Deep trees are fine: removal flattens them,
 * the others stop with a clear error where descriptors run out.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Deletes `name` in `directory`, whatever it is. Absent is fine. -EXDEV: something is mounted there. */
int tree_remove(int directory, const char *name);

/* The names in a directory, sorted by bytes. `first` is the storage of all. */
struct names {
  char *first;
  const char **list;
  size_t count;
};
int names_read(int directory, struct names *names);
void names_free(struct names *names);

/* Inodes with several names: the first name each was seen under. */
struct links {
  struct link_slot {
    uint64_t device, inode;
    char *path;
  } *slots;
  size_t used, room;
};
/* NULL and *error 0: it is new, and now known by `path`. */
const char *links_seen(struct links *links, const struct stat *st, const char *path, int *error);
void links_free(struct links *links);

/* A subdirectory for reading, not a link, not another mount. Descriptor or -errno. */
int tree_enter(int directory, const char *name);
/* An absolute path's directory for reading: -errno. */
int tree_open(const char *path);
/* Recursion needs a descriptor per level: as many as the hard limit gives. */
void tree_raise_limit(void);

struct tree_usage {
  uint64_t bytes, inodes;
};
int tree_usage(int directory, struct tree_usage *usage);
/* The contents of `from`, and its own mode, owner, times and attributes, into the directory `to`. */
int tree_copy(int from, int to, char *text, size_t text_size);
/* Copies extended attributes, but those of overlayfs itself. */
int tree_copy_xattrs(int from, int to);
/* A file's bytes into an empty one: shared where the file system can, holes stay holes. */
int tree_copy_bytes(int from, int to, off_t size);
