/*
 * What `docker cp` asks about a path inside a root, as one JSON object:
 * {"name","mode","size","uid","gid","mtimeSeconds","mtimeNanoseconds","linkTarget"}. `mode` is st_mode; `linkTarget` is where a link
 * leads in the end, as an absolute path inside the root (it need not exist), else empty.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>

enum { STAT_TEXT_BYTES = 4 * PATH_MAX };

/* The text's length, or -errno. follow: of what a link leads to. A "/" at the end asks for a directory. */
int stat_text(int root, const char *path, bool follow, char text[STAT_TEXT_BYTES]);
