/* Withdrawal of provider records: what is no longer shared is found by nobody within seconds, whoever came or went since it was announced;
 * many keys go together; a change of mind in the middle ends as it was meant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

static struct dht_status status_of(const struct world *w, uint32_t i)
{
    struct dht_status s;
    dht_status(w->nodes[i].dht, &s);
    return s;
}

static struct world *settled(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed, count, NULL, &core_crypto_cheap);
    w->latency_max = CORE_MS(40);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(20));
    return w;
}

static void announce(struct world *w, uint32_t i, const uint8_t key[32], uint32_t op)
{
    assert_int_equal(world_announce(w, i, key, true, op), 0);
    const struct world_notice *n = world_wait(w, i, op, CORE_SECONDS(20));
    assert_non_null(n);
    assert_int_equal(n->x.u.notice.status, 0);
}

/* How many providers node i finds. */
static uint32_t found(struct world *w, uint32_t i, const uint8_t key[32], uint32_t op)
{
    assert_int_equal(world_get(w, i, DHT_PROVIDER, key, op), 0);
    assert_non_null(world_wait(w, i, op, CORE_SECONDS(20)));
    return world_notice_count(w, i, op, DHT_NOTICE_PROVIDER);
}

static uint32_t records(const struct world *w)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < w->count; i++)
        sum += w->nodes[i].dht ? status_of(w, i).records : 0;
    return sum;
}

/* Two share it, one gives it up: within three seconds only the other is found. Then nobody is, and no holder keeps anything. */
static void test_found_no_more(void **state)
{
    (void)state;
    struct world *w = settled(41, 60);
    uint8_t key[32];
    world_key(key, 5, 1);
    announce(w, 3, key, 1);
    announce(w, 4, key, 2);
    assert_int_equal(found(w, 30, key, 10), 2);
    world_unannounce(w, 3, key);
    /* its own answer is right from that moment */
    assert_int_equal(status_of(w, 3).announced, 0);
    world_run(w, w->now + CORE_SECONDS(3));
    for (uint32_t i = 10; i < 60; i += 9) {
        assert_int_equal(found(w, i, key, 20 + i), 1);
        const struct world_notice *p = world_notice_find(w, i, 20 + i, DHT_NOTICE_PROVIDER, 0);
        assert_int_equal(world_index(w, p->x.u.notice.node.key), 4);
    }
    world_unannounce(w, 4, key);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(found(w, 30, key, 90), 0);
    assert_int_equal(records(w), 0);
    assert_int_equal(w->nodes[3].dht->announce.count, 0);
    assert_int_equal(w->nodes[4].dht->announce.count, 0);
    world_free(w);
}

/* Forty nodes come after the announcement and push its holders outwards: those are told too. */
static void test_holders_pushed_out(void **state)
{
    (void)state;
    struct world *w = world_new(42, 100, NULL, &core_crypto_cheap);
    uint8_t key[32];
    for (uint32_t i = 0; i < 60; i++)
        world_start(w, i);
    for (uint32_t i = 1; i < 60; i++)
        world_hint(w, i, 0);
    world_run(w, w->now + CORE_SECONDS(20));
    world_key(key, 5, 2);
    announce(w, 3, key, 1);
    for (uint32_t i = 60; i < 100; i++) {
        world_start(w, i);
        world_hint(w, i, 0);
    }
    world_run(w, w->now + CORE_MINUTES(2));
    uint32_t moved = 0;
    for (uint32_t i = 0; i < 60; i++)
        moved += status_of(w, i).records && !world_is_closest(w, i, key, 16);
    assert_true(moved > 0); /* or this shows nothing */
    world_unannounce(w, 3, key);
    world_run(w, w->now + CORE_SECONDS(5));
    assert_int_equal(records(w), 0);
    world_free(w);
}

/* Five hundred keys given up at once: by regions, not one by one. */
static void test_many(void **state)
{
    (void)state;
    struct world *w = settled(43, 50);
    uint8_t key[32];
    for (uint32_t i = 0; i < 500; i++) {
        world_key(key, 6, i);
        assert_int_equal(world_announce(w, 7, key, false, 0), 0);
    }
    world_run(w, w->now + CORE_SECONDS(60));
    assert_int_equal(status_of(w, 7).announced_stored, 500);
    assert_true(records(w) >= 500 * 16);
    for (uint32_t i = 0; i < 500; i++) {
        world_key(key, 6, i);
        if (i % 50)
            world_unannounce(w, 7, key);
    }
    uint64_t before = w->nodes[7].sent;
    world_run(w, w->now + CORE_SECONDS(30));
    printf("490 keys withdrawn with %u datagrams\n", (unsigned)(w->nodes[7].sent - before));
    assert_true(w->nodes[7].sent - before < 2 * 490);
    assert_int_equal(status_of(w, 7).announced, 10);
    assert_int_equal(w->nodes[7].dht->announce.count, 10);
    assert_int_equal(records(w), 10 * 16);
    for (uint32_t i = 0; i < 500; i += 25) {
        world_key(key, 6, i);
        assert_int_equal(found(w, 20, key, 100 + i), i % 50 == 0);
    }
    world_free(w);
}

/* Given up while a walk announces it, and shared again while a walk withdraws it, at every moment of both: the last word counts. */
static void test_change_of_mind(void **state)
{
    (void)state;
    struct world *w = settled(44, 40);
    for (uint32_t step = 0; step < 24; step++) {
        uint8_t key[32];
        world_key(key, 7, step);
        assert_int_equal(world_announce(w, 5, key, true, 1000 + step), 0);
        world_run(w, w->now + CORE_MS(40) * step);
        world_unannounce(w, 5, key);
        world_run(w, w->now + CORE_SECONDS(6));
        assert_int_equal(found(w, 20, key, 2000 + step), 0);
        assert_int_equal(w->nodes[5].dht->announce.count, 0);
        announce(w, 5, key, 3000 + step);
        world_unannounce(w, 5, key);
        world_run(w, w->now + CORE_SECONDS(1) + CORE_MS(40) * step);
        assert_int_equal(world_announce(w, 5, key, true, 4000 + step), 0);
        const struct world_notice *n = world_wait(w, 5, 4000 + step, CORE_SECONDS(20));
        assert_non_null(n);
        assert_int_equal(n->x.u.notice.status, 0);
        assert_int_equal(n->x.u.notice.a, 16);
        assert_int_equal(found(w, 20, key, 5000 + step), 1);
        world_unannounce(w, 5, key);
        world_run(w, w->now + CORE_SECONDS(6));
        world_notices_clear(w);
    }
    assert_int_equal(records(w), 0);
    world_free(w);
}

/* Cut off when it is given up: tried again until somebody is reached, and not for ever. */
static bool nothing_arrives(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)w, (void)data, (void)size;
    return from != 3 && to != 3;
}

static void test_cut_off(void **state)
{
    (void)state;
    struct world *w = settled(45, 30);
    uint8_t key[32];
    world_key(key, 8, 1);
    announce(w, 3, key, 1);
    w->tap = nothing_arrives;
    world_unannounce(w, 3, key);
    world_run(w, w->now + CORE_SECONDS(90));
    assert_int_equal(w->nodes[3].dht->announce.gone_count, 1);
    w->tap = NULL;
    world_run(w, w->now + CORE_MINUTES(5));
    assert_int_equal(w->nodes[3].dht->announce.count, 0);
    assert_int_equal(found(w, 20, key, 2), 0);
    announce(w, 3, key, 3);
    w->tap = nothing_arrives;
    world_unannounce(w, 3, key);
    world_run(w, w->now + CORE_HOURS(3));
    assert_int_equal(w->nodes[3].dht->announce.count, 0);
    world_free(w);
}

/* Never announced: nothing to withdraw, nothing kept. */
static void test_never_announced(void **state)
{
    (void)state;
    struct world *w = world_new(46, 2, NULL, &core_crypto_cheap);
    uint8_t key[32];
    world_key(key, 9, 1);
    world_start(w, 1); /* alone */
    assert_int_equal(world_announce(w, 1, key, false, 0), 0);
    world_unannounce(w, 1, key);
    world_unannounce(w, 1, key);
    assert_int_equal(w->nodes[1].dht->announce.count, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_no_more), cmocka_unit_test(test_holders_pushed_out), cmocka_unit_test(test_many),
        cmocka_unit_test(test_change_of_mind), cmocka_unit_test(test_cut_off),           cmocka_unit_test(test_never_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
