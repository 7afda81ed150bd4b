/* Sources of a swarm: whose word gets a place and keeps it, whom a swarm dials and when again, what the parts
 * of a tree learn from each other, and that hearsay makes no node knock at a stranger's door for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/xfer_hand.h"

#define MB 1000000u

static struct hand *start(void)
{
    struct hand *h = test_calloc(1, sizeof *h);
    xfer_config_default(&h->config);
    hand_start(h);
    return h;
}

static void stop(struct hand *h)
{
    hand_stop(h);
    test_free(h);
}

static struct net_addr global(uint8_t last, uint16_t port)
{
    return net_addr_v4(8, 8, 4, last, port);
}

/* A source by number; each has an address and a key of its own. */
static void key_of(uint8_t key[NODE_KEY_SIZE], uint32_t number)
{
    memset(key, 0, NODE_KEY_SIZE);
    put_be32(key, number);
    key[31] = 2;
}

static struct net_addr addr_of(uint32_t number)
{
    return net_addr_v4(9, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 4000);
}

static void tell(struct hand *h, uint32_t swarm, uint32_t number, enum xfer_source source)
{
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr = addr_of(number);
    key_of(key, number);
    xfer_swarm_peer(h->x, h->now, swarm, key, &addr, source, &h->out);
    hand_drain(h);
}

static struct candidate *get(struct hand *h, uint32_t swarm, uint32_t number)
{
    uint8_t key[NODE_KEY_SIZE];
    key_of(key, number);
    return candidates_find(swarm_get(h->x, swarm), key);
}

/* A peer names eight sources, [first, first + 8), all at `at` or each at its own address. */
static void gossip(struct hand *h, struct channel *c, uint32_t first, const struct net_addr *at)
{
    struct message m = {.type = MESSAGE_PEERS, .channel = c->number, .peer_count = MESSAGE_PEERS_MAX};
    for (uint32_t i = 0; i < MESSAGE_PEERS_MAX; i++) {
        key_of(m.peers[i].key, first + i);
        m.peers[i].addr = at ? *at : addr_of(first + i);
    }
    assert_int_equal(hand_say(h, c->session, &m), 0);
}

static uint32_t count(struct hand *h, uint32_t swarm, enum xfer_source source)
{
    const struct swarm *w = swarm_get(h->x, swarm);
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->candidate_count; i++)
        n += w->candidates[i].source == source;
    return n;
}

/* Dials in one instant that were not there before. */
static uint32_t dials_to(const struct hand *h, const struct net_addr *addr)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->dials && i < 256; i++)
        n += net_addr_same_ip(&h->dialled[i], addr);
    return n;
}

static void all_dials_fail(struct hand *h)
{
    for (uint32_t i = 0; i < h->dials && i < 256; i++)
        if (session_get(h->x, h->dialled_session[i])) {
            xfer_session_closed(h->x, h->now, h->dialled_session[i], ERR_REFUSED, &h->out);
            hand_drain(h);
        }
}

/* Waits in steps; at each one all dials of before fail. */
static void wait_failing(struct hand *h, core_time time)
{
    for (core_time end = h->now + time; h->now < end;) {
        hand_wait(h, CORE_MS(500));
        all_dials_fail(h);
    }
}

/* Rule: what peers tell holds half of the places, and pushes out nothing else, failing or not. */
static void gossip_leaves_places_to_others(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    struct net_addr at = global(1, 7000);
    struct channel *c = hand_open(h, hand_peer(h, 1, &at), w, 0);
    for (uint32_t i = 1; i <= 10; i++)
        tell(h, w, i, XFER_SOURCE_DHT);
    tell(h, w, 11, XFER_SOURCE_LINK);
    all_dials_fail(h);
    for (uint32_t i = 0; i < 30; i++) {
        gossip(h, c, 1000 + 8 * i, NULL);
        hand_wait(h, CORE_SECONDS(5));
    }
    assert_true(count(h, w, XFER_SOURCE_GOSSIP) <= 64);
    for (uint32_t i = 1; i <= 11; i++) /* failed before: the ten of the DHT had all been pushed out */
        assert_non_null(get(h, w, i));
    for (uint32_t i = 100; i < 200; i++)
        tell(h, w, i, XFER_SOURCE_DHT);
    assert_true(count(h, w, XFER_SOURCE_DHT) >= 110); /* and they find places though hearsay is there */
    assert_non_null(get(h, w, 11));
    assert_true(swarm_get(h->x, w)->candidate_count <= 128);
    stop(h);
}

/* Rule: the user's own word finds a place in a full list and keeps it; what the DHT says gives way to it. */
static void a_link_always_has_a_place(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    tell(h, w, 1, XFER_SOURCE_LINK);
    for (uint32_t i = 100; i < 400; i++)
        tell(h, w, i, XFER_SOURCE_DHT);
    assert_int_equal(swarm_get(h->x, w)->candidate_count, 128);
    assert_int_equal(count(h, w, XFER_SOURCE_DHT), 127);
    tell(h, w, 2, XFER_SOURCE_LINK); /* failed before: the list was full */
    tell(h, w, 3, XFER_SOURCE_LOCAL);
    assert_non_null(get(h, w, 1));
    assert_non_null(get(h, w, 2));
    assert_non_null(get(h, w, 3));
    assert_int_equal(swarm_get(h->x, w)->candidate_count, 128);
    stop(h);
}

/* Rule: of one kind only who fails gives way, who fails most first. */
static void a_failing_one_gives_way_to_its_like(void **state)
{
    (void)state;
    struct hand *h = start();
    h->config.candidates_per_swarm_max = 4;
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    for (uint32_t i = 1; i <= 4; i++)
        tell(h, w, i, XFER_SOURCE_DHT);
    tell(h, w, 5, XFER_SOURCE_DHT);
    assert_null(get(h, w, 5));
    get(h, w, 2)->fails = 1;
    get(h, w, 3)->fails = 2;
    tell(h, w, 6, XFER_SOURCE_DHT);
    assert_non_null(get(h, w, 6));
    assert_null(get(h, w, 3));
    assert_non_null(get(h, w, 2));
    stop(h);
}

/* Rule: hearsay moves no known address; a provider's own record does, and then it is hearsay no more. */
static void records_move_addresses_and_hearsay_does_not(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    struct net_addr at = global(1, 7000), moved = global(77, 4000);
    struct channel *c = hand_open(h, hand_peer(h, 1, &at), w, 0);
    gossip(h, c, 20, NULL);
    assert_int_equal(get(h, w, 20)->source, XFER_SOURCE_GOSSIP);
    hand_wait(h, CORE_SECONDS(5));
    gossip(h, c, 20, &moved);
    struct net_addr first = addr_of(20);
    assert_true(net_addr_equal(&get(h, w, 20)->addr, &first));
    uint8_t key[NODE_KEY_SIZE];
    key_of(key, 20);
    xfer_swarm_peer(h->x, h->now, w, key, &moved, XFER_SOURCE_DHT, &h->out);
    hand_drain(h);
    assert_true(net_addr_equal(&get(h, w, 20)->addr, &moved));
    assert_int_equal(get(h, w, 20)->source, XFER_SOURCE_DHT);
    stop(h);
}

/* Rule: what is heard is looked at: one message in 5 s, no address of ours, none of no use, none of our own
 * network from afar. */
static void gossip_is_looked_at(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    struct net_addr at = global(1, 7000);
    struct channel *c = hand_open(h, hand_peer(h, 1, &at), w, 0);
    struct message m = {.type = MESSAGE_PEERS, .channel = 0, .peer_count = 4};
    for (uint32_t i = 0; i < 4; i++) {
        key_of(m.peers[i].key, 30 + i);
        m.peers[i].addr = addr_of(30 + i);
    }
    m.peers[0].addr.port = 0;
    m.peers[1].addr = net_addr_v4(192, 168, 0, 1, 80);
    memcpy(m.peers[2].key, h->me.key, NODE_KEY_SIZE);
    hand_say(h, c->session, &m);
    const struct swarm *s = swarm_get(h->x, w);
    assert_int_equal(s->candidate_count, 1);
    assert_non_null(get(h, w, 33));
    gossip(h, c, 40, NULL);
    assert_null(get(h, w, 40)); /* too soon */
    hand_wait(h, CORE_SECONDS(5));
    gossip(h, c, 40, NULL);
    assert_non_null(get(h, w, 47));
    /* From a peer that is here too, addresses of here are good. */
    struct channel *near = hand_open(h, hand_peer_home(h, 5), w, 0);
    m.peers[1].addr = net_addr_v4(10, 0, 0, 9, 80);
    hand_say(h, near->session, &m);
    assert_non_null(get(h, w, 31));
    stop(h);
}

/* Rule: who fails is tried again later and later, and forgotten in the end; who was named in a link never is.
 */
static void failing_sources_are_tried_less_and_forgotten(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    tell(h, w, 1, XFER_SOURCE_DHT);
    tell(h, w, 2, XFER_SOURCE_LINK);
    core_time last = 0;
    for (uint32_t i = 1; i <= 8; i++) {
        candidates_failed(h->x, swarm_get(h->x, w), get(h, w, 1)->key, 0);
        assert_int_equal(get(h, w, 1)->fails, i);
        core_time wait = get(h, w, 1)->next - h->now;
        if (i <= 5)
            assert_true(wait > last); /* doubled, with a jitter of a fifth */
        assert_true(wait <= CORE_MINUTES(5) * 6 / 5);
        last = wait;
    }
    candidates_failed(h->x, swarm_get(h->x, w), get(h, w, 1)->key, 0);
    assert_null(get(h, w, 1));
    for (uint32_t i = 0; i < 30; i++)
        candidates_failed(h->x, swarm_get(h->x, w), get(h, w, 2)->key, 0);
    assert_non_null(get(h, w, 2));
    candidates_failed(h->x, swarm_get(h->x, w), get(h, w, 2)->key, CORE_SECONDS(1)); /* it was of use */
    assert_int_equal(get(h, w, 2)->fails, 0);
    stop(h);
}

/* Rule: a part of a tree has at once what the tree and its other parts know of sources, but for those that
 * fail; it stays known when the tree's own swarm is complete, and goes with it. */
static void parts_of_a_tree_share_their_sources(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t tree = hand_swarm(h, 1, 10 * MB, false, 0);
    struct net_addr at = global(1, 7000);
    struct session *peer = hand_peer(h, 1, &at);
    struct channel *c = hand_open(h, peer, tree, 0);
    gossip(h, c, 20, NULL);
    tell(h, tree, 30, XFER_SOURCE_DHT);
    tell(h, tree, 31, XFER_SOURCE_DHT);
    get(h, tree, 31)->fails = 1;
    uint32_t part = hand_swarm(h, 2, 10 * MB, false, tree);
    assert_non_null(get(h, part, 20)); /* failed before: only open sessions were passed on */
    assert_int_equal(get(h, part, 20)->source, XFER_SOURCE_GOSSIP);
    assert_int_equal(get(h, part, 30)->source, XFER_SOURCE_DHT);
    assert_null(get(h, part, 31));
    /* What a part hears, the next one has. */
    gossip(h, hand_open(h, peer, part, 2), 40, NULL);
    tell(h, part, 50, XFER_SOURCE_DHT);
    xfer_enter(h->x, h->now, &h->out); /* the tree's manifest is here */
    struct swarm *w = swarm_get(h->x, tree);
    requests_drop_channel(h->x, c);
    w->want_have = w->want_chunks;
    swarm_complete(h->x, w);
    xfer_leave(h->x);
    hand_drain(h);
    uint32_t next = hand_swarm(h, 3, 10 * MB, false, tree);
    assert_non_null(get(h, next, 20));
    assert_non_null(get(h, next, 40));
    assert_non_null(get(h, next, 50));
    /* Where nobody is for one part, nobody is for the others. */
    candidates_failed(h->x, swarm_get(h->x, next), get(h, next, 50)->key, 0);
    uint32_t last = hand_swarm(h, 4, 10 * MB, false, tree);
    assert_null(get(h, last, 50));
    assert_non_null(get(h, last, 40));
    xfer_swarm_remove(h->x, h->now, tree, &h->out);
    hand_drain(h);
    assert_int_equal(swarm_get(h->x, hand_swarm(h, 5, 10 * MB, false, tree))->candidate_count, 0);
    stop(h);
}

/* Rule: the user's word is dialled first, then the local network, then records, then hearsay. */
static void best_known_first(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    xfer_swarm_pause(h->x, h->now, w, true, &h->out);
    hand_drain(h);
    static const enum xfer_source order[] = {XFER_SOURCE_GOSSIP, XFER_SOURCE_DHT, XFER_SOURCE_LINK,
                                             XFER_SOURCE_LOCAL};
    for (uint32_t i = 0; i < 4; i++)
        tell(h, w, i, order[i]);
    assert_int_equal(h->dials, 0);
    xfer_swarm_pause(h->x, h->now, w, false, &h->out);
    hand_drain(h);
    hand_wait(h, CORE_MS(1));
    static const uint32_t expected[] = {2, 3, 1, 0};
    assert_int_equal(h->dials, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct net_addr addr = addr_of(expected[i]);
        assert_true(net_addr_equal(&h->dialled[i], &addr));
    }
    stop(h);
}

/* Rule: hearsay makes a node dial no more than eight times in two seconds, whatever it is told. */
static void hearsay_is_dialled_slowly(void **state)
{
    (void)state;
    struct hand *h = start();
    struct net_addr at = global(1, 7000);
    struct session *peer = hand_peer(h, 1, &at);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t w = hand_swarm(h, (uint8_t)(1 + i), 10 * MB, false, 0);
        gossip(h, hand_open(h, peer, w, 2 * i), 100 + 8 * i, NULL);
    }
    for (uint32_t second = 2; second <= 20; second += 2) {
        hand_wait(h, CORE_SECONDS(2));
        assert_true(h->dials <= 8 * (second / 2 + 1));
    }
    assert_true(h->dials >= 70); /* and no slower than that */
    stop(h);
}

/* Rule: an address of a third party that does not answer as promised is asked four times, two at once, and
 * then left alone for ten minutes, however many keys and contents are said to be there. */
static void hearsay_is_no_weapon(void **state)
{
    (void)state;
    struct hand *h = start();
    struct net_addr at = global(1, 7000), victim = global(200, 443);
    struct session *peer = hand_peer(h, 1, &at);
    struct channel *c[10];
    for (uint32_t i = 0; i < 10; i++)
        c[i] = hand_open(h, peer, hand_swarm(h, (uint8_t)(1 + i), 10 * MB, false, 0), 2 * i);
    for (uint32_t i = 0; i < 10; i++)
        gossip(h, c[i], 1000 + 8 * i, &victim);
    hand_wait(h, CORE_SECONDS(3));
    assert_int_equal(dials_to(h, &victim), 2);       /* nobody answered yet */
    for (uint32_t round = 1; round <= 60; round++) { /* five minutes; other ports are the same victim */
        victim.port = (uint16_t)(443 + round);
        wait_failing(h, CORE_SECONDS(5));
        for (uint32_t i = 0; i < 10; i++)
            gossip(h, c[i], 1000 + 80 * round + 8 * i, &victim);
    }
    assert_true(dials_to(h, &victim) <= 6); /* failed before: 256 and more */
    struct net_addr other = global(201, 443);
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t key[NODE_KEY_SIZE];
        key_of(key, 90000 + i);
        xfer_swarm_peer(h->x, h->now, c[0]->swarm->number, key, &other, XFER_SOURCE_DHT, &h->out);
        hand_drain(h);
    }
    assert_true(dials_to(h, &other) > 0); /* records are another matter */
    stop(h);
}

/* Rule: strangers who open our content cannot take all the channels: some are kept for the sources we know
 * of. */
static void channels_are_kept_for_known_sources(void **state)
{
    (void)state;
    struct hand *h = start();
    uint32_t w = hand_swarm(h, 1, 10 * MB, false, 0);
    for (uint8_t i = 1; i <= 40; i++)
        hand_open(h, hand_peer_home(h, i), w, 0);
    assert_int_equal(swarm_get(h->x, w)->channel_count, 40);
    for (uint32_t i = 0; i < 20; i++)
        tell(h, w, i, XFER_SOURCE_DHT);
    hand_wait(h, CORE_MS(10));
    assert_int_equal(h->dials, 8); /* failed before: 0 */
    stop(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gossip_leaves_places_to_others),
        cmocka_unit_test(a_link_always_has_a_place),
        cmocka_unit_test(a_failing_one_gives_way_to_its_like),
        cmocka_unit_test(records_move_addresses_and_hearsay_does_not),
        cmocka_unit_test(gossip_is_looked_at),
        cmocka_unit_test(failing_sources_are_tried_less_and_forgotten),
        cmocka_unit_test(parts_of_a_tree_share_their_sources),
        cmocka_unit_test(best_known_first),
        cmocka_unit_test(hearsay_is_dialled_slowly),
        cmocka_unit_test(hearsay_is_no_weapon),
        cmocka_unit_test(channels_are_kept_for_known_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
