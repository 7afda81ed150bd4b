/* Peers that misbehave and peers that are only slow: each is found out or worked around, and every fetch
 * completes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/support/xfer_world.h"

#define MB 1000000u

struct cast {
    struct xworld *w;
    struct xworld_node *seed, *other, *leech;
    uint32_t content;
    core_time start;
};

/* A good seed, a second one with a vice, a leech. */
static struct cast cast_new(enum xworld_vice vice, uint64_t size, uint64_t other_up)
{
    struct xworld_params p;
    xworld_params_default(&p);
    p.check = true;
    struct cast c = {.w = xworld_new(&p)};
    c.seed = xworld_add(c.w, 5 * MB, 5 * MB);
    c.other = xworld_add(c.w, other_up, 5 * MB);
    c.leech = xworld_add(c.w, 5 * MB, 20 * MB);
    c.other->vice = vice;
    c.content = xworld_content(c.w, size);
    xworld_seed(c.seed, c.content);
    xworld_seed(c.other, c.content);
    xworld_leech(c.leech, c.content);
    c.start = c.w->now;
    return c;
}

static double cast_finish(struct cast *c, core_time most)
{
    assert_true(xworld_run(c->w, c->start + most, xworld_all_complete, &c->content));
    return (double)(c->w->now - c->start) / 1e6;
}

static double wasted_percent(const struct cast *c)
{
    struct xfer_swarm_stats st;
    xfer_swarm_stats(c->leech->xfer, c->w->now, c->leech->swarms[c->content], &st);
    return 100.0 * (double)st.bytes_wasted / (double)c->w->contents[c->content].id.size;
}

static void polluter_is_banned(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_POLLUTER, 20 * MB, 5 * MB);
    double s = cast_finish(&c, CORE_SECONDS(30));
    struct xfer_totals t;
    xfer_totals(c.leech->xfer, c.w->now, &t);
    printf("  polluter: %.2f s, wasted %.2f %%, bad frames %lu\n", s, wasted_percent(&c),
           (unsigned long)t.bad_leaves);
    assert_int_equal(c.leech->banned_notices, 1);
    assert_memory_equal(c.leech->banned_key, c.other->me.key, NODE_KEY_SIZE);
    assert_int_equal(t.bans, 1);
    assert_true(wasted_percent(&c) < 5);
    /* It may not come back before the ban ends. */
    assert_int_equal(
        xfer_session_dial(c.leech->xfer, c.w->now, c.other->me.key, &c.other->addr, XWORLD_OUT(c.leech)), 0);
    assert_int_equal(xfer_session_accept(c.leech->xfer, c.w->now, &c.other->addr, c.other->me.key,
                                         c.other->me.key, XWORLD_OUT(c.leech)),
                     0);
    xworld_free(c.w);
}

static void bad_proofs_are_banned(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_BAD_PROOF, 20 * MB, 5 * MB);
    cast_finish(&c, CORE_SECONDS(30));
    assert_int_equal(c.leech->banned_notices, 1);
    xworld_free(c.w);
}

static void leaves_without_proof_are_dropped(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_NO_PROOF, 40 * MB, 5 * MB);
    double s = cast_finish(&c, CORE_SECONDS(60));
    printf("  no proofs: %.2f s, wasted %.2f %%, banned %u\n", s, wasted_percent(&c),
           c.leech->banned_notices);
    assert_true(wasted_percent(&c) < 30);
    xworld_free(c.w);
}

static void liar_about_its_map(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_LIAR, 20 * MB, 5 * MB);
    double s = cast_finish(&c, CORE_SECONDS(30));
    printf("  liar: %.2f s\n", s);
    assert_true(s < 6);
    xworld_free(c.w);
}

static void stall_at_the_last_chunk(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_SILENT, 20 * MB, 5 * MB);
    c.other->silent_after = 500; /* 8 MB, then nothing, while it holds many runs */
    double s = cast_finish(&c, CORE_SECONDS(60));
    printf("  staller: %.2f s, wasted %.2f %%\n", s, wasted_percent(&c));
    assert_true(s < 6);
    xworld_free(c.w);
}

static void only_source_stalls_then_another_comes(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_SILENT, 5 * MB, 5 * MB);
    xworld_remove(c.w, c.seed);
    c.other->silent_after = 100;
    assert_false(xworld_run(c.w, c.start + CORE_SECONDS(20), xworld_all_complete, &c.content));
    struct xworld_node *late = xworld_add(c.w, 5 * MB, 5 * MB);
    xworld_seed(late, c.content);
    xworld_know(c.leech, c.content, late);
    assert_true(xworld_run(c.w, c.w->now + CORE_SECONDS(5), xworld_all_complete, &c.content));
    xworld_free(c.w);
}

/* One crippled peer must not hold the last percent. */
static void slow_peer_does_not_delay_the_end(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_NONE, 20 * MB, 20000);
    double s = cast_finish(&c, CORE_SECONDS(60));
    printf("  crippled peer of 20 kB/s: %.2f s (4.0 s from the good one alone), wasted %.2f %%\n", s,
           wasted_percent(&c));
    assert_true(s < 5.5);
    assert_true(wasted_percent(&c) < 4);
    xworld_free(c.w);
}

static void two_unequal_seeds_waste_little(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_NONE, 50 * MB, MB);
    double s = cast_finish(&c, CORE_SECONDS(60));
    printf("  5 + 1 MB/s: %.2f s (bound %.2f), wasted %.2f %%\n", s, 50.0 / 6, wasted_percent(&c));
    assert_true(s < 50.0 / 6 * 1.1);
    assert_true(wasted_percent(&c) < 2);
    xworld_free(c.w);
}

static void leech_killed_and_links_cut(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_NONE, 20 * MB, 5 * MB);
    for (int i = 0; i < 8; i++) {
        xworld_run(c.w, c.w->now + CORE_MS(250), NULL, NULL);
        xworld_cut(i % 2 ? c.seed : c.other, c.leech);
    }
    cast_finish(&c, CORE_SECONDS(120));
    xworld_free(c.w);
}

/* A crowd short of uplinks: a peer that gives nothing gets the optimistic slot, and the others are done long before it. (With uplinks to
 * spare nobody waits for a slot, and all end with the seed's last chunk, the rider too: nothing is taken from anybody there.) */
static void free_rider_comes_last(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct xworld_params p;
        xworld_params_default(&p);
        p.seed = seed;
        p.config.unchoked_max = 2;
        p.config.choke_period = CORE_SECONDS(2);
        p.config.optimistic_period = CORE_SECONDS(6);
        struct xworld *w = xworld_new(&p);
        uint32_t c = xworld_content(w, 60 * MB);
        xworld_seed(xworld_add(w, MB, MB), c);
        for (int i = 0; i < 5; i++)
            xworld_leech(xworld_add(w, MB / 2, 5 * MB), c);
        struct xworld_node *rider = w->nodes[5];
        rider->vice = VICE_LIAR; /* fails every read: it uploads nothing */
        assert_true(xworld_run(w, w->now + CORE_MINUTES(10), xworld_all_complete, &c));
        core_time honest = 0;
        for (int i = 1; i < 5; i++)
            honest = w->nodes[i]->complete_at[c] > honest ? w->nodes[i]->complete_at[c] : honest;
        printf("  honest leeches by %.1f s, the free rider at %.1f s\n", (double)honest / 1e6,
               (double)rider->complete_at[c] / 1e6);
        assert_true(rider->complete_at[c] > honest + honest / 20);
        xworld_free(w);
    }
}

/* Our own disk: nobody is blamed, the swarm pauses, and goes on when told. */
static void disk_trouble(void **state)
{
    (void)state;
    struct cast c = cast_new(VICE_NONE, 20 * MB, 5 * MB);
    xworld_run(c.w, c.start + CORE_SECONDS(1), NULL, NULL);
    c.leech->write_fails = ERR_NO_SPACE;
    xworld_run(c.w, c.start + CORE_SECONDS(10), NULL, NULL);
    assert_int_equal(c.leech->trouble_notices, 1);
    assert_int_equal(c.leech->banned_notices, 0);
    assert_false(c.leech->complete[c.content]);
    c.leech->write_fails = 0;
    xfer_swarm_pause(c.leech->xfer, c.w->now, c.leech->swarms[c.content], false, XWORLD_OUT(c.leech));
    xworld_step(c.leech);
    assert_true(xworld_run(c.w, c.w->now + CORE_SECONDS(10), xworld_all_complete, &c.content));
    xworld_free(c.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polluter_is_banned),
        cmocka_unit_test(bad_proofs_are_banned),
        cmocka_unit_test(leaves_without_proof_are_dropped),
        cmocka_unit_test(liar_about_its_map),
        cmocka_unit_test(stall_at_the_last_chunk),
        cmocka_unit_test(only_source_stalls_then_another_comes),
        cmocka_unit_test(slow_peer_does_not_delay_the_end),
        cmocka_unit_test(two_unequal_seeds_waste_little),
        cmocka_unit_test(leech_killed_and_links_cut),
        cmocka_unit_test(free_rider_comes_last),
        cmocka_unit_test(disk_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
