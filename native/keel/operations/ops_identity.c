/* What the process will be: names, limits, privileges. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "command.h"
#include "plan.h"
#include "procfs.h"
#include "system.h"

int op_sethostname(struct run *run, const struct record *r) {
  (void)run;
  return sethostname(r->b[0].bytes, r->b[0].length) ? -errno : 0;
}

int op_setdomainname(struct run *run, const struct record *r) {
  (void)run;
  return setdomainname(r->b[0].bytes, r->b[0].length) ? -errno : 0;
}

int op_sysctl(struct run *run, const struct record *r) {
  char path[512];
  if (snprintf(path, sizeof path, "sys/%s", r->b[0].bytes) >= (int)sizeof path) return -ENAMETOOLONG;
  int error = procfs_write(run, path, r->b[1]);
  return error ? run_fail(run, error, "sysctl %s", r->b[0].bytes) : 0;
}

int op_lsm_label(struct run *run, const struct record *r) {
  if (strcmp(r->b[0].bytes, "apparmor") != 0) return procfs_write(run, "thread-self/attr/exec", r->b[1]);
  char text[512];
  int length = snprintf(text, sizeof text, "exec %s", r->b[1].bytes);
  if (length >= (int)sizeof text) return -ENAMETOOLONG;
  struct blob value = {text, (uint32_t)length};
  int error = procfs_write(run, "thread-self/attr/apparmor/exec", value);
  return error == -ENOENT ? procfs_write(run, "thread-self/attr/exec", value) : error; /* before 5.8 */
}

/* Without CAP_SYS_RESOURCE the hard limit can't rise: with `degrade` the process gets what there is. */
int op_rlimit(struct run *run, const struct record *r) {
  struct rlimit wanted = {.rlim_cur = r->i[1], .rlim_max = r->i[2]}, old;
  if (setrlimit((__rlimit_resource_t)r->i[0], &wanted) == 0) return 0;
  if (errno != EPERM || !r->i[3] || getrlimit((__rlimit_resource_t)r->i[0], &old)) return -errno;
  wanted.rlim_max = old.rlim_max;
  if (wanted.rlim_cur > old.rlim_max) wanted.rlim_cur = old.rlim_max;
  (void)run;
  return setrlimit((__rlimit_resource_t)r->i[0], &wanted) ? -errno : 0;
}

int op_oom_score_adj(struct run *run, const struct record *r) {
  char text[16];
  int length = snprintf(text, sizeof text, "%d", (int)(int64_t)r->i[0]);
  return procfs_write(run, "self/oom_score_adj", (struct blob){text, (uint32_t)length});
}

/* The kernel's default for a joined keyring (possessor all, user view, read and link) and the user's search, as after a change of user. */
enum { KEYRING_PERMISSIONS = 0x3f1b0000 };

int op_keyring(struct run *run, const struct record *r) {
  (void)run;
  long id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, r->b[0].bytes, 0, 0, 0);
  if (id >= 0 && syscall(SYS_keyctl, KEYCTL_SETPERM, id, KEYRING_PERMISSIONS, 0, 0) == 0) return 0;
  switch (errno) {
    case ENOSYS: /* a kernel without keys */
    case EPERM:  /* a host that is a container itself denies keyctl */
    case EDQUOT: /* the user's quota of keys: the session keyring of before is shared then, as with runc */
      return 0;
    default: return -errno;
  }
}

int op_prctl(struct run *run, const struct record *r) {
  (void)run;
  return prctl((int)r->i[0], r->i[1], r->i[2], r->i[3], r->i[4]) < 0 ? -errno : 0;
}

int op_setsid(struct run *run, const struct record *r) {
  (void)run, (void)r;
  return setsid() < 0 && errno != EPERM ? -errno : 0;
}

int op_no_new_privileges(struct run *run, const struct record *r) {
  (void)run, (void)r;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

/* -- capabilities ----------------------------------------------------------------------------------------------- */

static int cap_get(struct __user_cap_data_struct data[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  return syscall(SYS_capget, &header, data) ? -errno : 0;
}

static int cap_set(const struct __user_cap_data_struct data[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static uint64_t permitted_of(const struct __user_cap_data_struct data[2]) { return data[0].permitted | (uint64_t)data[1].permitted << 32; }

static int drop_bounding(uint64_t keep) {
  for (int cap = 0; cap < 64; cap++) {
    int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (held < 0) return errno == EINVAL ? 0 : -errno; /* the last one this kernel knows was the one before */
    if (held && !(keep & 1ull << cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) return -errno;
  }
  return 0;
}

/* After a change of user the permitted set is kept but nothing is in effect: what dropping needs is raised first. */
int op_capabilities(struct run *run, const struct record *r) {
  struct __user_cap_data_struct data[2] = {{0}};
  int error = cap_get(data);
  if (error) return error;
  uint64_t have = permitted_of(data);
  for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
  error = cap_set(data);
  if (error == 0) error = drop_bounding(r->i[0]);
  if (error) return error;
  uint64_t permitted = r->i[3] & have, effective = r->i[1] & permitted, inheritable = r->i[2] & have;
  for (int i = 0; i < 2; i++)
    data[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(effective >> 32 * i), .permitted = (uint32_t)(permitted >> 32 * i), .inheritable = (uint32_t)(inheritable >> 32 * i)};
  error = cap_set(data);
  if (error) return error;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int cap = 0; cap < 64; cap++) /* an ambient one that can't be raised is no failure: runtime-spec, capabilities */
    if (r->i[4] & 1ull << cap) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
  (void)run;
  return 0;
}

/* -- seccomp ------------------------------------------------------------------------------------------------------ */

static int send_listener(struct run *run, int listener, struct blob metadata) {
  struct blob state;
  char *owned, control[CMSG_SPACE(sizeof(int))] = {0};
  int error = text_with_pid(metadata, run->host_pid, &state, &owned);
  if (error) return error;
  struct iovec part = {(void *)(uintptr_t)state.bytes, state.length};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(c), &listener, sizeof listener);
  error = sendmsg(run->listener, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
  free(owned);
  close(run->listener);
  run->listener = -1;
  return error;
}

int op_seccomp(struct run *run, const struct record *r) {
  size_t count = r->b[0].length / sizeof(struct sock_filter);
  if (count == 0 || count > BPF_MAXINSNS || r->b[0].length % sizeof(struct sock_filter)) return -EINVAL;
  struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)(uintptr_t)r->b[0].bytes};
  unsigned long flags = r->i[0];
  if (run->listener >= 0) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (listener < 0) return -errno;
  if (run->listener < 0) return 0;
  int error = send_listener(run, (int)listener, r->b[2]);
  close((int)listener);
  return error;
}

/* -- scheduling ------------------------------------------------------------------------------------------------- */

int op_personality(struct run *run, const struct record *r) {
  (void)run;
  return personality((unsigned long)r->i[0]) < 0 ? -errno : 0;
}

int op_io_priority(struct run *run, const struct record *r) {
  (void)run;
  return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(r->i[0], r->i[1])) ? -errno : 0;
}

struct scheduling {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

int op_scheduler(struct run *run, const struct record *r) {
  (void)run;
  struct scheduling s = {.size = sizeof s, .policy = (uint32_t)r->i[0], .nice = (int32_t)r->i[1], .priority = (uint32_t)r->i[2],
                         .flags = r->i[3], .runtime = r->i[4], .deadline = r->i[5], .period = r->i[6]};
  return syscall(SYS_sched_setattr, 0, &s, 0u) ? -errno : 0;
}
