/* What is made inside a root before pivot_root, pivot_root itself, and what protects the new root after it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "inroot.h"
#include "plan.h"
#include "system.h"
#include "tree.h"

int op_mkdir_in(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  int fd = root < 0 ? root : inroot_make(root, r->b[0].bytes, INROOT_DIRECTORY, (unsigned)r->i[1]);
  if (fd < 0) return fd;
  int error = fchownat(fd, "", (uid_t)r->i[2], (gid_t)r->i[3], AT_EMPTY_PATH) ? -errno : 0;
  close(fd);
  return error;
}

/* An existing node is kept when it is the same device: images may bring their own. */
static int same_device(int parent, const char *name, mode_t mode, dev_t device) {
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW)) return -errno;
  return (st.st_mode & S_IFMT) == (mode & S_IFMT) && (!(S_ISCHR(mode) || S_ISBLK(mode)) || st.st_rdev == device) ? 0 : -EEXIST;
}

int op_mknod_in(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  char name[256];
  int parent = root < 0 ? root : inroot_parent(root, r->b[0].bytes, name);
  if (parent < 0) return parent;
  mode_t mode = (mode_t)r->i[1], mask = umask(0);
  dev_t device = makedev((unsigned)r->i[2], (unsigned)r->i[3]);
  int error = mknodat(parent, name, mode, device) ? -errno : 0;
  umask(mask);
  if (error == -EEXIST) error = same_device(parent, name, mode, device);
  if (error == 0 && (r->i[4] || r->i[5]) && fchownat(parent, name, (uid_t)r->i[4], (gid_t)r->i[5], AT_SYMLINK_NOFOLLOW)) error = -errno;
  close(parent);
  return error;
}

int op_symlink_in(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  char name[256];
  int parent = root < 0 ? root : inroot_parent(root, r->b[1].bytes, name);
  if (parent < 0) return parent;
  int error = symlinkat(r->b[0].bytes, parent, name) && errno != EEXIST ? -errno : 0;
  close(parent);
  return error;
}

int op_write_file_in(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  char name[256];
  int parent = root < 0 ? root : inroot_parent(root, r->b[0].bytes, name);
  if (parent < 0) return parent;
  int fd = openat(parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, (mode_t)r->i[1]);
  int error = fd < 0 ? -errno : 0;
  if (error == 0 && write(fd, r->b[1].bytes, r->b[1].length) != (ssize_t)r->b[1].length) error = errno ? -errno : -EIO;
  if (fd >= 0) close(fd);
  close(parent);
  return error;
}

/* tmpcopyup: what the image has there, into the file system that is to cover it. */
int op_copy_up(struct run *run, const struct record *r) {
  int to = slot_fd(run, r->i[0]), root = slot_fd(run, r->i[1]);
  if (to < 0 || root < 0) return -EBADF;
  int from = sys_openat2(root, r->b[0].bytes, O_RDONLY | O_DIRECTORY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (from < 0) return errno == ENOENT ? 0 : -errno;
  int into = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = into < 0 ? -errno : tree_copy(from, into, run->text, sizeof run->text);
  if (into >= 0) close(into);
  close(from);
  return error;
}

/* Both arguments are the new root: the old one lies over it afterwards and is taken off (pivot_root(2), NOTES). */
int op_pivot_root(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  if (root < 0) return root;
  int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0) return -errno;
  int error = fchdir(root) || syscall(SYS_pivot_root, ".", ".") || fchdir(old) ? -errno : 0;
  /* Slave, so that taking it off is not seen by the host. */
  if (error == 0 && (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) || umount2(".", MNT_DETACH))) error = -errno;
  if (error == 0 && chdir("/")) error = -errno;
  close(old);
  return error;
}

int op_chroot(struct run *run, const struct record *r) {
  int root = slot_fd(run, r->i[0]);
  if (root < 0) return root;
  return fchdir(root) || chroot(".") || chdir("/") ? -errno : 0;
}

/* -- after pivot_root: paths are the container's own, still resolved without magic links -------------------------------- */

static int own_root(void) {
  int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* The image may have put a link in its place: only the real null device may cover a file (CVE-2025-31133). */
static int null_tree(int root) {
  int fd = sys_openat2(root, "/dev/null", O_PATH | O_NOFOLLOW, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return -errno;
  struct stat st;
  int error = fstat(fd, &st) ? -errno : S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) ? 0 : -ENODEV;
  int tree = error ? -1 : sys_open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (error == 0 && tree < 0) error = -errno;
  close(fd);
  return error ? error : tree;
}

static int empty_tree(int *shared) {
  if (*shared >= 0) {
    int copy = sys_open_tree(*shared, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
    return copy < 0 ? -errno : copy;
  }
  int fs = sys_fsopen("tmpfs");
  if (fs < 0) return -errno;
  int error = 0;
  if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "2", 0) || sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
      sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
    error = -errno;
  int fd = error ? -1 : sys_fsmount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (error == 0 && fd < 0) error = -errno;
  close(fs);
  if (error == 0) *shared = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return error ? error : fd;
}

static int mask_one(int root, const char *path, int *shared) {
  int place = inroot_open(root, path, 0);
  if (place < 0) return place == -ENOENT || place == -ENOTDIR ? 0 : place;
  struct stat st;
  int error = fstat(place, &st) ? -errno : 0;
  int tree = error ? -1 : S_ISDIR(st.st_mode) ? empty_tree(shared) : null_tree(root);
  if (error == 0 && tree < 0) error = tree;
  if (error == 0 && sys_move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) error = -errno;
  if (tree >= 0) close(tree);
  close(place);
  return error;
}

int op_mask_paths(struct run *run, const struct record *r) {
  int root = own_root(), shared = -1, error = root < 0 ? root : 0;
  for (const char *path = list_next(r->b[0], NULL); path && error == 0; path = list_next(r->b[0], path)) {
    error = mask_one(root, path, &shared);
    if (error) run_fail(run, error, "mask %s", path);
  }
  if (shared >= 0) close(shared);
  if (root >= 0) close(root);
  return error;
}

/* Before 5.12 there is no mount_setattr: the attached bind is remounted by its descriptor. */
static int remount_read_only(int root, const char *path) {
  int fd = inroot_open(root, path, 0);
  if (fd < 0) return fd;
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  int error = mount(NULL, name, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ? -errno : 0;
  close(fd);
  return error;
}

static int read_only_one(int root, const char *path) {
  int place = inroot_open(root, path, 0);
  if (place < 0) return place == -ENOENT || place == -ENOTDIR ? 0 : place;
  int tree = sys_open_tree(place, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  int error = tree < 0 ? -errno : 0;
  int set = error ? 0 : sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes) ? -errno : 0;
  if (set && set != -ENOSYS) error = set;
  if (error == 0 && sys_move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) error = -errno;
  if (tree >= 0) close(tree);
  close(place);
  return error == 0 && set == -ENOSYS ? remount_read_only(root, path) : error;
}

int op_readonly_paths(struct run *run, const struct record *r) {
  int root = own_root(), error = root < 0 ? root : 0;
  for (const char *path = list_next(r->b[0], NULL); path && error == 0; path = list_next(r->b[0], path)) {
    error = read_only_one(root, path);
    if (error) run_fail(run, error, "make %s read-only", path);
  }
  if (root >= 0) close(root);
  return error;
}

int op_readonly_root(struct run *run, const struct record *r) {
  (void)run, (void)r;
  int root = own_root();
  if (root < 0) return root;
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  int error = sys_mount_setattr(root, "", AT_EMPTY_PATH, &attributes) ? -errno : 0;
  if (error == -ENOSYS) error = mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) ? -errno : 0;
  close(root);
  return error;
}
