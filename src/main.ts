/**
 * The entry of the one executable: chooses the role by the name it was called by, or by its first argument. It imports
 * nothing but this table, so that a command's start does not pay for the daemons.
 */
type Role = { readonly main: (argv: string[]) => Promise<number> };

export {};

const roles: Readonly<Record<string, () => Promise<Role>>> = {
  hull: () => import("./cli/main.ts"),
  docker: () => import("./cli/main.ts"),
  hulld: daemon(() => import("./dockerd/main.ts")),
  "hull-containerd": daemon(() => import("./containerd/main.ts")),
  "hull-netd": daemon(() => import("./network/main.ts")),
  "hull-buildkitd": daemon(() => import("./buildkit/main.ts")),
  "hull-runc": () => import("./runc/main.ts"),
};

/** A role that stays: what its work left is given back when it is over. */
function daemon(role: () => Promise<Role>): () => Promise<Role> {
  return async () => {
    (await import("./platform/quiet-collector.ts")).collectWhenQuiet();
    return role();
  };
}

const called = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
const first = process.argv[2] ?? "";
const byName = roles[called];
const role = byName ?? roles[first] ?? roles.hull!;
const argv = process.argv.slice(byName === undefined && roles[first] !== undefined && first !== "hull" ? 3 : 2);

// Ends at once: connections and deadlines of calls that nobody waits for any more (seconds) must not hold the process.
process.exit(await (await role()).main(argv));
