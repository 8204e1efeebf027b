/**
 * The operations that keel executes: the one definition of their codes and fields. `scripts/keel-header.ts`
 * writes `native/keel/core/operations.h` from this table and a test compares the two.
 *
 * An operation is a record: integers (u64), then blobs (bytes; strings end in NUL on the wire). "slot" integers name
 * entries of the plan's descriptor table (0..63); NO_SLOT (0xffffffff) means none.
 */
export interface OperationShape {
  readonly code: number;
  readonly ints: readonly string[];
  readonly blobs: readonly string[];
}

export const NO_SLOT = 0xffffffff;

export const operations = {
  // -- files, by path in the current mount namespace --------------------------------------------------------------
  /** mkdirat(AT_FDCWD). */
  mkdir: { code: 1, ints: ["mode"], blobs: ["path"] },
  /** mkdir -p. */
  mkdirAll: { code: 2, ints: ["mode"], blobs: ["path"] },
  rmdir: { code: 3, ints: [], blobs: ["path"] },
  unlink: { code: 4, ints: [], blobs: ["path"] },
  /** Deletes a whole tree by descriptors, never following a link, never crossing a mount. Absent is fine. */
  removeTree: { code: 5, ints: [], blobs: ["path"] },
  symlink: { code: 6, ints: [], blobs: ["target", "path"] },
  rename: { code: 7, ints: [], blobs: ["from", "to"] },
  /** open(path, flags|O_CLOEXEC, mode), one write of all data, close. With `fsync` 1: fsync before close. */
  writeFile: { code: 8, ints: ["flags", "mode", "fsync"], blobs: ["path", "data"] },
  /** Output: the bytes, at most maxBytes. */
  readFile: { code: 9, ints: ["maxBytes"], blobs: ["path"] },
  chmod: { code: 10, ints: ["mode"], blobs: ["path"] },
  lchown: { code: 11, ints: ["uid", "gid"], blobs: ["path"] },
  setxattr: { code: 12, ints: ["flags"], blobs: ["path", "name", "value"] },
  /**
   * Recursive copy of a directory's contents, and of its own mode, owner, times, with xattrs, links, devices; by descriptors, crossing no mount.
   * `from` may be a list of two: a root, and a path whose links are followed inside that root.
   */
  copyTree: { code: 13, ints: [], blobs: ["from", "to"] },
  /** Output: u64 bytes (blocks*512, hard links once), u64 inodes. */
  usage: { code: 14, ints: [], blobs: ["path"] },
  fsyncPath: { code: 15, ints: [], blobs: ["path"] },

  // -- descriptors ------------------------------------------------------------------------------------------------
  open: { code: 20, ints: ["slot", "flags", "mode"], blobs: ["path"] },
  /** openat2(dirSlot, path, {flags, mode, resolve}). */
  openat2: { code: 21, ints: ["slot", "dirSlot", "flags", "mode", "resolve"], blobs: ["path"] },
  close: { code: 22, ints: ["slot"], blobs: [] },
  /** Writes data to an open slot (cgroup `tasks` files: "0"). */
  writeSlot: { code: 23, ints: ["slot"], blobs: ["data"] },
  /** Output: a path inside rootSlot as `keel stat` prints it (JSON, see protocols.md). */
  statIn: { code: 24, ints: ["rootSlot", "follow"], blobs: ["path"] },
  /** flock(LOCK_EX|LOCK_NB) on an open slot. */
  flock: { code: 25, ints: ["slot"], blobs: [] },

  // -- namespaces and processes -----------------------------------------------------------------------------------
  unshare: { code: 30, ints: ["flags"], blobs: [] },
  setns: { code: 31, ints: ["slot", "nstype"], blobs: [] },
  /** setns(pidfd of the shim's init, mask): exec only. */
  setnsInit: { code: 32, ints: ["mask"], blobs: [] },
  /**
   * clone3: the operations that follow run in the child. The parent of the child is the caller's parent
   * (CLONE_PARENT) under a shim. cgroupSlot: CLONE_INTO_CGROUP. Output: u32 pid. With user namespace, uidMap and gidMap are
   * written by the parent before the child goes on.
   */
  clone: { code: 33, ints: ["flags", "cgroupSlot"], blobs: ["uidMap", "gidMap"] },
  /** Runs argv (NUL separated) with stdin bytes, waits at most timeoutMs. Output: u32 wait status, u32 stdoutLen, stdout, stderr (each at most 1 MiB). Fails with ECANCELED on a non-zero exit when `check` is 1. */
  command: { code: 34, ints: ["timeoutMs", "check"], blobs: ["argv", "envp", "stdin"] },
  /** An OCI hook: like command, on stdin the container state JSON in which the text "@PID@" is replaced by the container's pid. */
  hook: { code: 35, ints: ["timeoutMs", "where"], blobs: ["path", "argv", "envp", "state"] },
  kill: { code: 36, ints: ["pid", "signal"], blobs: [] },
  /**
   * Stage only: another OCI runtime's command with the stage's stdio, to its end; a status but 0 is ECANCELED. The process named in pidFile (if
   * given) becomes the stage's; a terminal that comes on consoleSocket (if given) is passed on. Such a plan ends without execve.
   */
  runtime: { code: 37, ints: [], blobs: ["argv", "pidFile", "consoleSocket"] },
  /** Stage only: until `runtime` brings a process, the stage itself is the one that waits. */
  standIn: { code: 38, ints: [], blobs: [] },

  // -- mounts -----------------------------------------------------------------------------------------------------
  /** mount(2) as it is. An empty blob is NULL. */
  mount: { code: 40, ints: ["flags"], blobs: ["source", "target", "type", "data"] },
  umount: { code: 41, ints: ["flags"], blobs: ["target"] },
  /**
   * overlayfs at `target`. lowers: NUL separated paths, top first. From kernel 6.8 lowerdir+ by descriptor, else mount(2) with cwd =
   * `base` and the relative `links` (NUL separated, top first). Flags: 1 read-only (no upper), 2 volatile, 4 userxattr.
   */
  overlay: { code: 42, ints: ["flags"], blobs: ["target", "upper", "work", "lowers", "base", "links"] },
  /** fsopen, fsconfig for each "key\0value\0" (empty value: a flag), fsmount(attr) -> slot. */
  fsmount: { code: 43, ints: ["slot", "attr"], blobs: ["type", "source", "options"] },
  /** open_tree(AT_FDCWD, path, flags | OPEN_TREE_CLOEXEC). */
  openTree: { code: 44, ints: ["slot", "flags"], blobs: ["path"] },
  /** open_tree relative to rootSlot, path resolved inside it. */
  openTreeIn: { code: 45, ints: ["slot", "rootSlot", "flags"], blobs: ["path"] },
  /** mount_setattr on a detached tree. usernsSlot for idmaps. Before kernel 5.12 what a remount can do is done once moveMount or moveMountIn has attached it. */
  mountSetattr: { code: 46, ints: ["slot", "recursive", "set", "clear", "propagation", "usernsSlot"], blobs: [] },
  /** Attaches slot at a path on the host side (no rootfs involved). */
  moveMount: { code: 47, ints: ["slot"], blobs: ["path"] },
  /**
   * Attaches slot at `path` inside rootSlot: walks it component by component with openat2(RESOLVE_IN_ROOT), creates what is missing
   * (create: 1 as a file, 2 as a directory, 3 as what the mount is) and verifies it is under the root. Flags: 1 the last component must be an ordinary directory and no link (proc, sysfs); 2 a
   * tmpfs takes the mode of what it covers; 4 it may cover a file of /proc.
   */
  moveMountIn: { code: 48, ints: ["slot", "rootSlot", "create", "mode", "flags"], blobs: ["path"] },
  /** mount(NULL, path, NULL, flags): propagation. */
  propagation: { code: 49, ints: ["flags"], blobs: ["path"] },
  /** pivot_root(".", ".") onto rootSlot, detach the old root, chdir("/"). */
  pivotRoot: { code: 50, ints: ["rootSlot"], blobs: [] },
  /** chroot, for no-pivot. */
  chroot: { code: 51, ints: ["rootSlot"], blobs: [] },
  /** Masks each NUL separated path after pivot: a directory by one shared empty ro tmpfs, a file by the container's own /dev/null, which must be device 1:3. Absent is fine. */
  maskPaths: { code: 52, ints: [], blobs: ["paths"] },
  /** Makes each path read-only (recursive bind, ro) after pivot. Absent is fine. */
  readonlyPaths: { code: 53, ints: [], blobs: ["paths"] },
  /** Read-only remount of "/" (keeps the other flags). */
  readonlyRoot: { code: 54, ints: [], blobs: [] },
  /** Copies what the image has below `path` in rootSlot into the tmpfs in slot (tmpcopyup). */
  copyUp: { code: 55, ints: ["slot", "rootSlot"], blobs: ["path"] },

  // -- inside a rootfs, before pivot ------------------------------------------------------------------------------
  mkdirIn: { code: 60, ints: ["rootSlot", "mode", "uid", "gid"], blobs: ["path"] },
  mknodIn: { code: 61, ints: ["rootSlot", "mode", "major", "minor", "uid", "gid"], blobs: ["path"] },
  /** EEXIST is fine. */
  symlinkIn: { code: 62, ints: ["rootSlot"], blobs: ["target", "path"] },
  writeFileIn: { code: 63, ints: ["rootSlot", "mode"], blobs: ["path", "data"] },

  // -- the process to be ------------------------------------------------------------------------------------------
  sethostname: { code: 70, ints: [], blobs: ["name"] },
  setdomainname: { code: 71, ints: [], blobs: ["name"] },
  /** Writes /proc/sys/<name> (slashes) through a private procfs handle. */
  sysctl: { code: 72, ints: [], blobs: ["name", "value"] },
  /** prlimit(self). Where raising the hard limit gives EPERM and `degrade` is 1: lowered to what is allowed. */
  rlimit: { code: 73, ints: ["resource", "soft", "hard", "degrade"], blobs: [] },
  oomScoreAdj: { code: 74, ints: ["score"], blobs: [] },
  /** New session keyring of that name; ENOSYS and EPERM are fine. */
  keyring: { code: 75, ints: [], blobs: ["name"] },
  prctl: { code: 76, ints: ["option", "arg2", "arg3", "arg4", "arg5"], blobs: [] },
  setsid: { code: 77, ints: [], blobs: [] },
  /** Five sets as 64 bit masks. What the host's bounding set lacks is dropped. Keeps capabilities over the change of user when asked before setUser (see order in plan.ts). */
  capabilities: { code: 78, ints: ["bounding", "effective", "inheritable", "permitted", "ambient"], blobs: [] },
  noNewPrivileges: { code: 79, ints: [], blobs: [] },
  /** Loads a classic BPF program (sock_filter array). flags: SECCOMP_FILTER_FLAG_*. listenerPath not empty: the notify fd is sent there. */
  seccomp: { code: 80, ints: ["flags"], blobs: ["program", "listenerPath", "listenerMetadata"] },
  /** setgroups (u32 list), setresgid, setresuid, umask. Keeps permitted capabilities (PR_SET_KEEPCAPS) for a later `capabilities`. chowns stdio to the user. */
  setUser: { code: 81, ints: ["uid", "gid", "umask", "keepGroups"], blobs: ["groups"] },
  /**
   * Resolves the user in the container after pivot: `user` is Docker's "name|uid[:group|gid]"; reads /etc/passwd and /etc/group there
   * (regular files only, 10 MiB at most); then as setUser. Extra groups: NUL separated names or numbers. Sets HOME when the environment lacks it.
   */
  setUserByName: { code: 82, ints: ["umask"], blobs: ["user", "extraGroups"] },
  /** chdir, created when missing if create is 1, then verified to be inside the root. */
  cwd: { code: 83, ints: ["create"], blobs: ["path"] },
  /** Writes an LSM exec label ("apparmor" or "selinux") through a private procfs handle. */
  lsmLabel: { code: 84, ints: [], blobs: ["lsm", "label"] },
  personality: { code: 85, ints: ["domain"], blobs: [] },
  ioPriority: { code: 86, ints: ["class", "priority"], blobs: [] },
  scheduler: { code: 87, ints: ["policy", "nice", "priority", "flags", "runtime", "deadline", "period"], blobs: [] },
  /** Opens a pty in the container's devpts, sends the master to the supervisor, binds the slave on /dev/console (bindConsole 1), makes it stdio and the controlling terminal. */
  console: { code: 88, ints: ["rows", "columns", "bindConsole", "uid", "gid"], blobs: [] },
  /** Every descriptor from 3 on gets O_CLOEXEC. */
  closeRange: { code: 89, ints: ["first"], blobs: [] },
  /** Looks argv[0] up in the container (PATH of envp), checks that it may be executed. Fails as execve would: ENOENT, EACCES. */
  lookPath: { code: 90, ints: [], blobs: ["argv0", "envp"] },
  /** Reports READY to the supervisor (with all results so far), then waits for the start byte. */
  waitStart: { code: 91, ints: [], blobs: [] },
  /** As waitStart for the stand-alone runtime: READY, then opens this FIFO for writing and writes one byte, as runc does. */
  waitFifo: { code: 92, ints: ["slot"], blobs: [] },
  /** execve of what lookPath found. argv, envp NUL separated. */
  execve: { code: 93, ints: [], blobs: ["argv", "envp"] },

  // -- network ----------------------------------------------------------------------------------------------------
  /** Sends rtnetlink or nfnetlink messages (whole nlmsghdr records) on a fresh socket of `protocol` in the current network namespace, waits for each ACK. Output: every reply. Fails with the first error the kernel answers unless tolerated. */
  netlink: { code: 100, ints: ["protocol"], blobs: ["messages"] },
  /** socket(family,type), SO_REUSEADDR, bind, listen for streams -> slot. address: text "ip:port" or "[ip]:port". */
  bindSocket: { code: 101, ints: ["slot", "family", "type"], blobs: ["address"] },
  /** pause only: keeps the slot open under this name for borrowers. */
  hold: { code: 102, ints: ["slot"], blobs: ["name"] },
  /** Raises an interface in the current namespace. */
  linkUp: { code: 103, ints: [], blobs: ["name"] },
  /** Sends one Ethernet frame by the interface of this index. The packet socket is made in `slot` when that is empty, and stays there. */
  sendFrame: { code: 105, ints: ["slot", "index"], blobs: ["frame"] },

  /** Attaches a BPF_PROG_TYPE_CGROUP_DEVICE program (struct bpf_insn array) to the cgroup v2 directory open in slot, in place of one attached before. */
  cgroupDevices: { code: 104, ints: ["slot"], blobs: ["program"] },

  // -- layers -----------------------------------------------------------------------------------------------------
  /**
   * Unpacks the layer blob at `blob` (gzip, zstd or plain, by its first bytes) into `directory`, as a role of its own process. format 0: overlay
   * whiteouts (char 0:0, trusted.overlay.opaque; flag 1: user.overlay.*); format 1: plain directory, whiteouts applied as deletions. Output: 32 bytes sha256 of
   * the blob as stored, 32 bytes sha256 of the plain tar, u64 plain size, u64 blob size, u64 bytes of its regular files.
   */
  applyLayer: { code: 110, ints: ["format", "flags"], blobs: ["blob", "directory"] },
  /**
   * Writes the upper directory `upper` as a layer tar at `blob` (compression 0 none, 1 gzip, 2 zstd); an empty `blob`: it is only hashed. `leftOut`: names (NUL separated, no slash
   * first) of mount points that are no part of it: empty files, and directories with nothing else in them. Output: as applyLayer.
   */
  diffLayer: { code: 111, ints: ["compression", "flags"], blobs: ["upper", "blob", "leftOut"] },
  /** Lists the changes in an overlay upper directory against its lowers (NUL separated, top first). Output: lines "A|C|D /path\0". */
  changes: { code: 112, ints: [], blobs: ["upper", "lowers"] },
  /** sha256 of a file. Output: 32 bytes digest, u64 size, 32 bytes digest of the inflated content, u64 inflated size. */
  hashFile: { code: 113, ints: ["inflate"], blobs: ["path"] },
} as const satisfies Record<string, OperationShape>;

export type OperationName = keyof typeof operations;

/** Errnos that an operation may be told to tolerate: bit i of the record's flags is the i-th name. */
export const tolerable = [
  "EEXIST",
  "ENOENT",
  "EPERM",
  "EINVAL",
  "EBUSY",
  "ENOSYS",
  "EROFS",
  "EOPNOTSUPP",
  "ENOTDIR",
  "ESRCH",
  "EACCES",
  "ENODEV",
  "ENOTEMPTY",
  "ENXIO",
  "EADDRNOTAVAIL",
  "ERANGE",
  "ENETDOWN",
] as const;
export type Tolerable = (typeof tolerable)[number];
