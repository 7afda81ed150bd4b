/* The object that joins the parts: alone it says so, with a second node it joins, keeps contacts and gives
 * them back after a restart; a question for a third node ends with an answer or an error, never with silence.
 * Two nodes, datagrams delivered by hand, streams that nobody answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/node.h"
#include "tests/support/spin.h"

#define NODES 2

struct world {
    struct dht_config dht;
    struct xfer_config xfer;
    struct network network;
    struct node_identity me[NODES];
    struct pool lookups[NODES], records[NODES];
    struct key_pool *keys;
    struct node *node[NODES];
    struct spin_watch spin[NODES];
    struct effects out;
    core_time now;
    uint32_t notices[0x400]; /* how many of each kind came */
    int last_status;
    uint8_t saved[8192]; /* what node 0 wants kept */
    uint32_t saved_size, dials;
};

static struct net_addr address(int i)
{
    return net_addr_v4(10, 0, 0, (uint8_t)(i + 1), 7733);
}

static void start(struct world *w, int i)
{
    struct node_config c = {.me = &w->me[i], .network = &w->network, .stream_port = 7733};
    memset(c.seed, i + 1, sizeof c.seed);
    pool_init(&w->lookups[i], &core_alloc_libc, dht_lookup_size(&w->dht), 16);
    pool_init(&w->records[i], &core_alloc_libc, dht_record_size(), 64);
    c.dht = (struct dht_env){&w->dht,          &core_crypto_cheap, w->keys,
                             &core_alloc_libc, &w->lookups[i],     &w->records[i]};
    c.xfer = (struct xfer_env){&w->xfer, &core_crypto_cheap, &core_alloc_libc};
    w->node[i] = node_new(&c, w->now);
    assert_non_null(w->node[i]);
}

static void stop(struct world *w, int i)
{
    node_free(w->node[i]);
    w->node[i] = NULL;
    pool_fini(&w->lookups[i]);
    pool_fini(&w->records[i]);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t seed[NODE_SEED_SIZE] = {0};
    dht_config_default(&w->dht);
    xfer_config_default(&w->xfer);
    w->now = CORE_SECONDS(100);
    w->keys = key_pool_new(&core_alloc_libc, &core_crypto_cheap, 64);
    effects_init(&w->out, calloc(4096, sizeof(struct effect)), 4096, malloc(2u << 20), 2u << 20);
    for (int i = 0; i < NODES; i++) {
        seed[0] = (uint8_t)(i + 1);
        core_crypto_cheap.identity(&w->me[i], seed);
        start(w, i);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < NODES; i++)
        stop(w, i);
    key_pool_free(w->keys);
    free(w->out.items);
    free(w->out.bytes);
    free(w);
    return 0;
}

static void drain(struct world *w, int from);

static void deliver(struct world *w, int from, const struct net_addr *to, struct bytes bytes)
{
    uint8_t copy[DATAGRAM_MAX];
    for (int i = 0; i < NODES; i++) {
        struct net_addr here = address(i), source = address(from);
        if (i == from || !net_addr_equal(&here, to))
            continue;
        assert_in_range(bytes.size, 1, sizeof copy);
        memcpy(copy, bytes.data, bytes.size);
        struct effects outer = w->out; /* what `from` still has to send stays where it is */
        w->out =
            (struct effects){calloc(4096, sizeof(struct effect)), 0, 4096, malloc(2u << 20), 0, 2u << 20, 0};
        node_datagram(w->node[i], w->now, &source, copy, bytes.size, &w->out);
        drain(w, i);
        free(w->out.items);
        free(w->out.bytes);
        w->out = outer;
    }
}

static void drain(struct world *w, int from)
{
    assert_false(node_route(w->node[from], w->now, &w->out));
    for (uint32_t i = 0; i < w->out.count; i++) {
        const struct effect x = w->out.items[i];
        struct bytes bytes = effects_bytes(&w->out, &x);
        if (x.kind == EFFECT_DATAGRAM) {
            deliver(w, from, &x.u.datagram.to, bytes);
        } else if (x.kind == EFFECT_NOTICE) {
            assert_true(x.u.notice.kind < 0x400);
            w->notices[x.u.notice.kind]++;
            w->last_status = x.u.notice.status;
        } else if (x.kind == EFFECT_PERSIST) {
            assert_int_equal(x.u.persist.key, NODE_PERSIST_CONTACTS);
            if (from == 0) {
                memcpy(w->saved, bytes.data, bytes.size);
                w->saved_size = (uint32_t)bytes.size;
            }
        } else if (x.kind == EFFECT_DIAL) {
            w->dials++;
        }
    }
    effects_reset(&w->out);
    node_check(w->node[from]);
}

static void run_until(struct world *w, core_time end)
{
    for (;;) {
        int next = -1;
        core_time t = end;
        for (int i = 0; i < NODES; i++) {
            if (w->node[i] && node_deadline(w->node[i]) < t) {
                t = node_deadline(w->node[i]);
                next = i;
            }
        }
        if (next < 0)
            break;
        if (t > w->now)
            w->now = t;
        spin_watch(&w->spin[next], w->now, (uint32_t)next);
        node_wake(w->node[next], w->now, &w->out);
        drain(w, next);
    }
    w->now = end;
}

static void meet(struct world *w)
{
    struct node_addr other = {.addr = address(1)};
    memcpy(other.key, w->me[1].key, NODE_KEY_SIZE);
    node_hint(w->node[0], w->now, &other, false, &w->out);
    drain(w, 0);
    run_until(w, w->now + CORE_SECONDS(2));
}

static void alone_is_said_once(void **state)
{
    struct world *w = *state;
    struct node_reach reach;
    run_until(w, w->now + CORE_MINUTES(10));
    assert_int_equal(w->notices[NODE_NOTICE_ALONE], NODES);
    node_reach(w->node[0], &reach);
    assert_int_equal(reach.stream, NODE_REACH_ALONE);
    assert_non_null(strstr(node_reach_text(&reach), "nobody"));
}

static void nobody_to_ask_is_an_error_at_once(void **state)
{
    struct world *w = *state;
    uint8_t key[HASH_SIZE] = {1};
    assert_int_equal(node_find(w->node[0], w->now, key, 7, &w->out), ERR_NO_SOURCES);
    drain(w, 0);
}

static void two_nodes_join_and_keep_contacts(void **state)
{
    struct world *w = *state;
    meet(w);
    assert_int_equal(w->notices[DHT_NOTICE_JOINED], 2);
    assert_true(w->saved_size > 0);
    run_until(w, w->now + CORE_MINUTES(1));
    assert_int_equal(w->notices[NODE_NOTICE_ALONE], 0);
    assert_true(w->dials > 0); /* each asks the other to dial it back */
}

static void contacts_come_back_after_a_restart(void **state)
{
    struct world *w = *state;
    meet(w);
    stop(w, 0);
    start(w, 0);
    w->notices[DHT_NOTICE_JOINED] = 0;
    node_restore(w->node[0], w->now, NODE_PERSIST_CONTACTS, bytes_of(w->saved, w->saved_size));
    run_until(w, w->now + CORE_SECONDS(5));
    assert_int_equal(w->notices[DHT_NOTICE_JOINED], 1);
}

static void damaged_contacts_are_ignored(void **state)
{
    struct world *w = *state;
    meet(w);
    for (uint32_t cut = 0; cut < w->saved_size; cut++) {
        uint8_t copy[8192];
        memcpy(copy, w->saved, w->saved_size);
        copy[cut] ^= 0xff;
        stop(w, 0);
        start(w, 0);
        node_restore(w->node[0], w->now, NODE_PERSIST_CONTACTS, bytes_of(copy, w->saved_size));
        node_check(w->node[0]);
        stop(w, 0);
        start(w, 0);
        node_restore(w->node[0], w->now, NODE_PERSIST_CONTACTS, bytes_of(w->saved, cut));
        node_check(w->node[0]);
    }
}

static void a_silent_third_node_does_not_hang_find(void **state)
{
    struct world *w = *state;
    uint8_t key[HASH_SIZE] = {1};
    meet(w);
    assert_int_equal(node_find(w->node[0], w->now, key, 7, &w->out), 0);
    drain(w, 0);
    run_until(w, w->now + CORE_MINUTES(2)); /* nobody answers the dials */
    assert_int_equal(w->notices[NODE_NOTICE_FOUND], 1);
    assert_int_not_equal(w->last_status, 0);
}

static void telling_all_ends_with_a_count(void **state)
{
    struct world *w = *state;
    meet(w);
    assert_int_equal(node_tell_all(w->node[0], w->now, bytes_of("news", 4), 9, &w->out), 0);
    assert_int_equal(node_tell_all(w->node[0], w->now, bytes_of("news", 4), 9, &w->out), ERR_BUSY);
    run_until(w, w->now + CORE_SECONDS(5));
    assert_int_equal(w->notices[NODE_NOTICE_TOLD], 1);
}

static void a_share_is_announced(void **state)
{
    struct world *w = *state;
    uint8_t key[HASH_SIZE] = {5};
    meet(w);
    assert_int_equal(node_announce(w->node[0], w->now, key, true, 3, &w->out), 0);
    drain(w, 0);
    run_until(w, w->now + CORE_SECONDS(10));
    assert_int_equal(w->notices[NODE_NOTICE_STORED], 1);
    assert_int_equal(w->notices[DHT_NOTICE_ANNOUNCED], 0); /* the host knows the node's name for it only */
}

struct meter {
    int allow, alive;
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
    m->alive -= memory != NULL;
    free(memory);
}

/* node_new with its first, second, third... allocation refused: NULL and nothing left behind, until it
 * succeeds. */
static void memory_that_is_refused(void **state)
{
    struct world *w = *state;
    struct node *n = NULL;
    for (int allowed = 0; !n && allowed < 64; allowed++) {
        struct meter meter = {allowed, 0};
        struct core_alloc alloc = {metered_alloc, metered_free, &meter};
        struct pool lookups, records;
        pool_init(&lookups, &alloc, dht_lookup_size(&w->dht), 4);
        pool_init(&records, &alloc, dht_record_size(), 4);
        struct node_config c = {.me = &w->me[0], .network = &w->network};
        c.dht = (struct dht_env){&w->dht, &core_crypto_cheap, w->keys, &alloc, &lookups, &records};
        c.xfer = (struct xfer_env){&w->xfer, &core_crypto_cheap, &alloc};
        n = node_new(&c, w->now);
        if (n)
            node_free(n);
        pool_fini(&lookups);
        pool_fini(&records);
        assert_int_equal(meter.alive, 0);
    }
    assert_non_null(n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alone_is_said_once),
        TEST(nobody_to_ask_is_an_error_at_once),
        TEST(two_nodes_join_and_keep_contacts),
        TEST(contacts_come_back_after_a_restart),
        TEST(damaged_contacts_are_ignored),
        TEST(a_silent_third_node_does_not_hang_find),
        TEST(telling_all_ends_with_a_count),
        TEST(a_share_is_announced),
        TEST(memory_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
