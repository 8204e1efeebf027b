#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ingest.h"

enum { MOST_LINK_STEPS = 64 };

static int compare_names(const void *a, const void *b) {
  const struct tar_xattr *x = a, *y = b;
  return strcmp(x->name, y->name);
}

/* As fields of the index: name and value, the value in hexadecimal. */
int index_xattrs(struct index_entry *e, const struct tar_xattr *list, size_t count) {
  struct tar_xattr sorted[TAR_MOST_XATTRS];
  size_t room = 0;
  if (count == 0) return 0;
  memcpy(sorted, list, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_names);
  for (size_t i = 0; i < count; i++) room += strlen(sorted[i].name) + 2 + 2 * (size_t)sorted[i].length;
  e->xattrs = malloc(room + 1);
  if (!e->xattrs) return -ENOMEM;
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(sorted[i].name) + 1;
    memcpy(e->xattrs + e->xattrs_length, sorted[i].name, length);
    e->xattrs_length += length;
    for (uint32_t j = 0; j < sorted[i].length; j++) e->xattrs_length += (size_t)sprintf(e->xattrs + e->xattrs_length, "%02x", (uint8_t)sorted[i].value[j]);
    e->xattrs[e->xattrs_length++] = 0;
  }
  e->xattr_count = count;
  return 0;
}

void index_time(struct index_entry *e, int64_t ns) {
  e->seconds = ns / 1000000000 - (ns % 1000000000 < 0);
  e->nanoseconds = (uint32_t)(ns - e->seconds * 1000000000);
}

int index_add(struct index *index, const struct index_entry *entry) {
  if (index->count >= INGEST_MOST_ENTRIES) return -E2BIG;
  if (index->count == index->room) {
    size_t room = index->room ? 2 * index->room : 1024;
    struct index_entry *grown = realloc(index->entries, room * sizeof *grown);
    if (!grown) return -ENOMEM;
    index->entries = grown;
    index->room = room;
  }
  index->entries[index->count] = *entry;
  index->entries[index->count].order = index->count;
  index->count++;
  return 0;
}

void index_free(struct index *index) {
  for (size_t i = 0; i < index->count; i++) {
    free(index->entries[i].path);
    free(index->entries[i].link);
    free(index->entries[i].xattrs);
  }
  free(index->entries);
}

/* "/" before every other byte. */
static int compare_paths(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  int x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
  if (*a == '/' && (unsigned char)*b == 1) return -1;
  if (*b == '/' && (unsigned char)*a == 1) return 1;
  return x - y;
}

static int compare(const void *a, const void *b) {
  const struct index_entry *x = a, *y = b;
  int paths = compare_paths(x->path, y->path);
  return paths ? paths : x->order < y->order ? -1 : 1;
}

/* Of entries of one name the last one stays. */
static void drop_replaced(struct index *index) {
  size_t kept = 0;
  for (size_t i = 0; i < index->count; i++) {
    if (i + 1 < index->count && strcmp(index->entries[i].path, index->entries[i + 1].path) == 0) {
      free(index->entries[i].path);
      free(index->entries[i].link);
      free(index->entries[i].xattrs);
    } else {
      index->entries[kept++] = index->entries[i];
    }
  }
  index->count = kept;
}

static struct index_entry *find(const struct index *index, const char *path) {
  size_t low = 0, high = index->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_paths(path, index->entries[middle].path);
    if (order == 0) return &index->entries[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

static int fail(struct index *index, int error, const char *problem, const char *path) {
  index->problem = problem;
  index->path = path;
  return error;
}

static int add_directory(struct index *index, const char *path, size_t length) {
  struct index_entry made = {.kind = 'd', .mode = 0755, .nanoseconds = 1, .path = strndup(path, length), .link = strdup("")};
  int error = made.path && made.link ? index_add(index, &made) : -ENOMEM;
  if (error) free(made.path), free(made.link);
  return error;
}

/* Directories that the archive does not have are made, as unpacking would; their time, which no archive has, tells them apart. Entries below something else are refused. */
static int complete(struct index *index) {
  size_t count = index->count;
  for (size_t i = 0; i < count; i++) {
    const char *path = index->entries[i].path, *before = i ? index->entries[i - 1].path : "";
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
      size_t length = (size_t)(slash - path);
      /* What the entry before is in too has been looked at. */
      if (strncmp(before, path, length) == 0 && before[length] == '/') continue;
      char *parent = strndup(path, length);
      if (!parent) return fail(index, -ENOMEM, "out of memory", path);
      struct index found = {.entries = index->entries, .count = count};
      const struct index_entry *entry = find(&found, parent);
      free(parent);
      if (entry && entry->kind != 'd') return fail(index, -EBADMSG, "it is below something that is no directory", path);
      int error = entry ? 0 : add_directory(index, path, length);
      if (error) return fail(index, error, "too many entries", path);
    }
  }
  if (index->count > count) qsort(index->entries, index->count, sizeof *index->entries, compare);
  return 0;
}

/* Another name of a file has its attributes; of all its names the first one in order stands for it. */
static int resolve_links(struct index *index) {
  for (size_t i = 0; i < index->count; i++) {
    struct index_entry *e = &index->entries[i], *target = e;
    if (e->kind != 'h') continue;
    for (int steps = 0; target && target->kind == 'h'; steps++) target = steps < MOST_LINK_STEPS ? find(index, target->link) : NULL;
    if (!target || target->kind == 'd') return fail(index, -EBADMSG, "it is a hard link to nothing in the archive", e->path);
    if (!target->first || compare_paths(e->path, target->first->path) < 0) target->first = e;
    if (compare_paths(target->path, target->first->path) < 0) target->first = target;
  }
  for (size_t i = 0; i < index->count; i++) {
    struct index_entry *e = &index->entries[i], *target = e;
    while (target->kind == 'h') target = find(index, target->link);
    e->first = target->first;
  }
  return 0;
}

static void write_entry(FILE *file, const struct index *index, const struct index_entry *e) {
  const struct index_entry *from = e;
  while (from->kind == 'h') from = find(index, from->link);
  const char *link = from->kind == 'l' ? from->link : e->first && e->first != e ? e->first->path : "";
  long long ns = (long long)from->seconds * 1000000000LL + from->nanoseconds;
  fprintf(file, "%s%c%c %o %u %u %llu %lld %s %u %u %zu%c%s%c", e->path, 0, from->kind, from->mode, from->uid, from->gid, (unsigned long long)from->size, ns,
          *from->sha256 ? from->sha256 : "-", from->major, from->minor, from->xattr_count, 0, link, 0);
  if (from->xattrs_length) fwrite(from->xattrs, 1, from->xattrs_length, file);
}

int index_write(struct index *index, const char *path) {
  if (index->count) qsort(index->entries, index->count, sizeof *index->entries, compare);
  drop_replaced(index);
  int error = complete(index);
  if (error == 0) error = resolve_links(index);
  if (error) return error;
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
  if (!file) return fail(index, -errno, "the index can't be written", path);
  fprintf(file, "hull-index 1%c", 0);
  for (size_t i = 0; i < index->count; i++) write_entry(file, index, &index->entries[i]);
  fprintf(file, "%cend %zu%c", 0, index->count, 0);
  bool failed = ferror(file);
  if (fclose(file) || failed) error = fail(index, errno ? -errno : -EIO, "the index can't be written", path);
  if (error) unlink(path);
  return error;
}
