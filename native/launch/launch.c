/*
 * What dist/bin has under the names of our programs: sets what the JavaScript runtime reads from the environment only, once, when it
 * starts, and becomes ../libexec/glasshull/<name>. The process keeps its id, its descriptors and its argv (docs/decisions/0011-launcher.md).
 */
#include <stdbool.h>
#include <stddef.h>
#include "system.h"

enum { PATH_ROOM = 4096, VARIABLES_ROOM = 8192, CANNOT_EXECUTE_EXIT = 126, NO_ENTRY = 2 /* ENOENT */, NOT_FOUND_EXIT = 127 };

/* WORKER: a daemon that moves bulk bytes. In a heap that may hardly grow each megabyte that passes costs it 40 ms of collecting. */
enum kind { COMMAND, DAEMON, WORKER };

static const struct setting {
  enum kind of;
  const char *name, *assignment;
} settings[] = {
    /* A command ends before compiled code pays: setting up the compiler and its threads costs it 2 to 4 ms. */
    {COMMAND, "BUN_JSC_useJIT=", "BUN_JSC_useJIT=0"},
    /* How far a heap may grow over what lives in it, and below which size nobody collects (docs/decisions/0007-memory.md). */
    {DAEMON, "BUN_JSC_heapGrowthMaxIncrease=", "BUN_JSC_heapGrowthMaxIncrease=0.3"},
    {DAEMON, "BUN_JSC_largeHeapSize=", "BUN_JSC_largeHeapSize=2097152"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static size_t length_of(const char *text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

static bool begins_with(const char *text, const char *beginning) {
  while (*beginning)
    if (*text++ != *beginning++) return false;
  return true;
}

static const struct program {
  const char *name;
  enum kind kind;
} programs[] = {{"hull", COMMAND}, {"hull-runc", COMMAND}, {"hulld", DAEMON}, {"hull-containerd", DAEMON}, {"hull-netd", DAEMON},
                {"hull-buildkitd", WORKER}};

/* Null for a name that is none of ours. */
static const struct program *program_named(const char *name) {
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
    if (begins_with(name, programs[i].name) && name[length_of(programs[i].name)] == '\0') return &programs[i];
  return NULL;
}

static const char *basename_of(const char *path) {
  const char *base = path;
  for (; *path; path++)
    if (*path == '/') base = path + 1;
  return base;
}

static bool is_setting(const char *variable) {
  for (size_t i = 0; i < SETTINGS; i++)
    if (begins_with(variable, settings[i].name)) return true;
  return false;
}

/* Settings that are there already came from a command that starts a daemon, or from a daemon that starts a command. Null: too many. */
static char **environment_for(enum kind kind, char **given) {
  static char *all[VARIABLES_ROOM];
  size_t n = 0;
  for (; *given; given++) {
    if (is_setting(*given)) continue;
    if (n + SETTINGS + 1 > VARIABLES_ROOM) return NULL;
    all[n++] = *given;
  }
  for (size_t i = 0; i < SETTINGS; i++)
    if (settings[i].of == kind) all[n++] = (char *)settings[i].assignment;
  return all;
}

__attribute__((noreturn)) static void fail(int code, const char *what, const char *on) {
  const char *const words[] = {what, on, "; is the installation complete? libexec/glasshull belongs beside bin\n"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) complain(words[i], length_of(words[i]));
  end(code);
}

void launch(const long *stack) {
  static const char below[] = "/../libexec/glasshull/";
  static char path[2 * PATH_ROOM + sizeof below];
  char *const *argv = (char *const *)(stack + 1);
  long length = read_link("/proc/self/exe", path, PATH_ROOM);
  if (length <= 0) fail(CANNOT_EXECUTE_EXIT, "read my own name from ", "/proc/self/exe");
  /* Called by the name of a link; other names than ours ("docker") are hull's. */
  const struct program *program = stack[0] > 0 ? program_named(basename_of(argv[0])) : NULL;
  if (!program) program = program_named(basename_of(path));
  if (!program) program = &programs[0];
  size_t n = (size_t)(basename_of(path) - path) - 1;
  for (const char *from = below; *from; from++) path[n++] = *from;
  for (const char *from = program->name; *from; from++) path[n++] = *from;
  path[n] = '\0';
  char **environment = environment_for(program->kind, (char **)(stack + 1 + stack[0] + 1));
  if (!environment) fail(CANNOT_EXECUTE_EXIT, "too many environment variables for ", path);
  long failed = -execute(path, argv, environment);
  fail(failed == NO_ENTRY ? NOT_FOUND_EXIT : CANNOT_EXECUTE_EXIT, "cannot execute ", path);
}
