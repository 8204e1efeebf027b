/* What builds do with files: layers' trees as indexes, and files of a tree put into a layer (docs/protocols.md). */
#pragma once

/* This process does bulk work under that name: after what somebody waits for, where processors are short. */
void files_begin(const char *name);

/* keel index --root DIRECTORY --path PATH --index FILE [--unread] */
int index_main(int argc, char **argv);
/* keel place --upper DIRECTORY [--lower DIRECTORY] (--store DIRECTORY | --source DIRECTORY) --owner UID:GID; the placements on stdin */
int place_main(int argc, char **argv);
