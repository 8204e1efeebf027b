/* The last steps: terminal, directory, program. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include "child.h"
#include "inroot.h"
#include "plan.h"
#include "procfs.h"
#include "stage.h"
#include "system.h"

/* -- console ---------------------------------------------------------------------------------------------------- */

/* The slave by its master's descriptor, never by its name (CVE-2025-52565). */
static int open_pair(int *master, int *slave) {
  *master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*master < 0) *master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*master < 0) return -errno;
  int unlock = 0;
  if (ioctl(*master, TIOCSPTLCK, &unlock)) return -errno;
  *slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  return *slave < 0 ? -errno : 0;
}

static int bind_console(int slave) {
  int target = open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0 && errno == ENOENT) {
    int made = open("/dev/console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made < 0) return -errno;
    close(made);
    target = open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }
  if (target < 0) return -errno;
  int tree = sys_open_tree(slave, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  int error = tree < 0 ? -errno : sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ? -errno : 0;
  if (tree >= 0) close(tree);
  close(target);
  return error;
}

int op_console(struct run *run, const struct record *r) {
  int master = -1, slave = -1;
  int error = open_pair(&master, &slave);
  struct winsize size = {.ws_row = (unsigned short)r->i[0], .ws_col = (unsigned short)r->i[1]};
  if (error == 0 && (size.ws_row || size.ws_col) && ioctl(slave, TIOCSWINSZ, &size)) error = -errno;
  if (error == 0 && r->i[2]) error = bind_console(slave);
  if (error == 0 && (r->i[3] || r->i[4]) && fchown(slave, (uid_t)r->i[3], (gid_t)r->i[4])) error = -errno;
  if (error == 0) setsid(); /* EPERM: it leads a session already */
  if (error == 0 && ioctl(slave, TIOCSCTTY, 0)) error = -errno;
  for (int fd = 0; fd < 3 && error == 0; fd++)
    if (dup2(slave, fd) < 0) error = -errno;
  if (error == 0 && run->supervisor >= 0) error = stage_tell_console(run, master);
  if (slave > 2) close(slave);
  if (master >= 0) close(master);
  return error;
}

/* -- directory ---------------------------------------------------------------------------------------------------- */

/* A leaked descriptor may lead outside (CVE-2024-21626): the kernel's own answer tells. */
static int check_inside(struct run *run, const char *path) {
  char now[PATH_MAX];
  if (syscall(SYS_getcwd, now, sizeof now) < 0) return -errno;
  return *now == '/' ? 0 : run_fail(run, -EPERM, "current working directory %s is outside of the container's root", path);
}

/* runc's words, which are Go's: clients read the exit code out of them. */
static const char *words_of(int error) {
  switch (error) {
    case ENOENT: return "no such file or directory";
    case ENOTDIR: return "not a directory";
    case EACCES: return "permission denied";
    default: return strerror(error);
  }
}

int op_cwd(struct run *run, const struct record *r) {
  const char *path = r->b[0].bytes;
  if (r->i[0]) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root < 0 ? -errno : inroot_make(root, path, INROOT_DIRECTORY, 0755);
    if (root >= 0) close(root);
    if (fd < 0) return run_fail(run, fd, "mkdir %s", path);
    close(fd);
  }
  if (chdir(path)) {
    int error = errno;
    return run_fail(run, -error, "chdir to cwd (\"%s\") set in config.json failed: %s", path, words_of(error));
  }
  return check_inside(run, path);
}

int op_close_range(struct run *run, const struct record *r) {
  (void)run;
  return close_range((unsigned)r->i[0], ~0u, CLOSE_RANGE_CLOEXEC) && errno != EINVAL ? -errno : 0; /* EINVAL: before 5.11, where all that is open here has the flag anyway */
}

/* -- program ---------------------------------------------------------------------------------------------------- */

static const char *variable(struct blob envp, const char *name) {
  size_t length = strlen(name);
  const char *found = NULL;
  for (const char *s = list_next(envp, NULL); s; s = list_next(envp, s))
    if (strncmp(s, name, length) == 0 && s[length] == '=') found = s + length + 1;
  return found;
}

static int may_execute(const char *path) {
  struct stat st;
  if (stat(path, &st)) return -errno;
  if (S_ISDIR(st.st_mode)) return -EISDIR;
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? -errno : S_ISREG(st.st_mode) && !(st.st_mode & 0111) ? -EACCES : 0;
}

static int keep_program(struct run *run, const char *path) {
  free(run->program);
  run->program = strdup(path);
  return run->program ? 0 : -ENOMEM;
}

/* As Go's LookPath: the first executable wins; a found but forbidden one decides the error when there is none. */
static int search(struct run *run, const char *name, const char *path) {
  char candidate[PATH_MAX];
  int worst = -ENOENT;
  for (const char *at = path; at && *at;) {
    const char *end = strchrnul(at, ':');
    int length = (int)(end - at);
    if (snprintf(candidate, sizeof candidate, "%.*s/%s", length ? length : 1, length ? at : ".", name) < (int)sizeof candidate) {
      int error = may_execute(candidate);
      if (error == 0) return keep_program(run, candidate);
      if (error == -EACCES) worst = error;
    }
    at = *end ? end + 1 : NULL;
  }
  return worst;
}

/* The words are those of Go's os/exec, which Docker's clients know. */
static int not_found(struct run *run, const char *name, int error) {
  bool path = strchr(name, '/') != NULL;
  if (error == -EISDIR) return run_fail(run, -EACCES, "exec: \"%s\": is a directory", name);
  if (error == -EACCES) return run_fail(run, error, "exec: \"%s\": permission denied", name);
  if (error == -ENOENT && !path) return run_fail(run, error, "exec: \"%s\": executable file not found in $PATH", name);
  if (error == -ENOENT) return run_fail(run, error, "exec: \"%s\": stat %s: no such file or directory", name, name);
  return run_fail(run, error, "exec: \"%s\"", name);
}

int op_look_path(struct run *run, const struct record *r) {
  const char *name = r->b[0].bytes, *path = variable(r->b[1], "PATH");
  int error = !*name ? -ENOENT : strchr(name, '/') ? may_execute(name) : search(run, name, path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  if (error == 0 && strchr(name, '/')) error = keep_program(run, name);
  return error ? not_found(run, name, error) : 0;
}

int op_wait_start(struct run *run, const struct record *r) {
  (void)r;
  /* What has run so far is told now; this operation itself is not over. */
  int error = stage_tell_ready(run);
  return error ? error : stage_await_start(run);
}

/* runc's way: whoever starts the container opens the FIFO for reading. Its name is gone with the old root, its descriptor is not. */
int op_wait_fifo(struct run *run, const struct record *r) {
  int slot = slot_fd(run, r->i[0]);
  if (slot < 0) return slot;
  int error = stage_tell_ready(run);
  if (error) return error;
  int fd = procfs_reopen(run, slot, O_WRONLY);
  if (fd < 0) return fd;
  error = write(fd, "0", 1) == 1 ? 0 : -errno;
  close(fd);
  return error;
}

int op_execve(struct run *run, const struct record *r) {
  char **argv = list_vector(r->b[0]), **envp = list_vector(r->b[1]);
  if (!argv || !envp) return -ENOMEM;
  if (!argv[0]) return -EINVAL;
  if (*run->home && !variable(r->b[1], "HOME")) envp[list_count(r->b[1])] = run->home;
  child_default_signals();
  execve(run->program ? run->program : argv[0], argv, envp);
  int error = run_fail(run, -errno, "exec %s", run->program ? run->program : argv[0]);
  free(argv);
  free(envp);
  return error;
}
