/*
 * A procfs of our own, mounted nowhere: what is written there reaches the kernel and nothing that someone mounted over /proc
 * (CVE-2025-52881). Where the kernel refuses one, the host's /proc after a check of its type.
 */
#pragma once
#include "plan.h"

/* Writes a file below the private procfs. 0 or -errno. */
int procfs_write(struct run *run, const char *path, struct blob value);
/* Opens again what an O_PATH descriptor of ours names; descriptor or -errno. */
int procfs_reopen(struct run *run, int fd, int flags);
