/* The mirror of apply: an overlay's upper directory as a layer, and the list of what it changes. */
#pragma once
#include "apply.h"
#include "plan.h"

enum diff_compression { DIFF_PLAIN, DIFF_GZIP, DIFF_ZSTD };

/* Writes the layer to a new file (an existing one is -EEXIST); an empty name: it is only hashed. 0 or -errno with result->text. */
int diff_to_file(const char *upper, const char *blob, int compression, struct blob left_out, struct apply_result *result);
