/* SHA-256 (FIPS 180-4), by the CPU's own instructions where it has them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

struct sha256 {
  uint32_t state[8];
  uint64_t length; /* bytes so far */
  uint8_t rest[SHA256_BLOCK];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t length);
void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);
/* 64 hex digits and a NUL. */
void sha256_text(const uint8_t digest[SHA256_BYTES], char text[2 * SHA256_BYTES + 1]);
/* For tests: the portable way only. */
void sha256_force_portable(void);
