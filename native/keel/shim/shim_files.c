/* What the shim leaves on disk for daemons that come later: each file is written beside its name and renamed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shim_parts.h"

enum { PATH_BYTES = 1024, TEXT_BYTES = 1024, PROTOCOL = 1 };

static int write_renamed(const char *path, const char *text) {
  char temporary[PATH_BYTES];
  if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary) return -ENAMETOOLONG;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -errno;
  size_t length = strlen(text);
  ssize_t n = write(fd, text, length);
  int error = n == (ssize_t)length ? 0 : n < 0 ? -errno : -ENOSPC;
  close(fd);
  if (error == 0 && rename(temporary, path)) error = -errno;
  if (error) unlink(temporary);
  return error;
}

/* Field 22 of /proc/PID/stat: with the pid it names a process for good. 0 when it is gone. */
static uint64_t start_time(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  char *at = strrchr(text, ')'); /* the name may hold spaces and parentheses */
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  return at ? strtoull(at + 1, NULL, 10) : 0;
}

static int in_state_dir(char out[PATH_BYTES], const char *name) {
  return snprintf(out, PATH_BYTES, "%s/%s", shim.config->state_dir, name) < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

int files_write_shim(void) {
  char path[PATH_BYTES], text[TEXT_BYTES];
  int init = 0;
  for (const struct process *p = shim.processes; p; p = p->next)
    if (!*p->slot->exec_id) init = p->slot->pid;
  snprintf(text, sizeof text, "{\"pid\":%d,\"pausePid\":%d,\"initPid\":%d,\"initStartTime\":%" PRIu64 ",\"protocol\":%d}\n",
           getpid(), shim.pause_pid, init, init ? start_time(init) : 0, PROTOCOL);
  int error = in_state_dir(path, "shim.json");
  return error ? error : write_renamed(path, text);
}

static int exit_path(char out[PATH_BYTES], const struct slot *slot) {
  char name[EXEC_ID_BYTES + 16];
  snprintf(name, sizeof name, *slot->exec_id ? "exit-%s.json" : "exit%s.json", slot->exec_id);
  return in_state_dir(out, name);
}

int files_write_exit(const struct slot *slot) {
  char path[PATH_BYTES], text[TEXT_BYTES];
  snprintf(text, sizeof text,
           "{\"execId\":\"%s\",\"pid\":%d,\"waitStatus\":%u,\"exitedAtNs\":\"%" PRIu64 "\",\"oomKilled\":%s}\n", slot->exec_id,
           slot->pid, slot->wait_status, slot->exited_at_ns, slot->oom_killed ? "true" : "false");
  int error = exit_path(path, slot);
  return error ? error : write_renamed(path, text);
}

void files_remove_exit(const struct slot *slot) {
  char path[PATH_BYTES];
  if (exit_path(path, slot) == 0) unlink(path);
}

void files_remove_shim(void) {
  char path[PATH_BYTES];
  if (in_state_dir(path, "shim.json") == 0) unlink(path);
}
