/* What a seed lends: each chunk is told once to all who fetch, taken back when it did not get there, counted
 * as debt until somebody else has it; and what the others make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/xfer_hand.h"

#define CHUNK  (256u << 10)
#define LEAVES 16u /* of a chunk */

struct fixture {
    struct hand *h;
    uint32_t swarm;
    struct session *a, *b;
};

static struct fixture start(uint64_t size, bool seed)
{
    struct fixture f = {.h = test_calloc(1, sizeof *f.h)};
    xfer_config_default(&f.h->config);
    hand_start(f.h);
    f.swarm = hand_swarm(f.h, 1, size, seed, 0);
    f.a = hand_peer_home(f.h, 1);
    hand_open(f.h, f.a, f.swarm, 0);
    return f;
}

static struct fixture start_two(void)
{
    struct fixture f = start(8 * CHUNK, true);
    f.b = hand_peer_home(f.h, 2);
    hand_open(f.h, f.b, f.swarm, 0);
    return f;
}

static void stop(struct fixture *f)
{
    hand_stop(f->h);
    test_free(f->h);
}

static void ask(struct fixture *f, struct session *s, uint32_t leaf, uint32_t count)
{
    assert_int_equal(
        hand_say(f->h, s, &(struct message){.type = MESSAGE_REQUEST, .leaf = leaf, .count = count}), 0);
}

static void have(struct fixture *f, struct session *s, uint32_t chunk)
{
    struct message m = {.type = MESSAGE_HAVE, .chunk_count = 1, .chunks = {chunk}};
    assert_int_equal(hand_say(f->h, s, &m), 0);
}

/* The peer is told of this chunk and nothing else; on: that it is not lent after all. */
static void told(struct fixture *f, struct session *s, uint32_t chunk, bool on)
{
    struct message m;
    assert_true(hand_told(f->h, s, MESSAGE_LENT, &m));
    assert_int_equal(m.chunk_count, 1);
    assert_int_equal(m.chunks[0], chunk);
    assert_int_equal(m.on, on);
}

static void told_nothing(struct fixture *f, struct session *s)
{
    struct message m;
    assert_false(hand_told(f->h, s, MESSAGE_LENT, &m));
}

/* Rule: a chunk that somebody asks for is told to all, once. */
static void each_chunk_is_told_once(void **state)
{
    (void)state;
    struct fixture f = start_two();
    ask(&f, f.a, 3 * LEAVES, 4);
    told(&f, f.a, 3, false);
    told(&f, f.b, 3, false);
    ask(&f, f.a, 3 * LEAVES + 4, 4);
    ask(&f, f.b, 3 * LEAVES, 4);
    told_nothing(&f, f.a);
    told_nothing(&f, f.b);
    /* Who comes later is told what is lent by then. */
    ask(&f, f.b, 5 * LEAVES, 4);
    struct session *late = hand_peer_home(f.h, 3);
    struct message m;
    hand_open(f.h, late, f.swarm, 0);
    assert_true(hand_told(f.h, late, MESSAGE_LENT, &m));
    assert_int_equal(m.chunk_count, 2);
    assert_int_equal(m.chunks[0], 3);
    assert_int_equal(m.chunks[1], 5);
    stop(&f);
}

/* Rule: with one peer, of a content of one chunk, and by who has not everything, nothing is lent. */
static void nothing_to_lend(void **state)
{
    (void)state;
    struct fixture f = start(8 * CHUNK, true);
    ask(&f, f.a, 0, 4);
    told_nothing(&f, f.a);
    assert_null(swarm_get(f.h->x, f.swarm)->lent);
    stop(&f);
    f = start(CHUNK, true);
    hand_open(f.h, hand_peer_home(f.h, 2), f.swarm, 0);
    ask(&f, f.a, 0, 4);
    assert_null(swarm_get(f.h->x, f.swarm)->lent);
    stop(&f);
    f = start(8 * CHUNK, false);
    hand_open(f.h, hand_peer_home(f.h, 2), f.swarm, 0);
    ask(&f, f.a, 0, 4); /* not here */
    assert_null(swarm_get(f.h->x, f.swarm)->lent);
    stop(&f);
}

/* Rule: a chunk is a debt of who got it until another says that it has it; his own word does not count. */
static void debt_is_paid_by_others(void **state)
{
    (void)state;
    struct fixture f = start_two();
    for (uint32_t i = 0; i < 4; i++)
        ask(&f, f.a, i * LEAVES, 4);
    assert_int_equal(f.a->debt, 4);
    assert_int_equal(f.b->debt, 0);
    have(&f, f.a, 0);
    assert_int_equal(f.a->debt, 4);
    have(&f, f.b, 0);
    assert_int_equal(f.a->debt, 3);
    have(&f, f.b, 0); /* again is nothing */
    assert_int_equal(f.a->debt, 3);
    have(&f, f.b, 7); /* nor what was never lent */
    assert_int_equal(f.a->debt, 3);
    stop(&f);
}

/* Rule: what was cancelled before anything of it left, or was under way when the channel closed, is lent no
 * more, and may be lent to another. */
static void what_did_not_get_there_is_taken_back(void **state)
{
    (void)state;
    struct fixture f = start_two();
    f.h->hold_serves = true;
    ask(&f, f.a, 0,
        16); /* goes to the host, and so do 15 more: a mebibyte a second is what a session may have there */
    for (uint32_t i = 1; i < 8; i++)
        ask(&f, f.a, i * LEAVES, 16);
    assert_int_equal(f.a->debt, 8);
    struct message m;
    hand_told(f.h, f.b, MESSAGE_LENT, &m);
    assert_int_equal(f.h->held_count, 4);
    hand_say(f.h, f.a, &(struct message){.type = MESSAGE_CANCEL, .leaf = 7 * LEAVES, .count = 16});
    told(&f, f.b, 7, true);
    assert_int_equal(f.a->debt, 7);
    ask(&f, f.b, 7 * LEAVES, 4);
    told(&f, f.b, 7, false);
    assert_int_equal(f.b->debt, 1);
    /* A closes: 4, 5 and 6 never left; 0 to 3 did, and stay out. */
    hand_say(f.h, f.a, &(struct message){.type = MESSAGE_CLOSE});
    assert_true(hand_told(f.h, f.b, MESSAGE_LENT, &m));
    assert_true(m.on);
    assert_int_equal(m.chunk_count, 3);
    assert_int_equal(f.a->debt, 4);
    stop(&f);
}

/* Rule: when one who owes too much loses its slot, all it still owes is taken back at once, held against it,
 * and forgiven one a period. */
static void debts_are_called_in(void **state)
{
    (void)state;
    struct fixture f = start_two();
    for (uint32_t i = 0; i < 8; i++)
        ask(&f, f.a, i * LEAVES, 16);
    have(&f, f.b, 2);
    assert_int_equal(f.a->debt, 7);
    struct message m;
    hand_told(f.h, f.b, MESSAGE_LENT, &m);
    lent_call_in(f.h->x, f.a);
    assert_int_equal(f.a->debt, 0);
    assert_int_equal(f.a->debt_called, 7);
    assert_true(hand_told(f.h, f.b, MESSAGE_LENT, &m));
    assert_true(m.on);
    assert_int_equal(m.chunk_count, 7);
    for (uint32_t left = 7; left > 0; left--) {
        f.h->x->choke_at = f.h->x->now;
        choker_timer(f.h->x);
        assert_int_equal(f.a->debt_called, left - 1);
    }
    stop(&f);
}

/* Rule: who comes and goes again and again is told no more after twice per chunk; nothing grows. */
static void the_log_is_bounded(void **state)
{
    (void)state;
    struct fixture f = start_two();
    f.h->hold_serves = true;
    for (uint32_t i = 0; i < 8; i++)
        ask(&f, f.a, i * LEAVES, 16);
    for (uint32_t i = 0; i < 100; i++) {
        hand_say(f.h, f.a, &(struct message){.type = MESSAGE_CANCEL, .leaf = 7 * LEAVES, .count = 16});
        ask(&f, f.a, 7 * LEAVES, 16);
    }
    const struct swarm *w = swarm_get(f.h->x, f.swarm);
    assert_int_equal(w->lent_cap, 16);
    assert_int_equal(w->lent_count, 16);
    size_t with = xfer_memory(f.h->x);
    hand_gone(f.h, f.a);
    hand_gone(f.h, f.b);
    assert_null(w->lent); /* nobody to tell: it is forgotten */
    assert_true(xfer_memory(f.h->x) < with);
    stop(&f);
}

/* ---- The other side ---- */

static int lent(struct fixture *f, struct session *s, uint32_t chunk, bool on)
{
    struct message m = {.type = MESSAGE_LENT, .chunk_count = 1, .chunks = {chunk}, .on = on};
    return hand_say(f->h, s, &m);
}

/* Rule: what a seed lends counts as one holder more, once, until it takes it back or goes. */
static void a_lent_chunk_is_less_rare(void **state)
{
    (void)state;
    struct fixture f = start(8 * CHUNK, false);
    const struct picker *p = &swarm_get(f.h->x, f.swarm)->picker;
    assert_int_equal(lent(&f, f.a, 3, false), 0); /* from one who has not everything: nothing */
    assert_int_equal(p->available[3], 0);
    hand_say(f.h, f.a, &(struct message){.type = MESSAGE_MAP, .all = true});
    lent(&f, f.a, 3, false);
    lent(&f, f.a, 3, false);
    assert_int_equal(p->available[3], 1);
    lent(&f, f.a, 3, true);
    lent(&f, f.a, 3, true);
    assert_int_equal(p->available[3], 0);
    lent(&f, f.a, 4, false);
    hand_gone(f.h, f.a);
    assert_int_equal(p->available[4], 0);
    stop(&f);
}

/* Rule: a chunk that does not exist is a fault of the peer. */
static void a_chunk_that_is_none(void **state)
{
    (void)state;
    struct fixture f = start(8 * CHUNK, false);
    assert_int_equal(lent(&f, f.a, 7, false), 0);
    assert_int_equal(lent(&f, f.a, 8, false), ERR_MALFORMED);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chunk_is_told_once),   cmocka_unit_test(nothing_to_lend),
        cmocka_unit_test(debt_is_paid_by_others),    cmocka_unit_test(what_did_not_get_there_is_taken_back),
        cmocka_unit_test(debts_are_called_in),       cmocka_unit_test(the_log_is_bounded),
        cmocka_unit_test(a_lent_chunk_is_less_rare), cmocka_unit_test(a_chunk_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
