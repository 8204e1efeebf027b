/* Mounts: by path on the host's side, detached trees, and their attachment. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "inroot.h"
#include "plan.h"
#include "system.h"

static const char *or_null(struct blob b) { return b.length ? b.bytes : NULL; }

int op_mount(struct run *run, const struct record *r) {
  (void)run;
  return mount(or_null(r->b[0]), r->b[1].bytes, or_null(r->b[2]), r->i[0], or_null(r->b[3])) ? -errno : 0;
}

int op_umount(struct run *run, const struct record *r) {
  (void)run;
  return umount2(r->b[0].bytes, (int)r->i[0]) ? -errno : 0;
}

int op_propagation(struct run *run, const struct record *r) {
  (void)run;
  return mount(NULL, r->b[0].bytes, NULL, r->i[0], NULL) ? -errno : 0;
}

/* The kernel's own words about a refused file system stand in the descriptor. */
static int fs_failed(struct run *run, int fs, int error) {
  char words[256];
  ssize_t n = read(fs, words, sizeof words - 1);
  if (n > 0) run_fail(run, error, "%.*s", (int)(words[n - 1] == '\n' ? n - 1 : n), words);
  return error;
}

/* Each "key\0value\0"; an empty value is a flag. */
static int configure(struct run *run, int fs, struct blob options) {
  for (const char *key = list_next(options, NULL); key; key = list_next(options, key)) {
    const char *value = list_next(options, key);
    if (!value) return -EINVAL;
    int failed = *value ? sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) : sys_fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
    if (failed) return fs_failed(run, fs, -errno);
    key = value;
  }
  return 0;
}

int op_fsmount(struct run *run, const struct record *r) {
  int fs = sys_fsopen(r->b[0].bytes);
  if (fs < 0) return -errno;
  int error = 0;
  if (r->b[1].length && sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", r->b[1].bytes, 0)) error = -errno;
  if (error == 0) error = configure(run, fs, r->b[2]);
  if (error == 0 && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) error = fs_failed(run, fs, -errno);
  int fd = error ? -1 : sys_fsmount(fs, (unsigned)r->i[1]);
  if (error == 0 && fd < 0) error = -errno;
  close(fs);
  return error ? error : slot_put(run, r->i[0], fd);
}

int op_open_tree(struct run *run, const struct record *r) {
  int fd = sys_open_tree(AT_FDCWD, r->b[0].bytes, (unsigned)r->i[1]);
  return fd < 0 ? -errno : slot_put(run, r->i[0], fd);
}

int op_open_tree_in(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[1]);
  int place = root < 0 ? root : inroot_open(root, r->b[0].bytes, 0);
  if (place < 0) return place;
  int fd = sys_open_tree(place, "", (unsigned)r->i[2] | AT_EMPTY_PATH);
  int error = fd < 0 ? -errno : 0;
  close(place);
  return error ? error : slot_put(run, r->i[0], fd);
}

static const struct {
  uint64_t attribute;
  unsigned long flag;
} remountable[] = {{MOUNT_ATTR_RDONLY, MS_RDONLY}, {MOUNT_ATTR_NOSUID, MS_NOSUID}, {MOUNT_ATTR_NODEV, MS_NODEV}, {MOUNT_ATTR_NOEXEC, MS_NOEXEC}};

/* No mount_setattr before 5.12, and what is attached nowhere can't be remounted: kept until it is. */
static int set_late(struct run *run, const struct record *r) {
  uint64_t left = r->i[2];
  unsigned long flags = 0;
  for (size_t i = 0; i < sizeof remountable / sizeof *remountable; i++) {
    if (!(left & remountable[i].attribute)) continue;
    left &= ~remountable[i].attribute;
    flags |= remountable[i].flag;
  }
  if (left || r->i[3] || r->i[5] != NO_SLOT || (flags && r->i[1])) return run_fail(run, -ENOSYS, "these mount options need kernel 5.12");
  run->late[r->i[0]] = (struct late){flags, r->i[4] | (r->i[4] && r->i[1] ? MS_REC : 0)};
  return 0;
}

int op_mount_setattr(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  if (fd < 0) return fd;
  struct mount_attr attributes = {.attr_set = r->i[2], .attr_clr = r->i[3], .propagation = r->i[4]};
  if (r->i[5] != NO_SLOT) {
    int userns = slot_fd(run, r->i[5]);
    if (userns < 0) return userns;
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = (uint64_t)userns;
  }
  if (sys_mount_setattr(fd, "", AT_EMPTY_PATH | (r->i[1] ? AT_RECURSIVE : 0u), &attributes) == 0) return 0;
  return errno == ENOSYS ? set_late(run, r) : -errno;
}

/* By the tree's own descriptor, which now is an attached mount. */
static int apply_late(struct run *run, uint64_t slot, int fd) {
  struct late late = run->late[slot];
  char name[64];
  run->late[slot] = (struct late){0, 0};
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  if (late.flags && mount(NULL, name, NULL, MS_REMOUNT | MS_BIND | late.flags, NULL)) return -errno;
  return late.propagation && mount(NULL, name, NULL, late.propagation, NULL) ? -errno : 0;
}

int op_move_mount(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]);
  if (fd < 0) return fd;
  return sys_move_mount(fd, "", AT_FDCWD, r->b[0].bytes, MOVE_MOUNT_F_EMPTY_PATH) ? -errno : apply_late(run, r->i[0], fd);
}

enum { CREATE_NOTHING, CREATE_FILE, CREATE_DIRECTORY, CREATE_ALIKE };
enum { ORDINARY_DIRECTORY = 1, KEEP_MODE = 2, ON_PROC = 4 };

/* What is made where nothing is: a directory for a directory, a file for anything else. */
static enum inroot_kind kind_of(int mounted, uint64_t create) {
  struct stat st;
  if (create == CREATE_ALIKE) return fstat(mounted, &st) == 0 && S_ISDIR(st.st_mode) ? INROOT_DIRECTORY : INROOT_FILE;
  return create == CREATE_FILE ? INROOT_FILE : INROOT_DIRECTORY;
}

/* proc and sysfs go onto an ordinary directory only, reached through no link (CVE-2019-19921, CVE-2023-27561). */
static int open_target(struct run *run, int mounted, int root, const struct record *r) {
  const char *path = r->b[0].bytes;
  int fd = inroot_open(root, path, r->i[4] & ORDINARY_DIRECTORY ? O_NOFOLLOW : 0);
  if (fd == -ENOENT && r->i[2] != CREATE_NOTHING)
    fd = inroot_make(root, path, kind_of(mounted, r->i[2]), (unsigned)r->i[3]);
  if (fd < 0 || !(r->i[4] & ORDINARY_DIRECTORY)) return fd;
  struct stat st;
  int plain = sys_openat2(root, path, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  if (plain >= 0 && fstat(plain, &st) == 0 && S_ISDIR(st.st_mode)) {
    close(fd);
    return plain;
  }
  if (plain >= 0) close(plain);
  close(fd);
  return run_fail(run, -ENOTDIR, "%s must be mounted on an ordinary directory", path);
}

/* A tmpfs without a mode of its own has that of the directory it covers. */
static int take_mode(int mounted, mode_t mode) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", mounted);
  return chmod(name, mode & 07777) ? -errno : 0;
}

int op_move_mount_in(struct run *run, const struct record *r) {
  int fd = slot_fd(run, r->i[0]), root = slot_fd(run, r->i[1]);
  if (fd < 0 || root < 0) return -EBADF;
  int target = open_target(run, fd, root, r);
  if (target < 0) return target;
  struct stat covered;
  struct statfs fs;
  int error = fstat(target, &covered) || fstatfs(target, &fs) ? -errno : 0;
  /* What covers a file of /proc could lie to whoever writes labels there (CVE-2019-16884). */
  if (error == 0 && fs.f_type == PROC_SUPER_MAGIC && !(r->i[4] & ON_PROC)) error = run_fail(run, -EPERM, "%s is inside /proc", r->b[0].bytes);
  if (error == 0 && r->i[4] & KEEP_MODE) error = take_mode(fd, covered.st_mode);
  if (error == 0 && sys_move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) error = -errno;
  close(target);
  return error ? error : apply_late(run, r->i[0], fd);
}

/* -- overlay ----------------------------------------------------------------------------------------------------- */

enum { OVERLAY_READ_ONLY = 1, OVERLAY_VOLATILE = 2, OVERLAY_USERXATTR = 4 };

static int set_directory(int fs, const char *key, const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = sys_fsconfig(fs, FSCONFIG_SET_FD, key, NULL, fd) ? -errno : 0;
  close(fd);
  return error;
}

/* Whatever the module does by default: a layer can't say where a renamed directory or a file's bytes come from, so each is copied up whole. */
static int set_plain(int fs) {
  return sys_fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "off", 0) || sys_fsconfig(fs, FSCONFIG_SET_STRING, "metacopy", "off", 0) ? -errno : 0;
}

/* Kernel 6.8: lowerdir+ takes one layer at a time; 6.13 takes descriptors. Older ones answer EINVAL and get mount(2). */
static int overlay_configure(int fs, const struct record *r) {
  const struct blob lowers = r->b[3];
  int error = 0;
  for (const char *path = list_next(lowers, NULL); path && error == 0; path = list_next(lowers, path)) error = set_directory(fs, "lowerdir+", path);
  if (error == 0 && !(r->i[0] & OVERLAY_READ_ONLY)) error = set_directory(fs, "upperdir", r->b[1].bytes);
  if (error == 0 && !(r->i[0] & OVERLAY_READ_ONLY)) error = set_directory(fs, "workdir", r->b[2].bytes);
  if (error == 0 && !(r->i[0] & OVERLAY_READ_ONLY)) error = set_plain(fs);
  if (error == 0 && r->i[0] & OVERLAY_VOLATILE && sys_fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0)) error = -errno;
  if (error == 0 && r->i[0] & OVERLAY_USERXATTR && sys_fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0)) error = -errno;
  if (error == 0 && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) error = -errno;
  return error;
}

static int overlay_by_descriptor(const struct record *r) {
  int fs = sys_fsopen("overlay");
  if (fs < 0) return -errno;
  sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0);
  int error = overlay_configure(fs, r);
  int fd = error ? -1 : sys_fsmount(fs, 0);
  if (error == 0 && fd < 0) error = -errno;
  if (error == 0 && sys_move_mount(fd, "", AT_FDCWD, r->b[0].bytes, MOVE_MOUNT_F_EMPTY_PATH)) error = -errno;
  if (fd >= 0) close(fd);
  close(fs);
  return error;
}

/* mount(2) takes one page of options: with the short links below `base` that is enough for 127 layers. */
static int overlay_by_path(struct run *run, const struct record *r) {
  const struct blob links = r->b[5].length ? r->b[5] : r->b[3];
  char options[4096];
  size_t length = (size_t)snprintf(options, sizeof options, "lowerdir=");
  for (const char *link = list_next(links, NULL); link; link = list_next(links, link)) {
    const char *colon = list_next(links, link) ? ":" : "";
    length += (size_t)snprintf(options + length, sizeof options - length, "%s%s", link, colon);
    if (length >= sizeof options) return run_fail(run, -E2BIG, "too many layers for this kernel: their names exceed one page");
  }
  if (!(r->i[0] & OVERLAY_READ_ONLY)) length += (size_t)snprintf(options + length, sizeof options - length, ",upperdir=%s,workdir=%s,redirect_dir=off,metacopy=off", r->b[1].bytes, r->b[2].bytes);
  if (length < sizeof options && r->i[0] & OVERLAY_VOLATILE) length += (size_t)snprintf(options + length, sizeof options - length, ",volatile");
  if (length < sizeof options && r->i[0] & OVERLAY_USERXATTR) length += (size_t)snprintf(options + length, sizeof options - length, ",userxattr");
  if (length >= sizeof options) return -E2BIG;
  if (r->b[4].length && chdir(r->b[4].bytes)) return -errno;
  return mount("overlay", r->b[0].bytes, "overlay", 0, options) ? -errno : 0;
}

int op_overlay(struct run *run, const struct record *r) {
  int error = overlay_by_descriptor(r);
  return error == -EINVAL || error == -ENOSYS || error == -EOPNOTSUPP ? overlay_by_path(run, r) : error;
}
