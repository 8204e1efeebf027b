/*
 * Writes tar archives: ustar headers, pax records where those are too narrow. Names are the caller's; times are whole seconds, as in
 * Docker's layers. The stream may be compressed, and is hashed on the way.
 *
 * Lifecycle: tar_write_open -> (tar_write_entry, then exactly `size` bytes by tar_write_bytes or tar_write_file)... -> tar_write_end.
 */
#pragma once
#include <limits.h>
#include <sys/stat.h>
#include "tar.h"

struct tar_writer {
  int fd, compression;     /* enum diff_compression */
  z_stream gzip;
  ZSTD_CCtx *zstd;
  uint8_t *out, *block;
  size_t out_used;
  struct sha256 stored, plain;
  uint64_t stored_bytes, plain_bytes, file_bytes; /* file: of regular files and of symbolic links' text, hard links not counted */
  struct tar_text pax;
};

/* fd -1: nothing is written, only hashed and counted. */
int tar_write_open(struct tar_writer *writer, int fd, int compression);
int tar_write_bytes(struct tar_writer *writer, const void *bytes, size_t length);
/* The header. A directory's name gets its slash here. 0 or -errno. */
int tar_write_entry(struct tar_writer *writer, const struct tar_entry *entry);
/* A regular file's bytes, `size` of them whatever happens to it meanwhile: zeros where it got shorter. With the padding. */
int tar_write_file(struct tar_writer *writer, int fd, uint64_t size);
/* The end blocks, and everything flushed. */
int tar_write_end(struct tar_writer *writer);
void tar_write_close(struct tar_writer *writer);

/* One entry made of what is at `name` in `directory`, with its bytes and attributes. Sockets are left out. 0 or -errno. */
struct tar_source {
  int directory;
  const char *name, *as;   /* as: its name in the archive */
  struct stat st;
  const char *hard_link;   /* NULL, or the name in the archive that it is another name of */
};
int tar_write_path(struct tar_writer *writer, const struct tar_source *source);
/* What a layer carries of a file's attributes; the directory becomes the working directory. The list is good until the next call. 0 or -errno. */
int tar_carried_xattrs(int directory, const char *name, struct tar_xattr list[TAR_MOST_XATTRS], size_t *count);
