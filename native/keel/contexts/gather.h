/*
 * Files of a directory that another process has open, read with that process's rights, on their way into the store of contexts: a client of
 * this machine need not send them.
 */
#pragma once

/* keel gather --store DIRECTORY --index FILE --directory PID:FD:DEVICE:INODE; the files' names and attributes on stdin */
int gather_main(int argc, char **argv);
