/*
 * The stand-alone streams: `keel apply` (a tar on stdin), `keel archive` (a tar on stdout), `keel stat`. Exit code 0, or 1 with one JSON
 * line on stderr: {"code":"not-found","errno":2,"message":"...","entry":"...","offset":1024}. argv[0] is the role's name.
 */
#pragma once

int apply_main(int argc, char **argv);
int archive_main(int argc, char **argv);
int stat_main(int argc, char **argv);
