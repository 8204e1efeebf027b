/* Generated from src/keel/operations.ts by scripts/keel-header.ts. Do not edit. */
#pragma once
#include <errno.h>

enum {
  OP_MKDIR = 1,
  OP_MKDIR_ALL = 2,
  OP_RMDIR = 3,
  OP_UNLINK = 4,
  OP_REMOVE_TREE = 5,
  OP_SYMLINK = 6,
  OP_RENAME = 7,
  OP_WRITE_FILE = 8,
  OP_READ_FILE = 9,
  OP_CHMOD = 10,
  OP_LCHOWN = 11,
  OP_SETXATTR = 12,
  OP_COPY_TREE = 13,
  OP_USAGE = 14,
  OP_FSYNC_PATH = 15,
  OP_OPEN = 20,
  OP_OPENAT2 = 21,
  OP_CLOSE = 22,
  OP_WRITE_SLOT = 23,
  OP_STAT_IN = 24,
  OP_FLOCK = 25,
  OP_UNSHARE = 30,
  OP_SETNS = 31,
  OP_SETNS_INIT = 32,
  OP_CLONE = 33,
  OP_COMMAND = 34,
  OP_HOOK = 35,
  OP_KILL = 36,
  OP_RUNTIME = 37,
  OP_STAND_IN = 38,
  OP_MOUNT = 40,
  OP_UMOUNT = 41,
  OP_OVERLAY = 42,
  OP_FSMOUNT = 43,
  OP_OPEN_TREE = 44,
  OP_OPEN_TREE_IN = 45,
  OP_MOUNT_SETATTR = 46,
  OP_MOVE_MOUNT = 47,
  OP_MOVE_MOUNT_IN = 48,
  OP_PROPAGATION = 49,
  OP_PIVOT_ROOT = 50,
  OP_CHROOT = 51,
  OP_MASK_PATHS = 52,
  OP_READONLY_PATHS = 53,
  OP_READONLY_ROOT = 54,
  OP_COPY_UP = 55,
  OP_MKDIR_IN = 60,
  OP_MKNOD_IN = 61,
  OP_SYMLINK_IN = 62,
  OP_WRITE_FILE_IN = 63,
  OP_SETHOSTNAME = 70,
  OP_SETDOMAINNAME = 71,
  OP_SYSCTL = 72,
  OP_RLIMIT = 73,
  OP_OOM_SCORE_ADJ = 74,
  OP_KEYRING = 75,
  OP_PRCTL = 76,
  OP_SETSID = 77,
  OP_CAPABILITIES = 78,
  OP_NO_NEW_PRIVILEGES = 79,
  OP_SECCOMP = 80,
  OP_SET_USER = 81,
  OP_SET_USER_BY_NAME = 82,
  OP_CWD = 83,
  OP_LSM_LABEL = 84,
  OP_PERSONALITY = 85,
  OP_IO_PRIORITY = 86,
  OP_SCHEDULER = 87,
  OP_CONSOLE = 88,
  OP_CLOSE_RANGE = 89,
  OP_LOOK_PATH = 90,
  OP_WAIT_START = 91,
  OP_WAIT_FIFO = 92,
  OP_EXECVE = 93,
  OP_NETLINK = 100,
  OP_BIND_SOCKET = 101,
  OP_HOLD = 102,
  OP_LINK_UP = 103,
  OP_SEND_FRAME = 105,
  OP_CGROUP_DEVICES = 104,
  OP_APPLY_LAYER = 110,
  OP_DIFF_LAYER = 111,
  OP_CHANGES = 112,
  OP_HASH_FILE = 113,
};

/* X(code, function, ints, blobs) */
#define OPERATIONS(X) \
  X(OP_MKDIR, op_mkdir, 1, 1) \
  X(OP_MKDIR_ALL, op_mkdir_all, 1, 1) \
  X(OP_RMDIR, op_rmdir, 0, 1) \
  X(OP_UNLINK, op_unlink, 0, 1) \
  X(OP_REMOVE_TREE, op_remove_tree, 0, 1) \
  X(OP_SYMLINK, op_symlink, 0, 2) \
  X(OP_RENAME, op_rename, 0, 2) \
  X(OP_WRITE_FILE, op_write_file, 3, 2) \
  X(OP_READ_FILE, op_read_file, 1, 1) \
  X(OP_CHMOD, op_chmod, 1, 1) \
  X(OP_LCHOWN, op_lchown, 2, 1) \
  X(OP_SETXATTR, op_setxattr, 1, 3) \
  X(OP_COPY_TREE, op_copy_tree, 0, 2) \
  X(OP_USAGE, op_usage, 0, 1) \
  X(OP_FSYNC_PATH, op_fsync_path, 0, 1) \
  X(OP_OPEN, op_open, 3, 1) \
  X(OP_OPENAT2, op_openat2, 5, 1) \
  X(OP_CLOSE, op_close, 1, 0) \
  X(OP_WRITE_SLOT, op_write_slot, 1, 1) \
  X(OP_STAT_IN, op_stat_in, 2, 1) \
  X(OP_FLOCK, op_flock, 1, 0) \
  X(OP_UNSHARE, op_unshare, 1, 0) \
  X(OP_SETNS, op_setns, 2, 0) \
  X(OP_SETNS_INIT, op_setns_init, 1, 0) \
  X(OP_CLONE, op_clone, 2, 2) \
  X(OP_COMMAND, op_command, 2, 3) \
  X(OP_HOOK, op_hook, 2, 4) \
  X(OP_KILL, op_kill, 2, 0) \
  X(OP_RUNTIME, op_runtime, 0, 3) \
  X(OP_STAND_IN, op_stand_in, 0, 0) \
  X(OP_MOUNT, op_mount, 1, 4) \
  X(OP_UMOUNT, op_umount, 1, 1) \
  X(OP_OVERLAY, op_overlay, 1, 6) \
  X(OP_FSMOUNT, op_fsmount, 2, 3) \
  X(OP_OPEN_TREE, op_open_tree, 2, 1) \
  X(OP_OPEN_TREE_IN, op_open_tree_in, 3, 1) \
  X(OP_MOUNT_SETATTR, op_mount_setattr, 6, 0) \
  X(OP_MOVE_MOUNT, op_move_mount, 1, 1) \
  X(OP_MOVE_MOUNT_IN, op_move_mount_in, 5, 1) \
  X(OP_PROPAGATION, op_propagation, 1, 1) \
  X(OP_PIVOT_ROOT, op_pivot_root, 1, 0) \
  X(OP_CHROOT, op_chroot, 1, 0) \
  X(OP_MASK_PATHS, op_mask_paths, 0, 1) \
  X(OP_READONLY_PATHS, op_readonly_paths, 0, 1) \
  X(OP_READONLY_ROOT, op_readonly_root, 0, 0) \
  X(OP_COPY_UP, op_copy_up, 2, 1) \
  X(OP_MKDIR_IN, op_mkdir_in, 4, 1) \
  X(OP_MKNOD_IN, op_mknod_in, 6, 1) \
  X(OP_SYMLINK_IN, op_symlink_in, 1, 2) \
  X(OP_WRITE_FILE_IN, op_write_file_in, 2, 2) \
  X(OP_SETHOSTNAME, op_sethostname, 0, 1) \
  X(OP_SETDOMAINNAME, op_setdomainname, 0, 1) \
  X(OP_SYSCTL, op_sysctl, 0, 2) \
  X(OP_RLIMIT, op_rlimit, 4, 0) \
  X(OP_OOM_SCORE_ADJ, op_oom_score_adj, 1, 0) \
  X(OP_KEYRING, op_keyring, 0, 1) \
  X(OP_PRCTL, op_prctl, 5, 0) \
  X(OP_SETSID, op_setsid, 0, 0) \
  X(OP_CAPABILITIES, op_capabilities, 5, 0) \
  X(OP_NO_NEW_PRIVILEGES, op_no_new_privileges, 0, 0) \
  X(OP_SECCOMP, op_seccomp, 1, 3) \
  X(OP_SET_USER, op_set_user, 4, 1) \
  X(OP_SET_USER_BY_NAME, op_set_user_by_name, 1, 2) \
  X(OP_CWD, op_cwd, 1, 1) \
  X(OP_LSM_LABEL, op_lsm_label, 0, 2) \
  X(OP_PERSONALITY, op_personality, 1, 0) \
  X(OP_IO_PRIORITY, op_io_priority, 2, 0) \
  X(OP_SCHEDULER, op_scheduler, 7, 0) \
  X(OP_CONSOLE, op_console, 5, 0) \
  X(OP_CLOSE_RANGE, op_close_range, 1, 0) \
  X(OP_LOOK_PATH, op_look_path, 0, 2) \
  X(OP_WAIT_START, op_wait_start, 0, 0) \
  X(OP_WAIT_FIFO, op_wait_fifo, 1, 0) \
  X(OP_EXECVE, op_execve, 0, 2) \
  X(OP_NETLINK, op_netlink, 1, 1) \
  X(OP_BIND_SOCKET, op_bind_socket, 3, 1) \
  X(OP_HOLD, op_hold, 1, 1) \
  X(OP_LINK_UP, op_link_up, 0, 1) \
  X(OP_SEND_FRAME, op_send_frame, 2, 1) \
  X(OP_CGROUP_DEVICES, op_cgroup_devices, 1, 1) \
  X(OP_APPLY_LAYER, op_apply_layer, 2, 2) \
  X(OP_DIFF_LAYER, op_diff_layer, 2, 3) \
  X(OP_CHANGES, op_changes, 0, 2) \
  X(OP_HASH_FILE, op_hash_file, 1, 1)

static const int tolerable[] = {EEXIST, ENOENT, EPERM, EINVAL, EBUSY, ENOSYS, EROFS, EOPNOTSUPP, ENOTDIR, ESRCH, EACCES, ENODEV, ENOTEMPTY, ENXIO, EADDRNOTAVAIL, ERANGE, ENETDOWN};
