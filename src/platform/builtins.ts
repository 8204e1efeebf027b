/**
 * Modules of the runtime for code that every command loads and few use: importing one costs a command 1 to 2 ms of its start
 * (docs/decisions/0003-what-a-command-loads.md), so here each is loaded by its first use.
 */
export const builtins = {
  get crypto() {
    return process.getBuiltinModule("node:crypto");
  },
  get fs() {
    return process.getBuiltinModule("node:fs");
  },
  get os() {
    return process.getBuiltinModule("node:os");
  },
  get path() {
    return process.getBuiltinModule("node:path");
  },
} as const;
