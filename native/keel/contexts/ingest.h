/*
 * A build's context, a tar, on its way into the store of contexts: the bytes of each file become an object there (docs/protocols.md, "File
 * indexes"), everything else an entry of the context's index. Nothing is unpacked: no name of the archive ever is a path on the disk.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "body.h"
#include "tar.h"

enum { OBJECT_NAME_BYTES = 2 * SHA256_BYTES + 1 + 16 + 1, INGEST_MOST_ENTRIES = 4 * 1000 * 1000 };

struct index_entry {
  char *path, *link, *xattrs;  /* xattrs: the fields as they are written, xattrs_length bytes of them; NULL: none */
  size_t xattrs_length, xattr_count;
  uint64_t order, size;        /* order: later ones replace earlier ones of the same name */
  int64_t seconds;
  uint32_t nanoseconds, mode, uid, gid, major, minor;
  char kind;                   /* as the index has it; 'h': another name of the file at `link` */
  char sha256[2 * SHA256_BYTES + 1];
  struct index_entry *first;   /* of the names of one file */
};

struct index {
  struct index_entry *entries;
  size_t count, room;
  const char *problem, *path;  /* of a failure: what and whose */
};

/* Gives the entry the attributes, in the order of their names. 0 or -ENOMEM. */
int index_xattrs(struct index_entry *entry, const struct tar_xattr *list, size_t count);
/* Takes the entry's strings over. 0 or -errno. */
int index_add(struct index *index, const struct index_entry *entry);
void index_time(struct index_entry *entry, int64_t ns);
/* Sorted, with the directories that the archive left out, hard links resolved; a new file. 0 or -errno with `problem`. */
int index_write(struct index *index, const char *file);
void index_free(struct index *index);

/* The store: objects below one directory. */
struct objects {
  int directory;
  uint64_t made;              /* numbers names of files on their way */
  bool shelves[256];          /* known to be there */
  uint8_t *memory;            /* of OBJECT_MEMORY bytes */
  uint64_t most_holes;        /* bytes of one file that are nowhere, and take time to hash all the same */
};
enum { OBJECT_MEMORY = 1024 * 1024 };

int objects_open(struct objects *objects, const char *path);
/* The entry's bytes, which the tar is at: read, hashed, and put there unless they are. Fills entry->sha256. 0 or -errno. */
int objects_take(struct objects *objects, struct tar *tar, const struct tar_entry *from, struct index_entry *entry);
/* Name of an object below the store: SHELF/SHA256-ATTRIBUTES, the attributes those that what links to it shares. */
enum { OBJECT_PATH_BYTES = 160 };
void object_path(const struct index_entry *entry, char path[OBJECT_PATH_BYTES]);
/* All bytes of a file, whatever its size was; fills entry->size too. */
int objects_take_file(struct objects *objects, int fd, struct index_entry *entry);
void objects_close(struct objects *objects);

struct ingest_options {
  const char *store, *index;
  struct body *body;          /* the tar comes from there; NULL: from the descriptor */
  uint64_t most_holes;
};

struct ingest_failure {
  char text[800], entry[256]; /* whose */
  uint64_t offset;
};

/* A tar (plain, gzip, zstd) from `fd`. 0 or -errno (EBADMSG: the archive) with words; no index then. */
int ingest_stream(int fd, const struct ingest_options *options, struct ingest_failure *failure);

int ingest_main(int argc, char **argv);
