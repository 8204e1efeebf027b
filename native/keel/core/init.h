/*
 * keel init and keel exec: the stand-alone runtime's process maker, for hull-runc. The message (a stage section's operations, for exec
 * too) comes on descriptor 3, the result frame goes to descriptor 4, stdio is our own.
 */
#pragma once
/* `keel init run|tied|create`, `keel exec run|create [PIDFD of PID]`. Exit code: the process's (run), else 0 or 1. */
int init_main(int argc, char **argv);
