#include "transfer/sha256_pair.h"
#include "node/base/assert.h"

/* clang 14 cannot ask for "sha" in __builtin_cpu_supports; an own CPUID at each call would trap in every
 * virtual machine. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

#define LANES 2
#define SHA   __attribute__((target("sha,sse4.1,ssse3")))

/* FIPS 180-4, 4.2.2. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The instructions want the eight working variables as (A, B, E, F) and (C, D, G, H), highest first. */
struct lane {
    __m128i abef, cdgh;
    __m128i m[4]; /* the last 16 words of the message schedule */
};

SHA static inline __m128i big_endian(const uint8_t *p)
{
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p),
                            _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
}

/* Four rounds, and the schedule words of four rounds further on. group: 0..15, known to the compiler once
 * unrolled. */
SHA static inline void rounds(struct lane *l, unsigned group)
{
    __m128i *now = &l->m[group & 3], *next = &l->m[(group + 1) & 3], *last = &l->m[(group + 3) & 3];
    __m128i k = _mm_loadu_si128((const __m128i *)(const void *)&round_constants[4 * group]);
    __m128i words = _mm_add_epi32(*now, k);
    l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, words);
    if (group >= 3 && group < 15) {
        *next = _mm_add_epi32(*next, _mm_alignr_epi8(*now, *last, 4));
        *next = _mm_sha256msg2_epu32(*next, *now);
    }
    l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(words, 0x0e));
    if (group >= 1 && group < 13)
        *last = _mm_sha256msg1_epu32(*last, *now);
}

SHA static inline void blocks(struct lane *lanes, const uint8_t *const *data, size_t count)
{
    for (size_t block = 0; block < count; block++) {
        __m128i abef[LANES], cdgh[LANES];
#pragma GCC unroll 2
        for (unsigned i = 0; i < LANES; i++) {
            abef[i] = lanes[i].abef;
            cdgh[i] = lanes[i].cdgh;
#pragma GCC unroll 4
            for (unsigned j = 0; j < 4; j++)
                lanes[i].m[j] = big_endian(data[i] + 64 * block + 16 * j);
        }
#pragma GCC unroll 16
        for (unsigned group = 0; group < 16; group++) {
            rounds(&lanes[0], group);
            rounds(&lanes[1], group);
        }
#pragma GCC unroll 2
        for (unsigned i = 0; i < LANES; i++) {
            lanes[i].abef = _mm_add_epi32(lanes[i].abef, abef[i]);
            lanes[i].cdgh = _mm_add_epi32(lanes[i].cdgh, cdgh[i]);
        }
    }
}

static void put(uint8_t *out, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(word >> (24 - 8 * i));
}

SHA static void digest(uint8_t out[HASH_SIZE], const struct lane *l)
{
    uint32_t abef[4], cdgh[4]; /* lowest first: F E B A, H G D C */
    _mm_storeu_si128((__m128i *)(void *)abef, l->abef);
    _mm_storeu_si128((__m128i *)(void *)cdgh, l->cdgh);
    const uint32_t words[8] = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
    for (unsigned i = 0; i < 8; i++)
        put(out + 4 * i, words[i]);
}

bool sha256_pair_usable(void)
{
    return __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1") &&
           __builtin_cpu_supports("ssse3");
}

SHA void sha256_pair(uint8_t out_a[HASH_SIZE], uint8_t out_b[HASH_SIZE], const uint8_t *a, const uint8_t *b,
                     size_t size)
{
    core_assert(size % 64 == 0);
    struct lane lanes[LANES];
    for (unsigned i = 0; i < LANES; i++) { /* FIPS 180-4, 5.3.3 */
        lanes[i].abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
        lanes[i].cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    }
    blocks(lanes, (const uint8_t *const[LANES]){a, b}, size / 64);
    uint8_t last[64] = {0x80}; /* FIPS 180-4, 5.1.1: padding, then the size in bits */
    put(last + 56, (uint32_t)((uint64_t)size >> 29));
    put(last + 60, (uint32_t)(size << 3));
    blocks(lanes, (const uint8_t *const[LANES]){last, last}, 1);
    digest(out_a, &lanes[0]);
    digest(out_b, &lanes[1]);
}
#else
bool sha256_pair_usable(void)
{
    return false;
}

void sha256_pair(uint8_t out_a[HASH_SIZE], uint8_t out_b[HASH_SIZE], const uint8_t *a, const uint8_t *b,
                 size_t size)
{
    (void)out_a, (void)out_b, (void)a, (void)b, (void)size;
    core_assert(false); /* asked without sha256_pair_usable */
}
#endif
