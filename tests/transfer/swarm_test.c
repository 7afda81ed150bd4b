/* Whole swarms in the deterministic world: one seed and one leech, many leeches, a flash crowd whose seed
 * leaves, packs, partial wants, rates. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/support/xfer_hand.h"
#include "tests/support/xfer_world.h"

#define MB 1000000u

static struct xworld *small_world(uint64_t seed)
{
    struct xworld_params p;
    xworld_params_default(&p);
    p.seed = seed;
    p.check = true;
    return xworld_new(&p);
}

static uint64_t wasted(const struct xworld_node *n, uint32_t content)
{
    struct xfer_swarm_stats st;
    xfer_swarm_stats(n->xfer, n->world->now, n->swarms[content], &st);
    return st.bytes_wasted;
}

static void one_seed_one_leech(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 16384, 16385, 49152, 262144, 262145, 1 << 20, (1 << 20) + 1, 10 * MB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct xworld *w = small_world(i);
        struct xworld_node *a = xworld_add(w, 10 * MB, 10 * MB), *b = xworld_add(w, 10 * MB, 10 * MB);
        uint32_t c = xworld_content(w, sizes[i]);
        xworld_seed(a, c);
        xworld_leech(b, c);
        core_time start = w->now;
        assert_true(xworld_run(w, start + CORE_SECONDS(20), xworld_all_complete, &c));
        double s = (double)(w->now - start) / 1e6, bound = (double)sizes[i] / (10 * MB);
        printf("  %9lu bytes in %.3f s (bound %.3f), wasted %lu\n", (unsigned long)sizes[i], s, bound,
               (unsigned long)wasted(b, c));
        assert_int_equal(wasted(b, c), 0);
        assert_true(s < bound * 1.15 + 0.2);
        xworld_run(w, w->now + CORE_MINUTES(4), NULL, NULL);
        struct xfer_totals t;
        xfer_totals(b->xfer, w->now, &t);
        assert_int_equal(t.sessions, 0); /* idled out */
        assert_int_equal(a->idle_notices, 1);
        assert_int_equal(w->heap_count, 0); /* and then nothing is left to do, ever */
        xworld_free(w);
    }
}

/* Six who met before anybody had a thing go on looking: a seed that comes later is found. */
static void seed_comes_last(void **state)
{
    (void)state;
    struct xworld *w = small_world(11);
    struct xworld_node *first[6];
    uint32_t c = xworld_content(w, 4 * MB);
    for (int i = 0; i < 6; i++)
        first[i] = xworld_add(w, MB, MB);
    for (int i = 0; i < 6; i++)
        assert_true(xworld_leech(first[i], c));
    assert_false(xworld_run(w, w->now + CORE_SECONDS(30), xworld_all_complete, &c));
    struct xfer_swarm_stats st;
    xfer_swarm_stats(first[0]->xfer, w->now, first[0]->swarms[c], &st);
    assert_int_equal(st.sessions, 5);
    struct xworld_node *seed = xworld_add(w, MB, MB);
    assert_true(xworld_seed(seed, c));
    assert_true(xworld_run(w, w->now + CORE_MINUTES(12), xworld_all_complete, &c));
    xworld_free(w);
}

/* Without a connection the first byte is there after three round trips: connect, handshake with open and
 * request, payload. */
static void first_byte(void **state)
{
    (void)state;
    struct xworld *w = small_world(3);
    struct xworld_node *a = xworld_add(w, 100 * MB, 100 * MB), *b = xworld_add(w, 100 * MB, 100 * MB);
    uint32_t c = xworld_content(w, 5000), d = xworld_content(w, 6000);
    xworld_seed(a, c);
    xworld_seed(a, d);
    core_time start = w->now;
    xworld_leech(b, c);
    assert_true(xworld_run(w, start + CORE_SECONDS(5), xworld_all_complete, &c));
    printf("  without a connection %.2f round trips\n", (double)(w->now - start) / 20000.0);
    assert_true(w->now - start < CORE_MS(20) * 3);
    start = w->now;
    xworld_leech(b, d);
    assert_true(xworld_run(w, start + CORE_SECONDS(5), xworld_all_complete, &d));
    printf("  with one %.2f\n", (double)(w->now - start) / 20000.0);
    assert_true(w->now - start < CORE_MS(20) + CORE_MS(3));
    xworld_free(w);
}

static void many(uint32_t leeches, uint64_t size, uint64_t rate, double factor)
{
    struct xworld *w = small_world(leeches);
    w->params.check = leeches < 6;
    struct xworld_node *a = xworld_add(w, rate, rate);
    uint32_t c = xworld_content(w, size);
    xworld_seed(a, c);
    for (uint32_t i = 0; i < leeches; i++)
        xworld_leech(xworld_add(w, rate, rate), c);
    core_time start = w->now;
    bool done = xworld_run(w, start + CORE_MINUTES(10), xworld_all_complete, &c);
    uint64_t waste = 0;
    for (uint32_t i = 1; i <= leeches; i++)
        waste += wasted(w->nodes[i], c);
    double s = (double)(w->now - start) / 1e6, f = (double)size / (double)rate;
    double us = (double)leeches * (double)size / ((double)rate * (leeches + 1)), bound = us > f ? us : f;
    printf("  1 seed, %u leeches, %.0f MB at %.0f MB/s: %.2f s, fluid bound %.2f s (x %.2f), seed sent %.2f "
           "copies, wasted %.2f %%, "
           "control %.2f %%\n",
           leeches, (double)size / 1e6, (double)rate / 1e6, s, bound, s / bound,
           (double)w->payload_from[0] / (double)size, 100.0 * (double)waste / (double)(size * leeches),
           100.0 * (double)w->control_bytes / (double)w->payload_bytes);
    assert_true(done);
    assert_true(waste * 50 < size * leeches);
    assert_true(s < bound * factor);
    xworld_free(w);
}

static void one_seed_four_leeches(void **state)
{
    (void)state;
    many(4, 20 * MB, 5 * MB, 1.6);
}

static void one_seed_ten_leeches(void **state)
{
    (void)state;
    many(10, 50 * MB, 5 * MB, 1.6);
}

/* A flash crowd whose seed leaves when one copy is out: the leeches finish among themselves. */
static bool one_copy_out(struct xworld *w, void *context)
{
    uint64_t chunks = 0;
    uint32_t c = *(uint32_t *)context;
    uint8_t all[64] = {0}, have[64];
    uint32_t count = xfer_chunk_count(&w->contents[c].geometry);
    for (uint32_t i = 1; i < w->node_count; i++) {
        size_t size = xfer_swarm_have(w->nodes[i]->xfer, w->nodes[i]->swarms[c], have, sizeof have);
        for (size_t k = 0; k < size; k++)
            all[k] |= have[k];
    }
    for (uint32_t k = 0; k < count; k++)
        chunks += (all[k / 8] >> (k % 8)) & 1;
    return chunks == count;
}

static void seed_leaves(void **state)
{
    (void)state;
    struct xworld *w = small_world(5);
    struct xworld_node *a = xworld_add(w, 2 * MB, 2 * MB);
    uint32_t c = xworld_content(w, 20 * MB);
    xworld_seed(a, c);
    for (uint32_t i = 0; i < 5; i++)
        xworld_leech(xworld_add(w, 2 * MB, 2 * MB), c);
    assert_true(xworld_run(w, w->now + CORE_MINUTES(2), one_copy_out, &c));
    printf("  a copy was out after the seed had sent %.2f\n", (double)w->payload_from[0] / (20.0 * MB));
    xworld_remove(w, a);
    assert_true(xworld_run(w, w->now + CORE_MINUTES(2), xworld_all_complete, &c));
    xworld_free(w);
}

/* Rule: a content is found by its whole id; a pack is not its tree, and what was removed is gone. */
static void swarms_are_found_by_content(void **state)
{
    (void)state;
    struct hand *h = test_calloc(1, sizeof *h);
    xfer_config_default(&h->config);
    hand_start(h);
    uint32_t first = hand_swarm(h, 1, 2 * MB, true, 0), second = hand_swarm(h, 2, 2 * MB, false, 0);
    struct content_id one = swarm_get(h->x, first)->id, two = swarm_get(h->x, second)->id, other = one;
    assert_int_equal(xfer_swarm_find(h->x, &one), first);
    assert_int_equal(xfer_swarm_find(h->x, &two), second);
    other.size++;
    assert_int_equal(xfer_swarm_find(h->x, &other), 0);
    other = one;
    other.kind = CONTENT_TREE;
    assert_int_equal(xfer_swarm_find(h->x, &other), 0);
    struct xfer_swarm_params p = {.ref = 3, .id = other, .pack = true, .complete = true};
    xfer_geometry_pack(&p.geometry, 5, 100);
    assert_int_not_equal(xfer_swarm_add(h->x, h->now, &p, &h->out), 0);
    assert_int_equal(xfer_swarm_find(h->x, &other), 0); /* the pack is there, the manifest is not */
    p.pack = false;
    xfer_geometry_content(&p.geometry, other.size);
    uint32_t tree = xfer_swarm_add(h->x, h->now, &p, &h->out);
    assert_int_equal(xfer_swarm_find(h->x, &other), tree);
    xfer_swarm_remove(h->x, h->now, first, &h->out);
    assert_int_equal(xfer_swarm_find(h->x, &one), 0);
    uint32_t again = hand_swarm(h, 1, 2 * MB, true, 0);
    assert_int_not_equal(again, first); /* the number is a new one, so that an old one finds nothing */
    assert_int_equal(xfer_swarm_find(h->x, &one), again);
    hand_stop(h);
    test_free(h);
}

/* Rule: those who have the content open, and as many as there is room for; not who only came, nor who asked and was not answered. */
static void sessions_of_a_swarm(void **state)
{
    (void)state;
    struct hand *h = test_calloc(1, sizeof *h);
    struct xfer_session_info info[4];
    xfer_config_default(&h->config);
    hand_start(h);
    uint32_t first = hand_swarm(h, 1, 2 * MB, true, 0), second = hand_swarm(h, 2, 2 * MB, true, 0);
    struct session *a = hand_peer_home(h, 1), *b = hand_peer_home(h, 2), *c = hand_peer_home(h, 3);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, first, info, 4), 0);
    hand_open(h, a, first, 0);
    hand_open(h, a, second, 2);
    hand_open(h, b, first, 0);
    struct message asks = {.type = MESSAGE_OPEN};
    memcpy(asks.key, swarm_get(h->x, first)->provider_key, HASH_SIZE);
    hand_say(h, c, &asks);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, first, info, 4), 2);
    assert_int_equal(info[0].session, a->number);
    assert_int_equal(info[0].channels, 2);
    assert_true(info[0].established && info[0].incoming);
    assert_memory_equal(info[0].peer.key, a->key, NODE_KEY_SIZE);
    assert_int_equal(info[0].peer.addr.port, 7000); /* where it takes streams, not where it came from */
    assert_int_equal(info[1].session, b->number);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, first, info, 1), 1);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, second, info, 4), 1);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, 0, info, 4), 0);
    assert_int_equal(xfer_sessions(h->x, h->now, info, 4), 3);
    hand_say(h, b, &(struct message){.type = MESSAGE_CLOSE});
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, first, info, 4), 1);
    hand_gone(h, a);
    assert_int_equal(xfer_swarm_sessions(h->x, h->now, first, info, 4), 0);
    hand_stop(h);
    test_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_one_leech),   cmocka_unit_test(seed_comes_last),
        cmocka_unit_test(first_byte),           cmocka_unit_test(one_seed_four_leeches),
        cmocka_unit_test(one_seed_ten_leeches), cmocka_unit_test(seed_leaves),
        cmocka_unit_test(swarms_are_found_by_content), cmocka_unit_test(sessions_of_a_swarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
