#include "hash.h"
#include <stdbool.h>
#include <string.h>

/* FIPS 180-4, section 4.2.2 */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t big_endian(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void rounds(uint32_t s[8], const uint32_t w[64]) {
  uint32_t v[8];
  memcpy(v, s, sizeof v);
  for (int t = 0; t < 64; t++) {
    uint32_t big1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t big0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22), majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    uint32_t one = v[7] + big1 + choice + constants[t] + w[t], two = big0 + majority;
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) s[i] += v[i];
}

static void portable_blocks(uint32_t s[8], const uint8_t *p, size_t count) {
  for (; count; count--, p += SHA256_BLOCK) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++) w[t] = big_endian(p + 4 * t);
    for (int t = 16; t < 64; t++) {
      uint32_t a = w[t - 15], b = w[t - 2];
      w[t] = w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    rounds(s, w);
  }
}

typedef void (*block_function)(uint32_t s[8], const uint8_t *p, size_t count);

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

static bool cpu_has_it(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

/* Four rounds a step: the instruction wants the state as ABEF and CDGH, and takes two words of (w + k) at a time. */
__attribute__((target("sha,sse4.1,ssse3"))) static void cpu_blocks(uint32_t s[8], const uint8_t *p, size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const void *)s), 0xb1);
  __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(s + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; count; count--, p += SHA256_BLOCK) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(p + 16 * i)), swap);
#pragma GCC unroll 16
    for (int step = 0; step < 16; step++) {
      __m128i *now = &w[step & 3];
      __m128i sum = _mm_add_epi32(*now, _mm_load_si128((const void *)(constants + 4 * step)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
      if (step >= 12) continue;
      __m128i last = w[(step + 3) & 3], seventh = _mm_alignr_epi8(last, w[(step + 2) & 3], 4);
      *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(step + 1) & 3]), seventh), last);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((void *)s, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((void *)(s + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>

static bool cpu_has_it(void) { return getauxval(AT_HWCAP) & 1u << 6; /* HWCAP_SHA2 */ }

__attribute__((target("+crypto"))) static void cpu_blocks(uint32_t s[8], const uint8_t *p, size_t count) {
  uint32x4_t abcd = vld1q_u32(s), efgh = vld1q_u32(s + 4);
  for (; count; count--, p += SHA256_BLOCK) {
    const uint32x4_t abcd_before = abcd, efgh_before = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 4; i++) w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
    for (int step = 0; step < 16; step++) {
      uint32x4_t *now = &w[step & 3], sum = vaddq_u32(*now, vld1q_u32(constants + 4 * step)), abcd_old = abcd;
      abcd = vsha256hq_u32(abcd, efgh, sum);
      efgh = vsha256h2q_u32(efgh, abcd_old, sum);
      if (step < 12) *now = vsha256su1q_u32(vsha256su0q_u32(*now, w[(step + 1) & 3]), w[(step + 2) & 3], w[(step + 3) & 3]);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(s, abcd);
  vst1q_u32(s + 4, efgh);
}
#else
static bool cpu_has_it(void) { return false; }
#define cpu_blocks portable_blocks
#endif

static block_function blocks;

void sha256_force_portable(void) { blocks = portable_blocks; }

void sha256_init(struct sha256 *h) {
  if (!blocks) blocks = cpu_has_it() ? cpu_blocks : portable_blocks;
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(h->state, start, sizeof start);
  h->length = 0;
}

void sha256_add(struct sha256 *h, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  size_t kept = h->length % SHA256_BLOCK;
  h->length += length;
  if (kept) {
    size_t n = SHA256_BLOCK - kept < length ? SHA256_BLOCK - kept : length;
    memcpy(h->rest + kept, p, n);
    p += n;
    length -= n;
    if (kept + n < SHA256_BLOCK) return;
    blocks(h->state, h->rest, 1);
  }
  if (length >= SHA256_BLOCK) blocks(h->state, p, length / SHA256_BLOCK);
  p += length - length % SHA256_BLOCK;
  if (length % SHA256_BLOCK) memcpy(h->rest, p, length % SHA256_BLOCK);
}

void sha256_end(struct sha256 *h, uint8_t digest[SHA256_BYTES]) {
  uint64_t bits = h->length * 8;
  uint8_t tail[SHA256_BLOCK + 8] = {0x80};
  size_t zeros = (SHA256_BLOCK * 2 - 8 - 1 - h->length % SHA256_BLOCK) % SHA256_BLOCK;
  for (int i = 0; i < 8; i++) tail[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
  sha256_add(h, tail, 1 + zeros + 8);
  for (int i = 0; i < SHA256_BYTES; i++) digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_text(const uint8_t digest[SHA256_BYTES], char text[2 * SHA256_BYTES + 1]) {
  static const char hex[] = "0123456789abcdef";
  for (int i = 0; i < SHA256_BYTES; i++) {
    text[2 * i] = hex[digest[i] >> 4];
    text[2 * i + 1] = hex[digest[i] & 15];
  }
  text[2 * SHA256_BYTES] = 0;
}
