#include "simnet/engine/random.h"

#include "node/base/assert.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stafford's variant 13 of the 64-bit finaliser (the one of splitmix64), three words in turn. */
static uint64_t finish(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t h = finish(a + 0x9e3779b97f4a7c15u);
    h = finish(h ^ (b + 0x9e3779b97f4a7c15u));
    return finish(h + c * 0x9e3779b97f4a7c15u);
}

void sim_random_init(struct sim_random *r, uint64_t seed, uint32_t node, uint32_t stream)
{
    r->key = sim_hash(seed, (uint64_t)stream << 32 | node, 0);
    r->counter = 0;
}

uint64_t sim_random_u64(struct sim_random *r)
{
    return finish(r->key + ++r->counter * 0x9e3779b97f4a7c15u);
}

uint64_t sim_random_below(struct sim_random *r, uint64_t bound)
{
    core_assert(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, v;
    do
        v = sim_random_u64(r);
    while (v >= limit);
    return v % bound;
}

double sim_random_unit(struct sim_random *r)
{
    return (double)((sim_random_u64(r) >> 11) + 1) * (1.0 / 9007199254740992.0);
}

#define LN2_HIGH 6.93147180369123816490e-01 /* 33 bits, so that n * LN2_HIGH is exact */
#define LN2_LOW  1.90821492927058770002e-10

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)), a series in s^2 < 0.03. */
double sim_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    core_assert(x > 0 && bits >> 52 != 0);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return (double)e * LN2_HIGH + ((double)e * LN2_LOW + 2 * s * sum);
}

double sim_exp(double x)
{
    core_assert(x < 700 && x > -700);
    double t = x * 1.44269504088896340736;
    int n = (int)(t + (t < 0 ? -0.5 : 0.5));
    double r = (x - n * LN2_HIGH) - n * LN2_LOW, sum = 1;
    for (int k = 16; k >= 1; k--)
        sum = 1 + r / k * sum;
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

double sim_pow(double x, double y)
{
    return sim_exp(y * sim_log(x));
}

/* Newton from a power of two; IEEE steps only, so the same everywhere. */
double sim_sqrt(double x)
{
    if (x <= 0)
        return 0;
    double y = sim_exp(0.5 * sim_log(x));
    y = 0.5 * (y + x / y);
    return 0.5 * (y + x / y);
}

double sim_draw_weibull(struct sim_random *r, double shape, double scale)
{
    double u = -sim_log(sim_random_unit(r));
    if (u <= 1e-300)
        return 0;
    return shape == 1 ? scale * u : scale * sim_pow(u, 1 / shape);
}

double sim_draw_normal(struct sim_random *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += sim_random_unit(r);
    return sum;
}

void sim_trace_init(struct sim_trace *t)
{
    t->hash = 0xcbf29ce484222325u;
}

void sim_trace_word(struct sim_trace *t, uint64_t word)
{
    t->hash = (t->hash ^ word) * 0x9e3779b97f4a7c15u;
    t->hash ^= t->hash >> 29;
}

void sim_trace_bytes(struct sim_trace *t, const void *data, size_t size)
{
    const uint8_t *p = data;
    sim_trace_word(t, size);
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t v = 0;
        for (int i = 0; i < 8; i++)
            v |= (uint64_t)p[i] << 8 * i; /* one load on a little-endian machine */
        sim_trace_word(t, v);
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < size; i++)
        tail |= (uint64_t)p[i] << 8 * i;
    sim_trace_word(t, tail);
}

static uint32_t trapped_word(void)
{
    fprintf(
        stderr,
        "simnet: bug: something asked the system for random bytes; a run must follow from its seed alone\n");
    abort();
}

static void trapped_bytes(void *const out, const size_t size)
{
    (void)out;
    (void)size;
    (void)trapped_word();
}

static const char *trap_name(void)
{
    return "simnet trap";
}

void sim_random_trap(void)
{
    static struct randombytes_implementation trap; /* libsodium keeps the pointer */
    trap = (struct randombytes_implementation){
        .implementation_name = trap_name, .random = trapped_word, .buf = trapped_bytes};
    randombytes_set_implementation(&trap);
}
