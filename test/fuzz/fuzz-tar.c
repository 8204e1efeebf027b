/*
 * Feeds mutated archives to keel's apply and ingest, in this process, which ASan and UBSan watch. It runs in a chroot of its own: whatever left the
 * target directory would land among the canaries around it, whose picture is compared again and again.
 *
 *   fuzz-tar SECONDS SEED CORPUS-DIRECTORY WORK-DIRECTORY CASE-FILE
 *
 * The case at work is in CASE-FILE, so that it is there after a crash. Same seed and corpus, same cases.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../../native/keel/layers/apply.h"
#include "../../native/keel/contexts/ingest.h"
#include "../../native/keel/layers/tree.h"

enum { MOST_SEEDS = 64, MOST_BYTES = 256 * 1024, BATCH = 100, BLOCK = 512 };

struct bytes {
  uint8_t *at;
  size_t length;
};

static struct bytes seeds[MOST_SEEDS];
static size_t seed_count;
static uint64_t state;
static uint8_t *work;
static size_t work_length;
static int outside = -1;

static uint64_t next_random(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1du;
}

static size_t below(size_t n) { return n ? (size_t)(next_random() % n) : 0; }

static _Noreturn void die(const char *what) {
  perror(what);
  exit(2);
}

static void load(const char *directory) {
  struct names names;
  int fd = tree_open(directory);
  if (fd < 0 || names_read(fd, &names)) die(directory);
  for (size_t i = 0; i < names.count && seed_count < MOST_SEEDS; i++) {
    int file = openat(fd, names.list[i], O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (file < 0 || fstat(file, &st) || st.st_size > MOST_BYTES) die(names.list[i]);
    struct bytes seed = {malloc((size_t)st.st_size + 1), (size_t)st.st_size};
    if (read(file, seed.at, seed.length) != (ssize_t)seed.length) die(names.list[i]);
    close(file);
    seeds[seed_count++] = seed;
  }
  names_free(&names);
  close(fd);
}

/* -- mutations ------------------------------------------------------------------------------------------------------- */

static const char *const words[] = {
    "../../../../escaped", "/escaped", "a/../../escaped", ".wh.", ".wh..", ".wh...", ".wh..wh..opq", "a/.wh..wh..opq", ".", "..", "/", "",
    "link/escaped", "./././.", "//canary/file", "path=../escaped\n", "99999999999", "77777777777", "-1", "\xff\xff\xff\xff\xff\xff\xff\xff",
    "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "GNU.sparse.map=1,2,3", "SCHILY.xattr.trusted.overlay.opaque=y\n", "30 mtime=1.5\n"};

static void put(size_t at, const void *from, size_t length) {
  if (at + length <= work_length) memcpy(work + at, from, length);
}

static void change_word(void) {
  static const size_t fields[] = {0, 100, 108, 116, 124, 136, 156, 157, 257, 329, 345, 386, 483, 512};
  const char *word = words[below(sizeof words / sizeof *words)];
  put(below(work_length / BLOCK + 1) * BLOCK + fields[below(sizeof fields / sizeof *fields)], word, strlen(word) + 1);
}

static void change_type(void) {
  static const char types[] = "0123456xgLKSDVMX7\0A";
  put(below(work_length / BLOCK + 1) * BLOCK + 156, &types[below(sizeof types)], 1);
}

static void move_block(bool insert) {
  size_t blocks = work_length / BLOCK;
  if (blocks < 2) return;
  size_t from = below(blocks) * BLOCK, to = below(blocks) * BLOCK;
  if (insert && work_length + BLOCK <= MOST_BYTES) {
    uint8_t copy[BLOCK];
    memcpy(copy, work + from, BLOCK);
    memmove(work + to + BLOCK, work + to, work_length - to);
    memcpy(work + to, copy, BLOCK);
    work_length += BLOCK;
  } else if (!insert) {
    memmove(work + to, work + to + BLOCK, work_length - to - BLOCK);
    work_length -= BLOCK;
  }
}

static void splice_seed(void) {
  const struct bytes *other = &seeds[below(seed_count)];
  size_t from = below(other->length / BLOCK + 1) * BLOCK, to = below(work_length / BLOCK + 1) * BLOCK;
  size_t n = other->length - from < MOST_BYTES - to ? other->length - from : MOST_BYTES - to;
  memcpy(work + to, other->at + from, n);
  work_length = to + n;
}

static void mutate_once(void) {
  if (work_length == 0) return;
  switch (below(9)) {
    case 0: work[below(work_length)] ^= (uint8_t)(1u << below(8)); return;
    case 1: work[below(work_length)] = (uint8_t)next_random(); return;
    case 2: work_length = below(work_length) + 1; return;
    case 3: move_block(true); return;
    case 4: move_block(false); return;
    case 5: splice_seed(); return;
    case 6: change_type(); return;
    default: change_word();
  }
}

/* Most damage is to get past the checksum. */
static void mend_sums(void) {
  for (size_t at = 0; at + BLOCK <= work_length; at += BLOCK) {
    uint8_t *h = work + at;
    if (memcmp(h + 257, "ustar", 5) != 0) continue;
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++) sum += h[i];
    char text[8];
    snprintf(text, sizeof text, "%06o", sum);
    memcpy(h + 148, text, 7);
  }
}

static void make_case(void) {
  const struct bytes *seed = &seeds[below(seed_count)];
  memcpy(work, seed->at, seed->length);
  work_length = seed->length;
  for (size_t n = 1 + below(6); n; n--) mutate_once();
  if (below(10)) mend_sums();
}

/* -- the picture of what must not change ------------------------------------------------------------------------------ */

static uint64_t picture;

static int look(const char *path, const struct stat *st, int kind, struct FTW *where) {
  (void)kind;
  if (strncmp(path, "/target", 7) == 0) return FTW_SKIP_SUBTREE;
  uint64_t facts[] = {(uint64_t)st->st_ino, (uint64_t)st->st_size, st->st_mode, st->st_uid, (uint64_t)st->st_nlink,
                      (uint64_t)(where->level ? st->st_mtim.tv_sec : 0), (uint64_t)(where->level ? st->st_mtim.tv_nsec : 0)};
  for (const char *p = path; *p; p++) picture = (picture ^ (uint8_t)*p) * 0x100000001b3u;
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) picture = (picture ^ facts[i]) * 0x100000001b3u;
  return FTW_CONTINUE;
}

static uint64_t take_picture(void) {
  picture = 0xcbf29ce484222325u;
  if (nftw("/", look, 16, FTW_PHYS | FTW_ACTIONRETVAL)) die("look at the canaries");
  return picture;
}

static void enter(const char *directory) {
  if (chdir(directory) || mkdir("canary", 0700) || mkdir("target", 0755)) die(directory);
  for (const char *const *name = (const char *const[]){"canary/file", "escaped-not", "etc", NULL}; *name; name++) {
    int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "canary", 6) != 6) die(*name);
    close(fd);
  }
  outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (outside < 0 || chroot(".") || chdir("/")) die("chroot");
}

/* Leaks are looked for at the end, by a thing that wants /proc. */
static void leave(void) {
  if (fchdir(outside) || chroot(".")) die("leave the chroot");
}

/* Into a store and an index below the target. */
static void run_ingest(int blob) {
  static unsigned count;
  char index[64];
  struct ingest_failure failure;
  snprintf(index, sizeof index, "/target/.index-%u", count++);
  if (mkdir("/target/.store", 0700) && errno != EEXIST) return; /* a file that a case has put there */
  struct ingest_options options = {.store = "/target/.store", .index = index, .most_holes = 1 << 20};
  struct body body = {0};
  char framing[32];
  snprintf(framing, sizeof framing, "%zu", work_length);
  if (ftruncate(blob, (off_t)work_length) || lseek(blob, 0, SEEK_SET)) die("the case's file");
  /* The archive as a request's body, now and then taken for a chunked one. */
  if (below(2) && body_open(&body, -1, blob, below(8) ? framing : "chunked") == 0) options.body = &body;
  int error = ingest_stream(blob, &options, &failure);
  body_close(&body);
  if (error && !*failure.text) fprintf(stderr, "a failure without words: %s\n", strerror(-error)), abort();
  if (error && access(index, F_OK) == 0) fprintf(stderr, "an index of what was refused: %s\n", failure.text), abort();
}

static void run_case(int root, int blob) {
  struct apply_result result;
  const struct apply_options options = {.root = root, .format = (enum apply_format)below(3), .user_xattr = below(2), .no_overwrite = below(4) == 0,
                                        .place = below(8) ? NULL : "place"};
  if (ftruncate(blob, (off_t)work_length) || lseek(blob, 0, SEEK_SET)) die("the case's file");
  int error = apply_stream(blob, &options, &result);
  if (error == 0 || *result.text) return;
  fprintf(stderr, "a failure without words: %s\n", strerror(-error));
  abort();
}

static void empty_target(void) {
  int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fchdir(top)) die("/");
  int error = tree_remove(top, "target");
  if (error || mkdir("/target", 0755)) {
    fprintf(stderr, "the target can't be emptied: %s\n", strerror(-error));
    abort();
  }
  close(top);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  time_t end = time(NULL) + atoi(argv[1]);
  state = strtoull(argv[2], NULL, 10) * 2 + 1;
  load(argv[3]);
  int blob = open(argv[5], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (blob < 0 || ftruncate(blob, MOST_BYTES)) die(argv[5]);
  work = mmap(NULL, MOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, blob, 0);
  if (work == MAP_FAILED || seed_count == 0) die("set-up");
  enter(argv[4]);
  const uint64_t before = take_picture();
  unsigned long cases = 0;
  while (time(NULL) < end) {
    int root = open("/target", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < BATCH; i++, cases++) {
      if (ftruncate(blob, MOST_BYTES)) die("the case's file");
      make_case();
      if (below(3) == 0) run_ingest(blob);
      else run_case(root, blob);
    }
    close(root);
    empty_target();
    if (take_picture() == before) continue;
    fprintf(stderr, "something outside the target was changed by one of the last %d cases (before case %lu)\n", BATCH, cases);
    return 1;
  }
  leave();
  for (size_t i = 0; i < seed_count; i++) free(seeds[i].at);
  printf("%lu archives, nothing crashed, nothing was written outside\n", cases);
  return 0;
}
