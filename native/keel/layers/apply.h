/*
 * Unpacks a tar stream into one directory. Nothing is ever written outside of it: names are made absolute and cleaned, parents are
 * resolved with openat2(RESOLVE_IN_ROOT), everything else is relative to a descriptor and follows no link.
 *
 * The order per entry matters: bytes, then owner (chown clears set-id bits and capabilities), then extended attributes, then mode, then
 * times. Times of directories come last of all, because making entries changes them.
 */
#pragma once
#include <limits.h>
#include "tar.h"

enum apply_format {
  APPLY_OVERLAY, /* whiteouts become what overlayfs knows: character device 0:0, an opaque attribute */
  APPLY_DELETE,  /* whiteouts delete what was there before this archive */
  APPLY_LITERAL, /* no whiteouts: every name is a name */
};

struct apply_options {
  int root;                   /* what nothing leaves, and what links mean by "/" */
  const char *place;          /* directory below the root that names are relative to, cleaned; "" or NULL: the root itself */
  enum apply_format format;
  bool user_xattr;            /* user.overlay.* instead of trusted.overlay.* */
  bool no_overwrite;          /* a directory never replaces a file, nor a file a directory */
  bool own;                   /* everything belongs to uid and gid, whatever the archive says */
  uint32_t uid, gid;
};

enum { APPLY_TEXT_BYTES = 512 };

struct apply_result {
  uint8_t stored[SHA256_BYTES], plain[SHA256_BYTES];
  uint64_t plain_bytes, stored_bytes, file_bytes, entries, refused_xattrs, offset; /* file: of regular files and of symbolic links' text, hard links not counted */
  char text[APPLY_TEXT_BYTES]; /* of a failure */
  char entry[256];             /* whose */
};

/* 0 or -errno (EBADMSG: the archive) with text. */
int apply_stream(int fd, const struct apply_options *options, struct apply_result *result);

/* -- apply_path.c: names */

struct place {
  int root, fd;          /* of the parent that is remembered; -1: none */
  char parent[PATH_MAX];
};

/* The name as a path inside the root: no leading slash, no "." or "..", no double slash. "" is the root. -ENAMETOOLONG. */
int path_clean(const char *name, char clean[PATH_MAX]);
/* The same below a place: "" is the place itself. */
int path_in_place(const char *place, const char *name, char clean[PATH_MAX]);
/* The directory that `clean` is in (made when missing) and the last component. Descriptor (the place's own) or -errno. */
int place_parent(struct place *place, const char *clean, const char **base);
void place_forget(struct place *place);
/* openat2 inside the root; follows links that stay inside. */
int open_in_root(int root, const char *path, int flags, uint64_t resolve);

/* -- apply_seen.c: what this archive made, by name */

struct seen {
  uint64_t *slots;
  size_t used, room;
};
int seen_add(struct seen *seen, const char *clean);
bool seen_has(const struct seen *seen, const char *clean);

/* -- apply_entry.c */

struct apply_times {
  struct timespec pair[2]; /* read, modified */
};

struct late_times {
  char *path;
  struct apply_times times;
};

/* Where an entry goes. */
struct spot {
  int parent;                 /* directory */
  const char *base, *clean;   /* last component; the whole path inside the root */
  bool was_whiteout;          /* one of this layer stood there: what comes instead hides the layers below as well */
};

struct apply {
  const struct apply_options *options;
  struct apply_result *result;
  struct inflate in;
  struct tar tar;
  struct place place;
  struct seen seen;
  struct late_times *late;
  size_t late_count, late_room;
};

int apply_entry(struct apply *apply, const struct tar_entry *entry);
int apply_fail(struct apply *apply, int error, const char *what, const char *name);
/* apply_whiteout.c: 1: it was one and is dealt with; 0: an ordinary name; -errno */
int apply_whiteout(struct apply *apply, const struct tar_entry *entry, const struct spot *at);
int apply_opaque(struct apply *apply, int directory);
