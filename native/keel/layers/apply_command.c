#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "apply.h"
#include "archive.h"
#include "archive_root.h"
#include "tree.h"

static int format_of(const char *text, enum apply_format *format) {
  *format = APPLY_LITERAL;
  if (!text || strcmp(text, "plain") == 0) return 0;
  *format = strcmp(text, "overlay") == 0 ? APPLY_OVERLAY : APPLY_DELETE;
  return *format == APPLY_OVERLAY || strcmp(text, "layer") == 0 ? 0 : -EINVAL;
}

/* "UID:GID" */
static int owner_of(const char *text, struct apply_options *options) {
  if (!text) return 0;
  char *end;
  errno = 0;
  unsigned long uid = strtoul(text, &end, 10), gid = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
  if (errno || *end || end == text || uid >= UINT32_MAX || gid >= UINT32_MAX) return -EINVAL;
  options->own = true;
  options->uid = (uint32_t)uid;
  options->gid = (uint32_t)gid;
  return 0;
}

/* It must be there, and a directory. 0 or -errno. */
static int check_place(int root, const char *place) {
  int fd = open_in_root(root, place, O_PATH | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  close(fd);
  return 0;
}

static void report_success(const struct apply_result *r) {
  char plain[2 * SHA256_BYTES + 1], stored[2 * SHA256_BYTES + 1];
  sha256_text(r->plain, plain);
  sha256_text(r->stored, stored);
  dprintf(1, "{\"entries\":%llu,\"plainDigest\":\"sha256:%s\",\"plainBytes\":%llu,\"storedDigest\":\"sha256:%s\",\"storedBytes\":%llu,\"refusedXattrs\":%llu}\n",
          (unsigned long long)r->entries, plain, (unsigned long long)r->plain_bytes, stored, (unsigned long long)r->stored_bytes, (unsigned long long)r->refused_xattrs);
}

/* As Docker unpacks into a container: "/" of the links on the way is the container's root, names are relative to the place. */
int apply_main(int argc, char **argv) {
  struct archive_arguments a;
  struct apply_options options = {0};
  struct apply_result result;
  char place[PATH_MAX];
  const char *what = "";
  if (archive_parse(argc, argv, &a)) return 1;
  if (format_of(a.format, &options.format)) return archive_report(EINVAL, "--format is plain, overlay or layer", a.format, 0);
  if (owner_of(a.chown, &options)) return archive_report(EINVAL, "--chown is UID:GID", a.chown, 0);
  if (path_clean(a.path ? a.path : "", place)) return archive_report(ENAMETOOLONG, "--path is too long", a.path, 0);
  prctl(PR_SET_NAME, "keel-apply");
  tree_raise_limit();
  options.root = archive_root(&a, &what);
  if (options.root < 0) return archive_report_path(options.root, what, a.directory ? a.directory : a.root ? a.root : "of the container");
  options.place = place;
  options.no_overwrite = a.no_overwrite;
  int error = check_place(options.root, place);
  if (error) return archive_report_path(error, "open", a.path);
  error = apply_stream(0, &options, &result);
  if (error) return archive_report(error, *result.text ? result.text : strerror(-error), result.entry, result.offset);
  report_success(&result);
  return 0;
}
