#include "node/base/rng.h"

#include "node/base/assert.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t mixed_stream = stream;
    uint64_t state = seed ^ splitmix64(&mixed_stream);
    for (int i = 0; i < 4; i += 2) {
        uint64_t v = splitmix64(&state);
        r->s[i] = (uint32_t)v;
        r->s[i + 1] = (uint32_t)(v >> 32);
    }
    if (!(r->s[0] | r->s[1] | r->s[2] | r->s[3]))
        r->s[0] = 1; /* the all-zero state never leaves itself */
}

static uint32_t rotl(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

uint32_t rng_u32(struct rng *r)
{
    uint32_t *s = r->s;
    uint32_t result = rotl(s[0] + s[3], 7) + s[0];
    uint32_t t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11);
    return result;
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t high = rng_u32(r);
    return high << 32 | rng_u32(r);
}

uint32_t rng_below(struct rng *r, uint32_t bound)
{
    core_assert(bound > 0);
    /* Draws from the last, incomplete stretch would favour small values: draw again (at most half of them). */
    uint32_t limit = UINT32_MAX - UINT32_MAX % bound;
    uint32_t v;
    do
        v = rng_u32(r);
    while (v >= limit);
    return v % bound;
}

uint64_t rng_jitter(struct rng *r, uint64_t value, uint32_t percent)
{
    uint64_t reach = value / 100 * percent;
    if (reach == 0)
        return value;
    return value - reach + rng_u64(r) % (2 * reach + 1);
}
