/* Networks of real DHT nodes in a virtual world: joining, finding, storing, faults, and the bounds the issue demands. */
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

/* 50 nodes that know only node 0 all have 16 contacts within 3 s of loopback time, and every look-up succeeds. */
static void test_fifty_nodes_join(void **state)
{
    (void)state;
    struct world *w = world_new(1, 50, NULL, &core_crypto_real);
    world_join_all(w);
    core_time start = w->now, all = 0;
    while (!all && w->now < start + CORE_SECONDS(3)) {
        world_run(w, w->now + CORE_MS(10));
        uint32_t good = 0;
        for (uint32_t i = 0; i < w->count; i++)
            good += status_of(w, i).contacts_live >= 16;
        all = good == w->count ? w->now : 0;
    }
    assert_true(all != 0);
    printf("50 nodes: all with 16 contacts after %.2f s\n", (double)(all - start) / 1e6);
    world_run(w, start + CORE_SECONDS(3));
    for (uint32_t i = 0; i < w->count; i++) {
        assert_true(status_of(w, i).joined);
        assert_int_equal(world_notice_count(w, i, 0, DHT_NOTICE_JOINED), 1);
    }
    uint32_t exact = 0, found = 0;
    for (uint32_t op = 1; op <= 100; op++) {
        uint8_t key[32];
        uint32_t asker = op % w->count;
        world_key(key, 99, op);
        assert_int_equal(world_find(w, asker, key, op), 0);
        const struct world_notice *done = world_wait(w, asker, op, CORE_SECONDS(10));
        assert_non_null(done);
        assert_int_equal(done->x.u.notice.status, 0);
        for (uint32_t i = 0; i < 16; i++) {
            const struct world_notice *n = world_notice_find(w, asker, op, DHT_NOTICE_NODE, i);
            assert_non_null(n);
            exact += world_is_closest(w, world_index(w, n->x.u.notice.node.key), key, 17); /* 17: the asker may be one */
            found++;
        }
    }
    printf("of %u nodes found %u are among the closest\n", found, exact);
    assert_true(exact * 100 >= found * 97);
    printf("most effects in a call: %u of %u\n", w->effects_most, DHT_EFFECTS_PER_CALL);
    world_free(w);
}

/* A find for a node's own position is answered by that node, and asks no more than it takes to learn of it. */
static void test_find_of_a_node(void **state)
{
    (void)state;
    struct world *w = world_new(6, 60, NULL, &core_crypto_cheap);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(20));
    uint64_t asked = 0;
    for (uint32_t op = 1; op <= 50; op++) {
        uint8_t position[32];
        uint32_t asker = op % w->count, sought = (op * 7 + 3) % w->count;
        if (asker == sought)
            continue;
        node_position(position, w->nodes[sought].me.key, w->nodes[sought].dht->env->crypto);
        assert_int_equal(world_find(w, asker, position, op), 0);
        const struct world_notice *done = world_wait(w, asker, op, CORE_SECONDS(10));
        assert_non_null(done);
        assert_int_equal(done->x.u.notice.status, 0);
        assert_memory_equal(world_notice_find(w, asker, op, DHT_NOTICE_NODE, 0)->x.u.notice.node.key, w->nodes[sought].me.key, 32);
        asked += done->x.u.notice.b;
    }
    printf("a find for one of 60 nodes asks %.1f\n", (double)asked / 50);
    assert_true(asked <= 50 * 6); /* all the k closest would be 16 */
    world_free(w);
}

/* Joined and settled; announcements and records follow. */
static struct world *settled(uint64_t seed, uint32_t count, const struct dht_config *config, const struct core_crypto *crypto)
{
    struct world *w = world_new(seed, count, config, crypto);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(20));
    return w;
}

/* An urgent key is stored on k nodes at once, found by everybody with the right address, and gone an hour after its provider. */
static void test_provider(void **state)
{
    (void)state;
    struct world *w = settled(2, 60, NULL, &core_crypto_real);
    uint8_t key[32];
    world_key(key, 5, 1);
    dht_set_stream_port(w->nodes[3].dht, 4433);
    assert_int_equal(world_announce(w, 3, key, true, 7), 0);
    const struct world_notice *stored = world_wait(w, 3, 7, CORE_SECONDS(10));
    assert_non_null(stored);
    assert_int_equal(stored->x.u.notice.kind, DHT_NOTICE_ANNOUNCED);
    assert_int_equal(stored->x.u.notice.status, 0);
    assert_int_equal(stored->x.u.notice.a, 16);
    assert_int_equal(stored->x.u.notice.b, 16);
    assert_int_equal(status_of(w, 3).announced_stored, 1);
    for (uint32_t i = 0; i < 60; i += 7) {
        if (i == 3)
            continue;
        assert_int_equal(world_get(w, i, DHT_PROVIDER, key, 100 + i), 0);
        const struct world_notice *done = world_wait(w, i, 100 + i, CORE_SECONDS(10));
        assert_non_null(done);
        assert_int_equal(done->x.u.notice.status, 0);
        assert_int_equal(world_notice_count(w, i, 100 + i, DHT_NOTICE_PROVIDER), 1);
        const struct world_notice *p = world_notice_find(w, i, 100 + i, DHT_NOTICE_PROVIDER, 0);
        assert_memory_equal(p->x.u.notice.node.key, w->nodes[3].me.key, NODE_KEY_SIZE);
        assert_true(net_addr_same_ip(&p->x.u.notice.node.addr, &w->nodes[3].addr));
        assert_int_equal(p->x.u.notice.node.addr.port, 4433);
    }
    /* renewed while the provider lives */
    world_run(w, w->now + CORE_HOURS(3));
    assert_int_equal(world_get(w, 9, DHT_PROVIDER, key, 500), 0);
    assert_int_equal(world_wait(w, 9, 500, CORE_SECONDS(10))->x.u.notice.status, 0);
    world_stop(w, 3);
    world_run(w, w->now + CORE_MINUTES(62));
    assert_int_equal(world_get(w, 9, DHT_PROVIDER, key, 501), 0);
    assert_int_equal(world_wait(w, 9, 501, CORE_SECONDS(10))->x.u.notice.status, ERR_NOT_FOUND);
    world_free(w);
}

static size_t profile_sign(const struct world *w, uint32_t i, uint64_t sequence, uint64_t expiry_s, const char *text, uint8_t key[32],
                           uint8_t out[DHT_RECORD_WIRE_MAX])
{
    node_position(key, w->nodes[i].me.key, w->env.crypto);
    return dht_record_sign(out, DHT_RECORD_WIRE_MAX, DHT_PROFILE, key, sequence, expiry_s, bytes_of(text, strlen(text)), &w->nodes[i].me,
                           &w->network, w->env.crypto);
}

/* A profile is stored on 8 nodes, the newer sequence wins, holders republish it when those that held it are gone. */
static void test_signed_records(void **state)
{
    (void)state;
    struct dht_config config;
    dht_config_default(&config);
    config.profile_life = CORE_HOURS(48); /* a seventh of the real ones, for the sake of the test's time */
    config.profile_republish = CORE_HOURS(24) / 7;
    struct world *w = settled(3, 60, &config, &core_crypto_cheap);
    uint8_t key[32], wire[DHT_RECORD_WIRE_MAX], other[32];
    uint64_t now_ms = world_unix_ms(w), expiry_s = now_ms / 1000 + 2 * 86400;
    size_t size = profile_sign(w, 5, now_ms, expiry_s, "first", key, wire);
    assert_int_equal(world_put(w, 5, DHT_PROFILE, key, bytes_of(wire, size), 1), 0);
    const struct world_notice *done = world_wait(w, 5, 1, CORE_SECONDS(10));
    assert_int_equal(done->x.u.notice.status, 0);
    assert_int_equal(done->x.u.notice.a, 8);
    assert_int_equal(world_get(w, 40, DHT_PROFILE, key, 2), 0);
    assert_int_equal(world_wait(w, 40, 2, CORE_SECONDS(10))->x.u.notice.status, 0);
    assert_int_equal(world_notice_count(w, 40, 2, DHT_NOTICE_RECORD), 1);
    const struct world_notice *r = world_notice_find(w, 40, 2, DHT_NOTICE_RECORD, 0);
    assert_int_equal(r->x.bytes_size, size);
    assert_memory_equal(r->bytes, wire, size);
    /* newer wins; the older is refused and says so */
    uint8_t newer[DHT_RECORD_WIRE_MAX];
    size_t newer_size = profile_sign(w, 5, now_ms + 1, expiry_s, "second", key, newer);
    assert_int_equal(world_put(w, 5, DHT_PROFILE, key, bytes_of(newer, newer_size), 3), 0);
    assert_int_equal(world_wait(w, 5, 3, CORE_SECONDS(10))->x.u.notice.a, 8);
    assert_int_equal(world_put(w, 20, DHT_PROFILE, key, bytes_of(wire, size), 4), 0);
    done = world_wait(w, 20, 4, CORE_SECONDS(10));
    assert_true(world_notice_count(w, 20, 4, DHT_NOTICE_REFUSED) == 4);
    assert_int_equal(world_notice_find(w, 20, 4, DHT_NOTICE_REFUSED, 0)->x.u.notice.status, ERR_STALE);
    /* not under somebody else's key */
    node_position(other, w->nodes[6].me.key, w->env.crypto);
    assert_int_equal(world_put(w, 5, DHT_PROFILE, other, bytes_of(newer, newer_size), 6), ERR_RANGE);
    /* the publisher and half of the network leave; the record outlives them by republishing, for its life and no longer */
    world_stop(w, 5);
    w->checks = false;
    for (int day = 0; day < 6; day++) {
        for (uint32_t i = 6 + (uint32_t)day * 4; i < 10 + (uint32_t)day * 4; i++)
            world_stop(w, i);
        world_run(w, w->now + CORE_HOURS(7));
    }
    w->checks = true;
    assert_int_equal(world_get(w, 40, DHT_PROFILE, key, 7), 0);
    assert_int_equal(world_wait(w, 40, 7, CORE_SECONDS(20))->x.u.notice.status, 0);
    w->checks = false;
    world_run(w, w->now + CORE_HOURS(8));
    w->checks = true;
    assert_int_equal(world_get(w, 40, DHT_PROFILE, key, 8), 0);
    assert_int_equal(world_wait(w, 40, 8, CORE_SECONDS(20))->x.u.notice.status, ERR_NOT_FOUND);
    world_free(w);
}

/* The traffic of an idle node in a network of 50, everything counted; then of one with 10,000 shares. */
static void test_idle_traffic(void **state)
{
    (void)state;
    struct world *w = settled(4, 50, NULL, &core_crypto_cheap);
    w->checks = false;
    uint64_t before = 0, after = 0;
    for (uint32_t i = 0; i < w->count; i++)
        before += w->nodes[i].sent_bytes;
    world_run(w, w->now + CORE_HOURS(3));
    for (uint32_t i = 0; i < w->count; i++)
        after += w->nodes[i].sent_bytes;
    double per_day = (double)(after - before) / w->count * 8 * 2 / 1e6;
    printf("idle node of 50: %.2f MB a day sent and received (bar: 20)\n", per_day);
    assert_true(per_day < 4);
    core_time start = w->now;
    uint64_t sent = w->nodes[7].sent_bytes, datagrams = w->nodes[7].sent;
    for (uint32_t i = 0; i < 10000; i++) {
        uint8_t key[32];
        world_key(key, 77, i);
        assert_int_equal(world_announce(w, 7, key, false, 0), 0);
    }
    while (status_of(w, 7).announced_stored < 10000 && w->now < start + CORE_MINUTES(20))
        world_run(w, w->now + CORE_SECONDS(1));
    assert_int_equal(status_of(w, 7).announced_stored, 10000);
    printf("10,000 shares announced in %.0f s: %.1f MB, %u datagrams\n", (double)(w->now - start) / 1e6,
           (double)(w->nodes[7].sent_bytes - sent) / 1e6, (unsigned)(w->nodes[7].sent - datagrams));
    dht_check(w->nodes[7].dht);
    sent = w->nodes[7].sent_bytes;
    world_run(w, w->now + CORE_HOURS(2));
    printf("10,000 shares kept alive: %.2f MB a day sent by their node\n", (double)(w->nodes[7].sent_bytes - sent) * 12 / 1e6);
    uint32_t found = 0;
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t key[32];
        world_key(key, 77, i * 199);
        assert_int_equal(world_get(w, 30, DHT_PROVIDER, key, 1000 + i), 0);
        found += world_wait(w, 30, 1000 + i, CORE_SECONDS(10))->x.u.notice.status == 0;
    }
    assert_int_equal(found, 50);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_of_a_node),
        cmocka_unit_test(test_fifty_nodes_join), cmocka_unit_test(test_provider),
        cmocka_unit_test(test_signed_records),   cmocka_unit_test(test_idle_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
