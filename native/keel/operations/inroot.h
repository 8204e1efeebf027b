/*
 * Paths inside a root that is not ours to trust. Every resolution starts at the root's descriptor and stays below it
 * (RESOLVE_IN_ROOT, no magic links); what is missing is made one component at a time (CVE-2024-45310).
 */
#pragma once
#include <stdint.h>

enum inroot_kind { INROOT_FILE = 1, INROOT_DIRECTORY = 2 };

/* O_PATH descriptor or -errno. flags are added to O_PATH. */
int inroot_open(int root, const char *path, uint64_t flags);
/* The same, making what is missing. */
int inroot_make(int root, const char *path, enum inroot_kind kind, unsigned mode);
/* The directory that holds the last component, made when missing; *name is that component. Descriptor or -errno. */
int inroot_parent(int root, const char *path, char name[256]);
