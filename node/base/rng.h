/* A small deterministic generator for jitter and ties (xoshiro128++ seeded by splitmix64; Blackman and Vigna 2018). It is
 * not for secrets: request ids and tokens come from keyed hashes, keys from the host's seed. 16 bytes, so that each object has its
 * own and one node's extra draw does not shift another's story. */
#ifndef SHOAL_BASE_RNG_H
#define SHOAL_BASE_RNG_H
#include <stdint.h>

struct rng {
    uint32_t s[4];
};

void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t bound);  /* uniform in [0, bound); bound > 0 */
uint64_t rng_jitter(struct rng *r, uint64_t value, uint32_t percent); /* uniform in value +- percent % */
#endif
