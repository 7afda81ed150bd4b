/* More networks: both families, one seed twice, unlisted nodes, restarts from cached contacts, an eclipsed key, refused memory. */
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

static struct dht_status status_of(const struct world *w, uint32_t i)
{
    struct dht_status s;
    dht_status(w->nodes[i].dht, &s);
    return s;
}

/* A story with everything in it. Returns the hash over all delivered datagrams. */
static uint64_t story(uint64_t seed, const struct core_crypto *crypto)
{
    struct world *w = world_new(seed, 30, NULL, crypto);
    w->loss_permille = 30;
    w->latency_max = CORE_MS(40);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(10));
    for (uint32_t i = 0; i < 60; i++) {
        uint8_t key[32];
        world_key(key, 7, i);
        world_announce(w, i % 5, key, i < 5, 1 + i);
    }
    world_run(w, w->now + CORE_SECONDS(20));
    world_stop(w, 9);
    for (uint32_t i = 0; i < 10; i++) {
        uint8_t key[32];
        world_key(key, 7, i);
        world_get(w, 10 + i, DHT_PROVIDER, key, 1);
    }
    world_run(w, w->now + CORE_HOURS(2));
    uint64_t hash = w->trace ^ w->datagrams;
    world_free(w);
    return hash;
}

static void test_same_seed_same_story(void **state)
{
    (void)state;
    uint64_t first = story(1, &core_crypto_cheap);
    assert_true(first == story(1, &core_crypto_cheap));
    assert_true(first != story(2, &core_crypto_cheap));
    assert_true(story(3, &core_crypto_real) == story(3, &core_crypto_real));
}

/* A third speaks IPv4 only, a third IPv6 only, a third both: each family is a network of its own, and the nodes with both bridge them. */
static void test_both_families(void **state)
{
    (void)state;
    struct dht_config config;
    dht_config_default(&config);
    config.ipv6 = true;
    struct world *w = world_new(31, 45, &config, &core_crypto_cheap);
    struct dht_config four = config, six = config;
    four.ipv6 = false;
    six.ipv4 = false;
    for (uint32_t i = 0; i < w->count; i++) {
        w->env.config = i % 3 == 1 ? &four : i % 3 == 2 ? &six : &config;
        struct dht_env *env = malloc(sizeof *env); /* an environment lives as long as its node */
        *env = w->env;
        if (i % 3 == 1)
            w->nodes[i].addr6.port = 0;
        if (i % 3 == 2)
            w->nodes[i].addr.port = 0;
        uint8_t seed[32];
        world_key(seed, 31, i);
        w->nodes[i].dht = calloc(1, dht_node_size(env->config) + sizeof env);
        dht_init(w->nodes[i].dht, env, &w->nodes[i].me, &w->network, seed, w->now);
        w->nodes[i].armed = CORE_NEVER;
        memcpy((uint8_t *)w->nodes[i].dht + dht_node_size(env->config), &env, sizeof env);
    }
    for (uint32_t i = 1; i < w->count; i++)
        world_hint(w, i, 0);
    world_run(w, w->now + CORE_SECONDS(30));
    for (uint32_t i = 0; i < w->count; i++) {
        assert_true(status_of(w, i).joined);
        assert_true(status_of(w, i).contacts_live >= 16);
    }
    uint8_t key[32];
    world_key(key, 8, 1);
    assert_int_equal(world_announce(w, 3, key, true, 1), 0); /* 3 speaks both */
    const struct world_notice *n = world_wait(w, 3, 1, CORE_SECONDS(10));
    assert_int_equal(n->x.u.notice.status, 0);
    for (uint32_t i = 10; i < 19; i++) {
        assert_int_equal(world_get(w, i, DHT_PROVIDER, key, 2), 0);
        n = world_wait(w, i, 2, CORE_SECONDS(10));
        assert_non_null(n);
        assert_int_equal(n->x.u.notice.status, 0);
        n = world_notice_find(w, i, 2, DHT_NOTICE_PROVIDER, 0);
        assert_int_equal(world_index(w, n->x.u.notice.node.key), 3);
    }
    for (uint32_t i = 0; i < w->count; i++) {
        struct dht_env *env;
        const struct dht_config *c = i % 3 == 1 ? &four : i % 3 == 2 ? &six : &config;
        memcpy(&env, (uint8_t *)w->nodes[i].dht + dht_node_size(c), sizeof env);
        world_stop(w, i);
        free(env);
    }
    world_free(w);
}

/* A node that cannot be reached asks, finds and is found as a provider, but is in nobody's table. */
static void test_unlisted(void **state)
{
    (void)state;
    struct world *w = world_new(32, 20, NULL, &core_crypto_cheap);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(10));
    struct dht_config hidden = w->config;
    struct dht_env env = w->env;
    hidden.unlisted = true;
    env.config = &hidden;
    world_stop(w, 19);
    world_run(w, w->now + CORE_HOURS(2)); /* forgotten */
    w->nodes[19].dht = calloc(1, dht_node_size(&hidden));
    w->nodes[19].armed = CORE_NEVER;
    uint8_t seed[32] = {1}, key[32];
    dht_init(w->nodes[19].dht, &env, &w->nodes[19].me, &w->network, seed, w->now);
    world_hint(w, 19, 0);
    world_run(w, w->now + CORE_MINUTES(1));
    assert_true(status_of(w, 19).joined);
    world_key(key, 9, 1);
    world_find(w, 19, key, 1);
    assert_int_equal(world_wait(w, 19, 1, CORE_SECONDS(5))->x.u.notice.status, 0);
    world_announce(w, 19, key, true, 2);
    assert_int_equal(world_wait(w, 19, 2, CORE_SECONDS(5))->x.u.notice.status, 0);
    for (uint32_t i = 0; i < 19; i++) {
        struct node_addr nodes[64];
        for (uint32_t c = dht_contacts(w->nodes[i].dht, nodes, 64); c-- > 0;)
            assert_true(memcmp(nodes[c].key, w->nodes[19].me.key, NODE_KEY_SIZE) != 0);
    }
    world_stop(w, 19);
    world_free(w);
}

/* Contacts kept across a restart bring a node back without its bootstrap. */
static void test_restart_from_cache(void **state)
{
    (void)state;
    struct world *w = world_new(33, 30, NULL, &core_crypto_cheap);
    world_join_all(w);
    world_run(w, w->now + CORE_MINUTES(2));
    assert_true(world_notice_count(w, 12, 0, DHT_NOTICE_PERSIST) >= 1);
    assert_true(world_notice_count(w, 12, 0, DHT_NOTICE_OBSERVED) == 1);
    struct dht_status status = status_of(w, 12);
    assert_true(net_addr_equal(&status.observed, &w->nodes[12].addr));
    struct node_addr cache[8];
    assert_int_equal(dht_contacts(w->nodes[12].dht, cache, 8), 8);
    world_stop(w, 12);
    world_stop(w, 0); /* the bootstrap is gone */
    world_run(w, w->now + CORE_MINUTES(5));
    world_start(w, 12);
    core_time start = w->now;
    for (int i = 0; i < 8; i++)
        world_hint(w, 12, world_index(w, cache[i].key));
    while (!status_of(w, 12).joined && world_step(w, start + CORE_SECONDS(10)))
        ;
    assert_true(w->now - start < CORE_SECONDS(2));
    world_free(w);
}

/* What a node says late: the tap keeps what node 1 answers (a padded request is longer) while `held`. */
struct slow {
    bool held;
    uint8_t last[DATAGRAM_MAX];
    size_t size;
};

static bool slow_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    struct slow *s = w->tap_context;
    if (from != 1 || to != 0 || *size > 200 || !s->held)
        return true;
    memcpy(s->last, data, *size);
    s->size = *size;
    return false;
}

/* A stranger that did not answer its challenge in time (a node that is just starting has other things to do) is challenged anew at its next
 * request, not a minute later. */
static void test_slow_stranger(void **state)
{
    (void)state;
    struct slow slow = {.held = true};
    uint8_t key[32];
    struct node_addr known;
    struct world *w = world_new(32, 2, NULL, &core_crypto_real);
    w->tap = slow_tap;
    w->tap_context = &slow;
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(10));
    assert_int_equal(dht_contacts(w->nodes[0].dht, &known, 1), 0);
    slow.held = false;
    world_run(w, w->now + CORE_SECONDS(5)); /* the last challenge that went unanswered is given up */
    world_key(key, 1, 1);
    assert_int_equal(world_find(w, 1, key, 7), 0);
    world_run(w, w->now + CORE_SECONDS(2));
    assert_int_equal(dht_contacts(w->nodes[0].dht, &known, 1), 1);
    world_free(w);
}

/* A contact that failed twice is used by no look-up; when it speaks it is asked, and lives again: when it asks something, or when a late answer
 * comes. Seen in networks of five that start in one instant: the last one wrote its disk for half a second, and its neighbour would have asked
 * it next after a quarter of an hour. */
static void test_slow_contact(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct slow slow = {.held = false};
        uint8_t key[32];
        struct world *w = world_new(34, 3, NULL, &core_crypto_real);
        w->tap = slow_tap;
        w->tap_context = &slow;
        world_join_all(w);
        world_run(w, w->now + CORE_SECONDS(10));
        slow.held = true;
        for (uint32_t op = 1; op <= 2; op++) {
            world_key(key, 1, op);
            assert_int_equal(world_find(w, 0, key, op), 0);
            world_run(w, w->now + CORE_SECONDS(1));
        }
        assert_int_equal(status_of(w, 0).contacts, 2);
        assert_int_equal(status_of(w, 0).contacts_live, 1);
        slow.held = false;
        world_run(w, w->now + CORE_SECONDS(2));
        assert_int_equal(status_of(w, 0).contacts_live, 1);
        if (late) {
            assert_int_equal(world_inject(w, 0, &w->nodes[1].addr, slow.last, slow.size), ERR_UNSOLICITED);
        } else {
            world_key(key, 1, 9);
            assert_int_equal(world_find(w, 1, key, 9), 0);
        }
        world_run(w, w->now + CORE_SECONDS(2));
        assert_int_equal(status_of(w, 0).contacts_live, 2);
        world_free(w);
    }
}

/* Forty identities sit down next to a key (each on an address of its own, as the diversity rules demand) and deny everything. The record
 * is put on, and asked of, the whole region, so the honest nodes nearby still hold it. */
static bool deny_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)w;
    (void)to;
    (void)data;
    return from < 260 || *size < 400; /* the hostile answer pings, and nothing else */
}

/* A node that came back on another port: whoever is told (an invite, multicast) has it again within a second, while the old address, still in
 * the table, would take minutes to be given up. */
static void test_moved(void **state)
{
    (void)state;
    struct world *w = world_new(31, 2, NULL, &core_crypto_real);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(5));
    world_stop(w, 1);
    w->nodes[1].addr.port = (uint16_t)(w->nodes[1].addr.port + 1000);
    world_start(w, 1); /* remembers nobody */
    world_run(w, w->now + CORE_SECONDS(1));
    struct dht_status before;
    dht_status(w->nodes[1].dht, &before);
    assert_int_equal(before.contacts, 0);
    world_hint(w, 0, 1);
    world_run(w, w->now + CORE_SECONDS(1));
    struct node_addr known;
    assert_int_equal(dht_contacts(w->nodes[0].dht, &known, 1), 1);
    assert_int_equal(known.addr.port, w->nodes[1].addr.port);
    world_free(w);
}

static void test_eclipsed_key(void **state)
{
    (void)state;
    struct world *w = world_new(34, 300, NULL, &core_crypto_cheap);
    uint8_t key[32], target[32];
    world_key(target, 10, 1);
    for (uint32_t i = 0; i < 300; i++)
        w->nodes[i].addr = net_addr_v4((uint8_t)(20 + i % 50), (uint8_t)(i * 7), (uint8_t)(i / 2), 1, (uint16_t)(10000 + i));
    /* Ground out: identities whose positions share 12 bits with the target. */
    uint64_t tried = 0;
    for (uint32_t i = 260; i < 300; i++) {
        uint8_t seed[32], position[32];
        do {
            world_key(seed, 0xbad5eed, tried++);
            core_crypto_cheap.identity(&w->nodes[i].me, seed);
            node_position(position, w->nodes[i].me.key, &core_crypto_cheap);
        } while ((get_be64(position) ^ get_be64(target)) >> 52);
    }
    w->checks = false;
    world_join_all(w);
    world_run(w, w->now + CORE_MINUTES(2));
    printf("network size: estimated %u of 300\n", status_of(w, 5).network_size);
    assert_true(status_of(w, 5).network_size > 100 && status_of(w, 5).network_size < 900);
    uint32_t found = 0;
    memcpy(key, target, 32);
    assert_int_equal(world_announce(w, 5, key, true, 1), 0);
    const struct world_notice *n = world_wait(w, 5, 1, CORE_SECONDS(30));
    printf("under an eclipse: stored on %u\n", (unsigned)n->x.u.notice.a);
    uint32_t honest = 0;
    for (uint32_t i = 0; i < 260; i++)
        honest += dht_storage_first(&w->nodes[i].dht->storage, DHT_PROVIDER, key) != NULL;
    printf("of them honest: %u\n", honest);
    w->tap = deny_tap; /* from now on they are silent to look-ups */
    for (uint32_t i = 100; i < 110; i++) {
        assert_int_equal(world_get(w, i, DHT_PROVIDER, key, 2), 0);
        n = world_wait(w, i, 2, CORE_SECONDS(60));
        found += n && n->x.u.notice.status == 0;
    }
    printf("found by %u of 10\n", found);
    assert_true(honest > 0);
    assert_int_equal(found, 10);
    world_free(w);
}

struct stingy {
    uint32_t asked, refuse_at;
};
static void *stingy_alloc(void *context, size_t size)
{
    struct stingy *s = context;
    return ++s->asked == s->refuse_at ? NULL : calloc(1, size);
}
static void stingy_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* Allocation 1 refused, then 2, then 3...: every operation that was taken ends with its notice, all invariants hold, all is given back. */
static void test_refused_memory(void **state)
{
    (void)state;
    uint32_t walks = 0, asked = 1;
    for (uint32_t refuse = 1; refuse <= asked; refuse++, walks++) {
        struct stingy stingy = {.refuse_at = refuse};
        struct core_alloc alloc = {stingy_alloc, stingy_free, &stingy};
        struct world *w = world_new(35, 6, NULL, &core_crypto_cheap);
        w->env.alloc = w->lookups.alloc = w->records.alloc = &alloc;
        world_join_all(w);
        world_run(w, w->now + CORE_SECONDS(20));
        bool taken[40] = {false};
        uint8_t key[32], wire[DHT_RECORD_WIRE_MAX];
        for (uint32_t i = 0; i < 30; i++) {
            world_key(key, 11, i);
            int status = world_announce(w, 1, key, true, 1 + i);
            assert_true(status == 0 || status == ERR_NO_MEMORY);
            taken[1 + i] = status == 0;
        }
        node_position(key, w->nodes[1].me.key, &core_crypto_cheap);
        size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, 1, UINT32_MAX, bytes_of("x", 1), &w->nodes[1].me, &w->network, &core_crypto_cheap);
        int put = world_put(w, 1, DHT_PROFILE, key, bytes_of(wire, size), 31);
        int get = world_get(w, 1, DHT_PROFILE, key, 32);
        assert_true((put == 0 || put == ERR_FULL) && (get == 0 || get == ERR_FULL));
        taken[31] = put == 0;
        taken[32] = get == 0;
        for (uint32_t op = 1; op <= 32; op++)
            if (taken[op])
                assert_non_null(world_wait(w, 1, op, CORE_MINUTES(5)));
        asked = stingy.asked;
        world_free(w);
    }
    printf("%u allocations refused in turn\n", walks);
    assert_true(walks > 20);
}

/* Cancelled operations say nothing more; what was sent is still answered and does no harm. */
static void test_cancel(void **state)
{
    (void)state;
    struct world *w = world_new(36, 20, NULL, &core_crypto_cheap);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(10));
    uint8_t key[32] = {1};
    for (uint32_t op = 1; op <= 30; op++) {
        assert_int_equal(op % 2 ? world_find(w, 3, key, op) : world_get(w, 3, DHT_PROVIDER, key, op), 0);
        if (op % 3 == 0)
            dht_cancel(w->nodes[3].dht, op);
    }
    dht_check(w->nodes[3].dht);
    world_run(w, w->now + CORE_SECONDS(10));
    for (uint32_t op = 1; op <= 30; op++)
        assert_int_equal(world_notice_count(w, 3, op, DHT_NOTICE_DONE), op % 3 != 0);
    /* announced again by somebody who waits for the notice: it comes, each time */
    for (uint32_t op = 40; op < 43; op++) {
        assert_int_equal(world_announce(w, 3, key, true, op), 0);
        assert_non_null(world_wait(w, 3, op, CORE_SECONDS(5)));
    }
    assert_int_equal(world_find(w, 3, key, 0), ERR_RANGE);
    assert_int_equal(world_get(w, 3, 99, key, 1), ERR_RANGE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_story), cmocka_unit_test(test_both_families), cmocka_unit_test(test_unlisted),
        cmocka_unit_test(test_restart_from_cache),   cmocka_unit_test(test_eclipsed_key),  cmocka_unit_test(test_refused_memory),
        cmocka_unit_test(test_cancel),               cmocka_unit_test(test_moved),         cmocka_unit_test(test_slow_stranger),
        cmocka_unit_test(test_slow_contact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
