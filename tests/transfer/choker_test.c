/* Who is served: slots, whose turn it is, who earned one, the optimistic one, those who only take, slots by
 * what the uplink can give, more of them while it is idle, and the chunk that a choked peer may finish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/xfer_hand.h"

#define MB    1000000u
#define SLOTS 3u

struct crowd {
    struct hand *h;
    uint32_t swarm, count;
    struct session *peers[40];
    core_time served[40]; /* with a slot, as sampled by pass */
};

static void interest(struct hand *h, struct session *s, bool on)
{
    hand_say(h, s, &(struct message){.type = MESSAGE_INTEREST, .on = on});
}

static int ask(struct hand *h, struct session *s, uint32_t leaf, uint32_t count)
{
    return hand_say(h, s, &(struct message){.type = MESSAGE_REQUEST, .leaf = leaf, .count = count});
}

/* `count` peers who want something; nothing else is going on, so without `busy` the uplink is idle. */
static struct crowd start(uint32_t count, bool seed, bool busy)
{
    static const uint8_t half[1] = {0x0f};
    struct crowd c = {.h = test_calloc(1, sizeof *c.h), .count = count};
    struct hand *h = c.h;
    xfer_config_default(&h->config);
    h->config.unchoked_max = SLOTS;
    hand_start(h);
    c.swarm = seed ? hand_swarm(h, 1, 2 * MB, true, 0) : hand_swarm_have(h, 1, 2 * MB, half);
    if (busy) { /* somebody whose run stays at the host for ever, and who wants nothing more */
        struct session *s = hand_peer_home(h, 200);
        hand_open(h, s, c.swarm, 0);
        h->hold_serves = true;
        ask(h, s, 0, 1);
        interest(h, s, false);
        assert_int_equal(h->held_count, 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        c.peers[i] = hand_peer_home(h, (uint8_t)(i + 1));
        hand_open(h, c.peers[i], c.swarm, 0);
        interest(h, c.peers[i], true);
    }
    return c;
}

static void stop(struct crowd *c)
{
    hand_stop(c->h);
    test_free(c->h);
}

static uint32_t slots(const struct crowd *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        n += c->peers[i]->slot;
        assert_true(!c->peers[i]->slot || !c->peers[i]->choked);
    }
    return n;
}

/* Time goes by; every second it is noted who has a slot. give: what each gave meanwhile, in bytes a second,
 * NULL: nothing. */
static void pass(struct crowd *c, uint32_t seconds, const uint64_t *give)
{
    for (uint32_t s = 0; s < seconds; s++) {
        for (uint32_t i = 0; i < c->count; i++) {
            c->peers[i]->got_period += give ? give[i] : 0;
            c->served[i] += c->peers[i]->slot;
        }
        hand_wait(c->h, CORE_SECONDS(1));
    }
}

/* Rule: while no more peers want something than there are slots, all are served. */
static void enough_for_all(void **state)
{
    (void)state;
    struct crowd c = start(SLOTS, true, true);
    struct message m;
    pass(&c, 60, NULL);
    assert_int_equal(slots(&c), SLOTS);
    for (uint32_t i = 0; i < c.count; i++)
        assert_false(hand_told(c.h, c.peers[i], MESSAGE_CHOKE, &m));
    stop(&c);
}

/* Rule: with more, the others are choked, are told so, and what they ask is refused with that reason; one who
 * wants nothing any more makes room for who waits longest. */
static void the_others_wait(void **state)
{
    (void)state;
    struct crowd c = start(6, true, true);
    struct message m;
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(c.peers[i]->slot, i < SLOTS);
        assert_int_equal(hand_told(c.h, c.peers[i], MESSAGE_CHOKE, &m), i >= SLOTS);
    }
    ask(c.h, c.peers[5], 16, 1);
    assert_true(hand_told(c.h, c.peers[5], MESSAGE_REJECT, &m));
    assert_int_equal(m.value, REJECT_CHOKED);
    interest(c.h, c.peers[0], false);
    assert_true(c.peers[3]->slot);
    assert_true(hand_told(c.h, c.peers[3], MESSAGE_CHOKE, &m));
    assert_false(m.on);
    hand_gone(c.h, c.peers[1]);
    c.peers[1] = c.peers[5];
    assert_true(c.peers[4]->slot);
    assert_false(c.peers[5]->slot);
    stop(&c);
}

/* Rule: where nobody gives anything, as at a seed, slots go round: everybody has had one about as long. */
static void a_seed_serves_all_alike(void **state)
{
    (void)state;
    struct crowd c = start(9, true, true);
    pass(&c, 900, NULL);
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(c.served[i] >= 900 * SLOTS / 9 / 2);
        assert_true(c.served[i] <= 900 * SLOTS / 9 * 2);
    }
    assert_int_equal(slots(&c), SLOTS);
    stop(&c);
}

/* Rule: a slot is kept for twenty seconds before it goes round. */
static void a_slot_is_kept_for_a_while(void **state)
{
    (void)state;
    struct crowd c = start(6, true, true);
    c.h->x->optimistic_at = CORE_NEVER - 1;
    pass(&c, 15, NULL);
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_true(c.peers[i]->slot);
    pass(&c, 10, NULL);
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_false(c.peers[i]->slot);
    stop(&c);
}

/* Rule: who gives most has a slot, at the next period at the latest, and keeps it. */
static void givers_are_served(void **state)
{
    (void)state;
    struct crowd c = start(9, false, true);
    const uint64_t give[9] = {[7] = 100000, [8] = 200000};
    pass(&c, 30, give);
    c.served[7] = c.served[8] = 0;
    pass(&c, 300, give);
    assert_int_equal(c.served[7], 300);
    assert_int_equal(c.served[8], 300);
    uint64_t others = 0;
    for (uint32_t i = 0; i < 7; i++)
        others += c.served[i];
    assert_true(others > 200); /* the optimistic slot is theirs */
    stop(&c);
}

/* Rule: of many who give, those who give most. */
static void more_is_better(void **state)
{
    (void)state;
    struct crowd c = start(9, false, true);
    const uint64_t give[9] = {1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000};
    pass(&c, 60, give);
    memset(c.served, 0, sizeof c.served);
    pass(&c, 300, give);
    assert_int_equal(c.served[8], 300); /* of three slots one is optimistic */
    assert_int_equal(c.served[7], 300);
    for (uint32_t i = 0; i < 7; i++)
        assert_true(c.served[i] < 150);
    stop(&c);
}

/* Rule: the optimistic slot goes to somebody at random, newcomers and givers three times as likely, those who
 * only take never. */
static void the_optimistic_slot(void **state)
{
    (void)state;
    struct crowd c = start(24, true, true);
    struct xfer *x = c.h->x;
    uint32_t drawn[3] = {0};
    for (uint32_t round = 0; round < 600; round++) {
        for (uint32_t i = 0; i < 24; i++) { /* eight of each kind, whatever else happens to them */
            c.peers[i]->since = i % 3 == 0 ? x->now : 0;
            c.peers[i]->debt = i % 3 == 2 ? DEBT_FREE + 1 : 0;
        }
        x->now += CORE_SECONDS(30);
        x->choke_at = x->optimistic_at = x->now;
        choker_timer(x);
        uint32_t optimistic = 0;
        for (uint32_t i = 0; i < 24; i++) {
            optimistic += c.peers[i]->optimistic;
            drawn[i % 3] += c.peers[i]->optimistic;
        }
        assert_int_equal(optimistic, 1);
    }
    c.h->now = x->now;
    for (uint32_t i = 0; i < 24; i++)
        c.peers[i]->debt = 0;
    assert_int_equal(drawn[2], 0);
    assert_true(drawn[0] > 400); /* some five sixths; the regular slots favour nobody here */
    assert_true(drawn[1] > 50);
    stop(&c);
}

/* Rule: who keeps to himself what a seed lends him, or refuses what he said he has, is served when nobody
 * else waits. */
static void free_riders_come_last(void **state)
{
    (void)state;
    struct crowd c = start(8, true, true);
    for (int kind = 0; kind < 2; kind++) {
        c.peers[0]->debt_called = kind ? 0 : 10000; /* one is forgiven every period */
        c.peers[0]->lies = kind ? 5 : 0;
        pass(&c, 30, NULL); /* the slot it has by now, if it has one, is kept that long */
        c.served[0] = 0;
        pass(&c, 300, NULL);
        assert_int_equal(c.served[0], 0);
        for (uint32_t i = 1; i < 8; i++)
            interest(c.h, c.peers[i], i < 3);
        assert_true(c.peers[0]->slot);
        for (uint32_t i = 1; i < 8; i++)
            interest(c.h, c.peers[i], true);
        pass(&c, 60, NULL);
        assert_false(c.peers[0]->slot);
    }
    stop(&c);
}

/* Rule: as many slots as the uplink can give 64 KiB/s each, but four, and never more than are set. */
static void slots_follow_the_uplink(void **state)
{
    (void)state;
    static const struct {
        uint64_t cap;
        uint32_t slots;
    } cases[] = {{0, 8}, {10000000, 8}, {400000, 6}, {100000, 4}, {1000, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct crowd c = start(0, true, true);
        c.h->config.unchoked_max = 8;
        xfer_set_rates(c.h->x, c.h->now, cases[i].cap, 0);
        c.count = 12;
        for (uint32_t k = 0; k < 12; k++) {
            c.peers[k] = hand_peer_home(c.h, (uint8_t)(k + 1));
            interest(c.h, c.peers[k], true);
        }
        assert_int_equal(slots(&c), cases[i].slots);
        stop(&c);
    }
}

/* Rule: what the busy uplink gave in a period is its rate; an idle one is at least as fast as it was. */
static void the_uplink_is_measured(void **state)
{
    (void)state;
    struct crowd c = start(0, true, true);
    c.h->config.unchoked_max = 8;
    for (uint32_t k = 0; k < 12; k++) {
        if (k == 8) { /* eight who want and eight slots: nothing to ration, nothing measured */
            c.h->x->bytes_up += 4 * MB;
            pass(&c, 11, NULL);
            assert_true(c.h->x->uplink_rate == 0);
        }
        c.peers[k] = hand_peer_home(c.h, (uint8_t)(k + 1));
        hand_open(c.h, c.peers[k], c.swarm, 0);
        interest(c.h, c.peers[k], true);
        c.count = k + 1;
    }
    c.h->x->bytes_up += 4 * MB;
    pass(&c, 11, NULL);
    assert_int_equal(c.h->x->uplink_rate, 400000);
    pass(&c, 30, NULL);
    c.h->x->bytes_up += 4 * MB;
    pass(&c, 30, NULL);
    assert_true(slots(&c) >= 4 && slots(&c) <= 8);
    stop(&c);
}

/* Rule: while the uplink is idle though somebody waits, one more slot opens every 250 ms; once it is busy
 * again they shrink back. */
static void an_idle_uplink_opens_slots(void **state)
{
    (void)state;
    struct crowd c = start(12, true, false);
    assert_int_equal(slots(&c), SLOTS);
    hand_wait(c.h, CORE_MS(249));
    assert_int_equal(slots(&c), SLOTS);
    hand_wait(c.h, CORE_MS(2));
    assert_int_equal(slots(&c), SLOTS + 1);
    hand_wait(c.h, CORE_MS(250));
    assert_int_equal(slots(&c), SLOTS + 2);
    hand_wait(c.h, CORE_SECONDS(3));
    assert_int_equal(slots(&c), 12);
    c.h->hold_serves = true;
    struct session *more = hand_peer_home(c.h, 100);
    interest(c.h, more, true);
    ask(c.h, c.peers[0], 0, 1);
    pass(&c, 25, NULL);
    assert_int_equal(slots(&c) + more->slot, SLOTS);
    stop(&c);
}

/* Rule: of a chunk that was sent in part a choked peer may ask for the rest, for thirty seconds, and nothing
 * else; a leech grants that only to those who gave it something. */
static void the_chunk_under_way_is_finished(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) { /* a seed, a leech, a leech that was given something */
        struct crowd c = start(4, kind == 0, true);
        struct session *p = c.peers[0];
        struct message m;
        c.h->x->optimistic_at = CORE_NEVER - 1;
        ask(c.h, p, 0, 4);
        hand_told(c.h, p, MESSAGE_CHOKE, &m);
        if (kind == 2)
            p->got_before = 1;
        c.peers[1]->got_period = c.peers[2]->got_period = c.peers[3]->got_period =
            10; /* one of four has not earned its slot */
        xfer_enter(c.h->x, c.h->now, &c.h->out);
        c.h->x->choke_at = c.h->x->now;
        choker_timer(c.h->x);
        xfer_leave(c.h->x);
        hand_drain(c.h);
        assert_true(p->choked);
        assert_true(hand_told(c.h, p, MESSAGE_CHOKE, &m));
        assert_int_equal(m.finish, kind != 1);
        uint32_t held = c.h->held_count;
        ask(c.h, p, 16, 1);
        assert_true(hand_told(c.h, p, MESSAGE_REJECT, &m));
        ask(c.h, p, 4, 4);
        assert_int_equal(hand_told(c.h, p, MESSAGE_REJECT, &m), kind == 1);
        assert_int_equal(c.h->held_count - held, kind != 1);
        hand_wait(c.h, CORE_SECONDS(5));
        p->finish_until = c.h->now; /* the time is over */
        ask(c.h, p, 8, 4);
        assert_true(hand_told(c.h, p, MESSAGE_REJECT, &m));
        assert_int_equal(m.value, REJECT_CHOKED);
        stop(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_for_all),
        cmocka_unit_test(the_others_wait),
        cmocka_unit_test(a_seed_serves_all_alike),
        cmocka_unit_test(a_slot_is_kept_for_a_while),
        cmocka_unit_test(givers_are_served),
        cmocka_unit_test(more_is_better),
        cmocka_unit_test(the_optimistic_slot),
        cmocka_unit_test(free_riders_come_last),
        cmocka_unit_test(slots_follow_the_uplink),
        cmocka_unit_test(the_uplink_is_measured),
        cmocka_unit_test(an_idle_uplink_opens_slots),
        cmocka_unit_test(the_chunk_under_way_is_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
