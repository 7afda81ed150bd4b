/* Purpose: a node that is new among the holders of a signed record gets it from a holder within half a
 * minute, so that a crowd of newcomers takes nothing out of sight; nobody else gets it; what it costs has a
 * bound. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

#define OLD  40 /* nodes that are there from the beginning */
#define ALL  90
#define SOON CORE_SECONDS(30)

static uint32_t held(const struct world *w, uint32_t i)
{
    return w->nodes[i].dht ? w->nodes[i].dht->storage.kind_count[DHT_PROFILE] : 0;
}

/* Puts one record under node 0's position and gives its key. */
static void publish(struct world *w, uint8_t key[32])
{
    uint8_t wire[DHT_RECORD_WIRE_MAX];
    uint64_t now_ms = world_unix_ms(w);
    node_position(key, w->nodes[0].me.key, w->env.crypto);
    size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, now_ms, now_ms / 1000 + 10 * 86400,
                                  bytes_of("here", 4), &w->nodes[0].me, &w->network, w->env.crypto);
    assert_int_equal(world_put(w, 0, DHT_PROFILE, key, bytes_of(wire, size), 1), 0);
    const struct world_notice *done = world_wait(w, 0, 1, CORE_SECONDS(10));
    assert_non_null(done);
    assert_int_equal(done->x.u.notice.a, 8);
}

static struct world *old_network(uint8_t key[32])
{
    struct world *w = world_new(51, ALL, NULL, &core_crypto_cheap);
    for (uint32_t i = 0; i < OLD; i++)
        world_start(w, i);
    for (uint32_t i = 1; i < OLD; i++)
        world_hint(w, i, 0);
    world_run(w, w->now + CORE_SECONDS(20));
    publish(w, key);
    return w;
}

/* Starts `count` of the nodes that are still down, the nearest to the key or the farthest. */
static void newcomers(struct world *w, const uint8_t key[32], uint32_t count, bool nearest)
{
    for (; count; count--) {
        uint32_t chosen = UINT32_MAX;
        uint64_t best = 0;
        for (uint32_t i = OLD; i < ALL; i++) {
            uint8_t position[32];
            node_position(position, w->nodes[i].me.key, w->env.crypto);
            uint64_t distance = get_be64(position) ^ get_be64(key);
            if (!w->nodes[i].dht && (chosen == UINT32_MAX || (nearest ? distance < best : distance > best))) {
                chosen = i;
                best = distance;
            }
        }
        assert_int_not_equal(chosen, UINT32_MAX);
        world_start(w, chosen);
        world_hint(w, chosen, 1);
    }
}

/* 24 nodes come that are nearer to the key than most, all at once; then everybody who held it before leaves,
 * its publisher too. */
static void test_newcomers_carry_on(void **state)
{
    (void)state;
    uint8_t key[32];
    struct world *w = old_network(key);
    bool held_before[OLD];
    newcomers(w, key, 24, true);
    for (uint32_t i = 0; i < OLD; i++)
        held_before[i] = held(w, i) > 0;
    world_run(w, w->now + SOON);
    uint32_t closest = 0, holding = 0;
    for (uint32_t i = 1; i < ALL; i++) {
        if (!w->nodes[i].dht ||
            !world_is_closest(w, i, key, 9)) /* its publisher, the nearest of all, is no holder */
            continue;
        closest++;
        holding += held(w, i) > 0;
    }
    printf("of the %u closest %u hold the record\n", closest, holding);
    assert_int_equal(closest, 8);
    assert_int_equal(holding, 8);
    for (uint32_t i = 0; i < OLD; i++)
        if (i == 0 || held_before[i])
            world_stop(w, i);
    world_run(w, w->now + CORE_MINUTES(2));
    uint32_t asker = 0;
    while (!w->nodes[asker].dht)
        asker++;
    assert_int_equal(world_get(w, asker, DHT_PROFILE, key, 2), 0);
    assert_int_equal(world_wait(w, asker, 2, CORE_SECONDS(20))->x.u.notice.status, 0);
    world_free(w);
}

/* Nodes that are far from the key get nothing, and a lookup of theirs brings them nothing to keep either. */
static void test_far_newcomers(void **state)
{
    (void)state;
    uint8_t key[32];
    struct world *w = old_network(key);
    newcomers(w, key, 20, false);
    world_run(w, w->now + CORE_MINUTES(3));
    for (uint32_t i = OLD; i < ALL; i++)
        assert_int_equal(held(w, i), w->nodes[i].dht && world_is_closest(w, i, key, 9));
    world_free(w);
}

static bool nearest_of_all(const struct world *w, const uint8_t key[32])
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        uint8_t position[32];
        node_position(position, w->nodes[i].me.key, w->env.crypto);
        uint64_t distance = get_be64(position) ^ get_be64(key);
        if (i && distance < first)
            return false;
        first = i ? first : distance;
    }
    return true;
}

/* `count` records of publishers nobody ever met, straight into node 0, which is the nearest to them. */
static void fill(struct world *w, uint32_t count)
{
    uint32_t now_s = dht_now_s(w->nodes[0].dht);
    for (uint32_t i = 0; count; i++) {
        uint8_t seed[32], key[32], wire[DHT_RECORD_WIRE_MAX];
        struct node_identity publisher;
        struct dht_record_view view;
        world_key(seed, 77, i);
        w->env.crypto->identity(&publisher, seed);
        node_position(key, publisher.key, w->env.crypto);
        if (!nearest_of_all(w, key))
            continue;
        count--;
        size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, world_unix_ms(w),
                                      world_unix_ms(w) / 1000 + 86400, bytes_of("x", 1), &publisher,
                                      &w->network, w->env.crypto);
        assert_int_equal(dht_record_read(&view, bytes_of(wire, size)), 0);
        assert_int_equal(dht_storage_put_signed(&w->nodes[0].dht->storage, now_s, &view, bytes_of(wire, size),
                                                key, NULL, 86400, now_s + 80000),
                         0);
    }
    dht_check(w->nodes[0].dht);
}

/* What one newcomer after the other may cost: 64 records and one in ten seconds, however many are due, and
 * every one of them by a put that the newcomer's own token allows. */
static void test_bound(void **state)
{
    (void)state;
    struct world *w = world_new(52, 8, NULL, &core_crypto_cheap);
    world_start(w, 0);
    world_start(w, 1);
    world_hint(w, 1, 0);
    world_run(w, w->now + CORE_SECONDS(30)); /* these two know each other before there is a record */
    fill(w, 300);
    core_time begun = w->now;
    uint32_t given = 0;
    for (uint32_t i = 2; i < 8; i++) {
        uint64_t sent = w->nodes[0].sent;
        world_start(w, i);
        world_hint(w, i, 0);
        world_run(w, w->now + CORE_MINUTES(1));
        printf("newcomer %u: %u records, %u datagrams\n", i - 1, held(w, i),
               (unsigned)(w->nodes[0].sent - sent));
        given += held(w, i);
        assert_true(given <= 64 + (w->now - begun) / CORE_SECONDS(10) + 1);
        assert_true(i > 2 || given == 64); /* the bucket was full */
        world_stop(w, i);
    }
    assert_true(given > 64 + 15);    /* and fills again */
    assert_int_equal(held(w, 1), 0); /* no newcomer */
    world_free(w);
}

static bool silent_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)data;
    (void)to;
    return !(from == *(uint32_t *)w->tap_context && *size > 0 && w->now > CORE_SECONDS(33));
}

/* A newcomer that falls silent costs one question, and does not keep the next one waiting; one that starts
 * again while it is given records, so that its token means nothing any more, gets them by the token of its
 * refusal. */
static void test_silent_and_restarted(void **state)
{
    (void)state;
    uint32_t silent = 2;
    struct world *w = world_new(53, 5, NULL, &core_crypto_cheap);
    w->tap = silent_tap;
    w->tap_context = &silent;
    world_start(w, 0);
    world_start(w, 1);
    world_hint(w, 1, 0);
    world_run(w, CORE_SECONDS(31));
    fill(w, 5);
    world_start(w, 2);
    world_hint(w, 2, 0);
    world_start(w, 3);
    world_hint(w, 3, 0);
    while (held(w, 3) < 2)
        assert_true(world_step(w, CORE_MINUTES(2)));
    world_stop(w, 3);
    world_start(w, 3);
    world_hint(w, 3, 0);
    world_run(w, CORE_MINUTES(2));
    assert_int_equal(held(w, 2), 0);
    assert_int_equal(held(w, 3), 3); /* what it had not had yet */
    assert_null(w->nodes[0].dht->handover);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newcomers_carry_on),
        cmocka_unit_test(test_far_newcomers),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_silent_and_restarted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
