#define _GNU_SOURCE
#include "tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

struct name_bytes {
  char *first;
  size_t used, room, count;
};

static int add_name(struct name_bytes *b, const char *name) {
  size_t size = strlen(name) + 1;
  if (b->used + size > b->room) {
    size_t room = b->room ? b->room * 2 : 4096;
    char *grown = realloc(b->first, room);
    if (!grown) return -ENOMEM;
    b->first = grown;
    b->room = room;
  }
  memcpy(b->first + b->used, name, size);
  b->used += size;
  b->count++;
  return 0;
}

static int read_all(int directory, struct name_bytes *bytes) {
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its own position */
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (!dir) {
    int error = -errno;
    if (copy >= 0) close(copy);
    return error;
  }
  int error = 0;
  for (struct dirent *d; error == 0;) {
    errno = 0;
    if (!(d = readdir(dir))) {
      error = -errno;
      break;
    }
    if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..")) error = add_name(bytes, d->d_name);
  }
  closedir(dir);
  return error;
}

int names_read(int directory, struct names *names) {
  struct name_bytes bytes = {0};
  int error = read_all(directory, &bytes);
  *names = (struct names){.first = bytes.first, .count = bytes.count};
  if (error == 0 && bytes.count) {
    names->list = malloc(bytes.count * sizeof *names->list);
    if (!names->list) error = -ENOMEM;
  }
  if (error) {
    names_free(names);
    return error;
  }
  const char *at = bytes.first;
  for (size_t i = 0; i < bytes.count; i++, at += strlen(at) + 1) names->list[i] = at;
  if (bytes.count) qsort(names->list, bytes.count, sizeof *names->list, by_bytes);
  return 0;
}

void names_free(struct names *names) {
  free(names->first);
  free(names->list);
  *names = (struct names){0};
}

static struct link_slot *link_slot_of(struct links *l, uint64_t device, uint64_t inode) {
  size_t at = (inode * 0x9e3779b97f4a7c15u ^ device) & (l->room - 1);
  while (l->slots[at].path && (l->slots[at].inode != inode || l->slots[at].device != device)) at = (at + 1) & (l->room - 1);
  return &l->slots[at];
}

static int links_grow(struct links *l) {
  struct links grown = {.room = l->room ? l->room * 2 : 256, .used = l->used};
  grown.slots = calloc(grown.room, sizeof *grown.slots);
  if (!grown.slots) return -ENOMEM;
  for (size_t i = 0; i < l->room; i++)
    if (l->slots[i].path) *link_slot_of(&grown, l->slots[i].device, l->slots[i].inode) = l->slots[i];
  free(l->slots);
  *l = grown;
  return 0;
}

const char *links_seen(struct links *l, const struct stat *st, const char *path, int *error) {
  *error = l->used * 2 >= l->room ? links_grow(l) : 0;
  if (*error) return NULL;
  struct link_slot *slot = link_slot_of(l, st->st_dev, st->st_ino);
  if (slot->path) return slot->path;
  char *copy = strdup(path);
  if (!copy) *error = -ENOMEM;
  else l->used++;
  *slot = (struct link_slot){st->st_dev, st->st_ino, copy};
  return NULL;
}

void links_free(struct links *l) {
  for (size_t i = 0; i < l->room; i++) free(l->slots[i].path);
  free(l->slots);
  *l = (struct links){0};
}

int tree_open(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

void tree_raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit); /* if it is refused, trees may be less deep */
}
