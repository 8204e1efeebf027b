/* The last steps: terminal, directory, program. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include "inroot.h"
#include "plan.h"
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

/* A directory outside the root has no name in it: getcwd tells (CVE-2024-21626). */
static int inside_root(void) {
  char path[PATH_MAX];
  long n = syscall(SYS_getcwd, path, sizeof path);
  return n < 0 ? -errno : path[0] == '/' ? 0 : -ENOENT;
}

int op_cwd(struct run *run, const struct record *r) {
  const char *path = r->b[0].length ? r->b[0].bytes : "/";
  if (chdir(path) == 0) {
    int error = inside_root();
    return error ? run_fail(run, error, "the working directory %s is outside the container's root", path) : 0;
  }
  if (errno != ENOENT || !r->i[0]) return -errno;
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = root < 0 ? -errno : inroot_make(root, path, INROOT_DIRECTORY, 0755);
  int error = fd < 0 ? fd : fchdir(fd) ? -errno : inside_root();
  if (fd >= 0) close(fd);
  if (root >= 0) close(root);
  return error;
}

int op_close_range(struct run *run, const struct record *r) {
  (void)run;
  return close_range((unsigned)r->i[0], ~0u, CLOSE_RANGE_CLOEXEC) ? -errno : 0;
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

int op_look_path(struct run *run, const struct record *r) {
  const char *name = r->b[0].bytes, *path = variable(r->b[1], "PATH");
  if (!*name) return -ENOENT;
  if (!strchr(name, '/')) return search(run, name, path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  int error = may_execute(name);
  return error ? error : keep_program(run, name);
}

int op_wait_start(struct run *run, const struct record *r) {
  (void)r;
  /* What has run so far is told now; this operation itself is not over. */
  int error = stage_tell_ready(run);
  return error ? error : stage_await_start(run);
}

/* runc's way: whoever starts the container opens the FIFO for reading. The slot holds it as O_PATH. */
int op_wait_fifo(struct run *run, const struct record *r) {
  int path_fd = slot_fd(run, r->i[0]);
  if (path_fd < 0) return path_fd;
  int error = stage_tell_ready(run);
  if (error) return error;
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", path_fd);
  int fd = open(name, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  error = write(fd, "0", 1) == 1 ? 0 : -errno;
  close(fd);
  return error;
}

enum { MOST_WORDS = 64 * 1024 };

static char **vector(struct blob list, const char *extra) {
  size_t n = list_count(list);
  if (n > MOST_WORDS) return NULL;
  char **words = calloc(n + 2, sizeof *words);
  if (!words) return NULL;
  size_t at = 0;
  for (const char *s = list_next(list, NULL); s; s = list_next(list, s)) words[at++] = (char *)(uintptr_t)s;
  if (extra) words[at++] = (char *)(uintptr_t)extra;
  return words;
}

int op_execve(struct run *run, const struct record *r) {
  bool needs_home = run->home[0] && !variable(r->b[1], "HOME");
  char **argv = vector(r->b[0], NULL), **envp = vector(r->b[1], needs_home ? run->home : NULL);
  if (!argv || !envp) return -ENOMEM;
  if (!argv[0]) return -EINVAL;
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(run->program ? run->program : argv[0], argv, envp);
  int error = -errno;
  free(argv);
  free(envp);
  return error;
}
