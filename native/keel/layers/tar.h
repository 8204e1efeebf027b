/*
 * Reads tar archives: V7, ustar, GNU (long names, base-256 numbers, sparse files) and pax (paths, times, sizes, extended attributes,
 * GNU.sparse 0.0, 0.1 and 1.0). pax: POSIX.1-2008 pax, section EXTENDED DESCRIPTION; GNU: the tar manual, appendix D.
 *
 * Lifecycle: tar_open -> tar_next -> (tar_data for its bytes; what is not taken is skipped) -> tar_next ... 0 -> tar_close.
 */
#pragma once
#include "inflate.h"

enum {
  TAR_BLOCK = 512,
  TAR_MOST_EXTRA = 1024 * 1024, /* bytes of one pax header or long name */
  TAR_MOST_XATTRS = 256,
  TAR_MOST_EXTENTS = 1 << 20,
  TAR_TEXT_BYTES = 400,
};

enum tar_type { TAR_FILE = '0', TAR_LINK = '1', TAR_SYMLINK = '2', TAR_CHAR = '3', TAR_BLOCK_DEVICE = '4', TAR_DIRECTORY = '5', TAR_FIFO = '6' };

struct tar_time {
  int64_t seconds;
  uint32_t nanoseconds;
  bool set;
};

struct tar_xattr {
  const char *name, *value;
  uint32_t length; /* of value, which may hold any byte */
};

/* A run of bytes that is stored; the rest of a sparse file is holes. */
struct tar_extent {
  uint64_t offset, length;
};

struct tar_entry {
  const char *name, *link;
  enum tar_type type;
  uint32_t mode, uid, gid, major, minor;
  uint64_t size;   /* of the file */
  struct tar_time mtime, atime;
  const struct tar_xattr *xattrs;
  size_t xattr_count;
  const struct tar_extent *extents;
  size_t extent_count;
  uint64_t offset; /* of its (first) header in the plain archive */
};

struct tar_text {
  char *bytes;
  size_t length, room;
};

struct tar_pax {
  struct tar_text text;  /* the records; names and values point into it */
  const char *path, *link, *sparse_name, *sparse_map;
  uint64_t size, uid, gid, sparse_size;
  bool has_size, has_uid, has_gid, has_sparse_size, sparse, sparse_in_data;
  uint64_t sparse_major, sparse_minor;
  struct tar_time mtime, atime;
};

struct tar {
  struct inflate *in;
  uint64_t left, padding; /* of the current entry's stored bytes */
  uint64_t entry_offset;
  struct tar_pax pax;
  struct tar_text name, link, scratch;
  struct tar_xattr xattrs[TAR_MOST_XATTRS];
  size_t xattr_count;
  struct tar_extent *extents;
  size_t extent_count, extent_room;
  char text[TAR_TEXT_BYTES];
};

int tar_open(struct tar *tar, struct inflate *in);
/* 1: an entry, valid until the next call; 0: the end; -EBADMSG or -errno with `text` saying what and where. */
int tar_next(struct tar *tar, struct tar_entry *entry);
/* The next stored bytes of the entry; 0 at their end. Taken by tar_take. */
ssize_t tar_data(struct tar *tar, const uint8_t **bytes);
void tar_take(struct tar *tar, size_t count);
void tar_close(struct tar *tar);

/* -- inside (tar_pax.c, tar_sparse.c) */
int tar_fail(struct tar *tar, int error, const char *what);
int tar_text_add(struct tar_text *text, const void *bytes, size_t length);
int tar_read_text(struct tar *tar, struct tar_text *text, uint64_t size);
int tar_pax_read(struct tar *tar, uint64_t size);
void tar_pax_reset(struct tar *tar);
int tar_extent_add(struct tar *tar, uint64_t offset, uint64_t length);
/* A header's number: octal or base-256. -EBADMSG. */
int tar_number(const uint8_t *field, size_t size, int64_t *value);
int tar_decimal(const char *text, size_t length, uint64_t *value);
int tar_sparse_gnu(struct tar *tar, const uint8_t header[TAR_BLOCK], uint64_t *size);
int tar_sparse_text(struct tar *tar, const char *map);
int tar_sparse_in_data(struct tar *tar);
int tar_sparse_check(struct tar *tar, uint64_t size);
