/* Pools say no at their cap and when memory is refused, hand out zeroed objects, and give everything back. The generator is the same everywhere.
 * Both crypto tables notice what is forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/crypto.h"
#include "node/base/effects.h"
#include "node/base/err.h"
#include "node/base/pool.h"
#include "node/base/rng.h"
#include "node/base/time.h"

struct meter {
    int allow; /* allocations still granted */
    int alive;
};

static void *metered_alloc(void *context, size_t size)
{
    struct meter *m = context;
    if (m->allow == 0)
        return NULL;
    m->allow--;
    m->alive++;
    return calloc(1, size);
}

static void metered_free(void *context, void *memory)
{
    struct meter *m = context;
    if (memory)
        m->alive--;
    free(memory);
}

static void pool_cap_and_reuse(void **state)
{
    struct pool p;
    void *objects[100];
    (void)state;
    pool_init(&p, &core_alloc_libc, 200, 100);
    for (int i = 0; i < 100; i++) {
        objects[i] = pool_take(&p);
        assert_non_null(objects[i]);
        for (int j = 0; j < 200; j++)
            assert_int_equal(((uint8_t *)objects[i])[j], 0);
        memset(objects[i], 0xff, 200);
    }
    assert_null(pool_take(&p));
    pool_give(&p, objects[7]);
    uint8_t *again = pool_take(&p);
    assert_ptr_equal(again, objects[7]);
    assert_int_equal(again[100], 0);
    for (int i = 0; i < 100; i++)
        pool_give(&p, objects[i]);
    pool_fini(&p);
}

static void pool_without_memory(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 4; allowed++) {
        struct meter meter = {.allow = allowed};
        struct core_alloc alloc = {metered_alloc, metered_free, &meter};
        struct pool p;
        void *taken[16];
        int count = 0;
        pool_init(&p, &alloc, 40000, 16); /* one object a slab */
        while (count < 16 && (taken[count] = pool_take(&p)) != NULL)
            count++;
        assert_int_equal(count, allowed);
        while (count)
            pool_give(&p, taken[--count]);
        pool_fini(&p);
        assert_int_equal(meter.alive, 0);
    }
}

static void rng_is_pinned(void **state)
{
    /* The published outputs of xoshiro128++ for state {1, 2, 3, 4}. */
    static const uint32_t published[] = {641, 1573767, 3222811527u, 3517856514u, 836907274u};
    struct rng r = {{1, 2, 3, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        assert_int_equal(rng_u32(&r), published[i]);
    rng_init(&r, 1, 2);
    for (int i = 0; i < 10000; i++) {
        assert_true(rng_below(&r, 7) < 7);
        uint64_t j = rng_jitter(&r, 1000, 10);
        assert_true(j >= 900 && j <= 1100);
    }
}

static void crypto_tables(void **state)
{
    static const struct core_crypto *const tables[] = {&core_crypto_real, &core_crypto_cheap};
    (void)state;
    for (int t = 0; t < 2; t++) {
        const struct core_crypto *c = tables[t];
        struct node_identity a, b;
        uint8_t seed[32] = {1}, s1[32], s2[32], sig[64], sealed[100], opened[100], nonce[24] = {9};
        c->identity(&a, seed);
        seed[0] = 2;
        c->identity(&b, seed);
        assert_true(c->shared(s1, &a, b.key));
        assert_true(c->shared(s2, &b, a.key));
        assert_memory_equal(s1, s2, 32);
        c->sign(sig, (const uint8_t *)"hello", 5, &a);
        assert_true(c->verify(sig, (const uint8_t *)"hello", 5, a.key));
        assert_false(c->verify(sig, (const uint8_t *)"hellp", 5, a.key));
        assert_false(c->verify(sig, (const uint8_t *)"hello", 5, b.key));
        c->seal(sealed, (const uint8_t *)"message", 7, (const uint8_t *)"ad", 2, nonce, s1);
        assert_true(c->open(opened, sealed, 7 + SEAL_TAG_SIZE, (const uint8_t *)"ad", 2, nonce, s1));
        assert_memory_equal(opened, "message", 7);
        assert_false(c->open(opened, sealed, 7 + SEAL_TAG_SIZE, (const uint8_t *)"aD", 2, nonce, s1));
        for (size_t i = 0; i < 7 + SEAL_TAG_SIZE; i++) {
            sealed[i] ^= 1;
            assert_false(c->open(opened, sealed, 7 + SEAL_TAG_SIZE, (const uint8_t *)"ad", 2, nonce, s1));
            sealed[i] ^= 1;
        }
        assert_false(c->open(opened, sealed, SEAL_TAG_SIZE - 1, NULL, 0, nonce, s1));
        /* Parts are only a way to pass bytes: their boundaries do not change the hash. */
        struct bytes one[] = {bytes_of("abcdefghijk", 11)}, two[] = {bytes_of("abc", 3), bytes_of("defghijk", 8)};
        uint8_t h1[32], h2[32];
        c->hash(h1, 32, NULL, 0, one, 1);
        c->hash(h2, 32, NULL, 0, two, 2);
        assert_memory_equal(h1, h2, 32);
    }
}

static void blake2b_vector(void **state)
{
    /* RFC 7693, appendix A: BLAKE2b-512 of "abc", first bytes. */
    static const uint8_t expected[8] = {0xba, 0x80, 0xa5, 0x3f, 0x98, 0x1c, 0x4d, 0x0d};
    uint8_t out[64];
    struct bytes parts[] = {bytes_of("abc", 3)};
    (void)state;
    core_crypto_real.hash(out, 64, NULL, 0, parts, 1);
    assert_memory_equal(out, expected, sizeof expected);
}

static void small_order_keys_are_refused(void **state)
{
    struct node_identity me;
    uint8_t seed[32] = {3}, out[32], key[32] = {1}; /* the neutral element */
    (void)state;
    core_crypto_real.identity(&me, seed);
    assert_false(core_crypto_real.shared(out, &me, key));
    memset(key, 0xff, sizeof key); /* not a point */
    assert_false(core_crypto_real.shared(out, &me, key));
}

static void batch_of_effects(void **state)
{
    struct effect items[4];
    uint8_t bytes[16];
    struct effects e;
    (void)state;
    effects_init(&e, items, 4, bytes, sizeof bytes);
    assert_true(effects_room(&e, 4, 16));
    assert_false(effects_room(&e, 5, 0));
    assert_false(effects_room(&e, 0, 17));
    struct effect *x = effects_add(&e, EFFECT_DATAGRAM);
    memcpy(effects_reserve(&e, x, 10), "0123456789", 10);
    effects_commit(&e, x, 4);
    x = effects_add(&e, EFFECT_DATAGRAM);
    memcpy(effects_reserve(&e, x, 12), "abcdefghijkl", 12);
    effects_commit(&e, x, 12);
    assert_memory_equal(effects_bytes(&e, &items[0]).data, "0123", 4);
    assert_memory_equal(effects_bytes(&e, &items[1]).data, "abcdefghijkl", 12);
    assert_false(effects_room(&e, 1, 1));
    effects_reset(&e);
    assert_true(effects_room(&e, 4, 16));
}

static void times_saturate(void **state)
{
    (void)state;
    assert_true(core_time_add(5, 6) == 11);
    assert_true(core_time_add(CORE_NEVER - 1, 6) == CORE_NEVER);
    assert_true(core_time_min(CORE_NEVER, 3) == 3);
    assert_string_equal(err_name(ERR_BAD_HASH), "ERR_BAD_HASH");
    assert_string_equal(err_name(-999), "ERR_?");
    assert_true(err_is_ours(ERR_NO_SPACE));
    assert_false(err_is_ours(ERR_BAD_HASH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_cap_and_reuse), cmocka_unit_test(pool_without_memory), cmocka_unit_test(rng_is_pinned),
        cmocka_unit_test(crypto_tables),      cmocka_unit_test(blake2b_vector),      cmocka_unit_test(small_order_keys_are_refused),
        cmocka_unit_test(batch_of_effects),   cmocka_unit_test(times_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
