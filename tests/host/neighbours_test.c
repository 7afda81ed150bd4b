/* Neighbours: the announcement's format with every way to be refused, and real multicast on this machine's loopback, where several nodes
 * share the port and find each other. The core is replaced by a list of the hints it was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <uv.h>
#include "node/base/err.h"
#include "node/channel/announce.h"
#include "node/host/log.h"
#include "node/host/neighbours.h"
#include "node/host/streams.h"

/* ---- the core's place ---- */

#define HINTS_MAX 64
static struct {
    struct node *node;
    struct node_addr peer;
} hints[HINTS_MAX];
static unsigned hint_count;

void node_hint(struct node *n, core_time now, const struct node_addr *peer, bool local, struct effects *out)
{
    (void)now;
    (void)out;
    assert_true(local);
    assert_true(hint_count < HINTS_MAX);
    hints[hint_count].node = n;
    hints[hint_count++].peer = *peer;
}
void node_wake(struct node *n, core_time now, struct effects *out)
{
    (void)n;
    (void)now;
    (void)out;
}
bool node_route(struct node *n, core_time now, struct effects *out)
{
    (void)n;
    (void)now;
    (void)out;
    return false;
}
core_time node_deadline(const struct node *n)
{
    (void)n;
    return CORE_NEVER;
}
void streams_effect(struct streams *s, const struct effect *x)
{
    (void)s;
    (void)x;
}

/* ---- the announcement ---- */

struct party {
    struct node_identity me;
    struct network network;
    struct host_core core;
    struct neighbours *neighbours;
};

static void party_init(struct party *p, uint8_t number)
{
    uint8_t seed[32] = {number};
    memset(p, 0, sizeof *p);
    core_crypto_real.identity(&p->me, seed);
    memset(p->network.id, 0xaa, NETWORK_ID_SIZE);
}

static void encode(const struct party *p, uint8_t out[ANNOUNCE_SIZE])
{
    struct announce a = {.port = 7000, .unix_ms = 1700000000000};
    announce_encode(out, &a, &p->me, &p->network, &core_crypto_real);
}

static int decode(const struct party *p, const uint8_t *data, size_t size)
{
    struct announce a;
    int rc = announce_decode(&a, data, size, &p->network, &core_crypto_real);
    return rc ? rc : announce_verify(data, &core_crypto_real);
}

static void an_announcement_says_who_and_where(void **state)
{
    struct party p;
    struct announce a;
    uint8_t data[ANNOUNCE_SIZE];
    (void)state;
    party_init(&p, 1);
    encode(&p, data);
    assert_int_equal(announce_decode(&a, data, sizeof data, &p.network, &core_crypto_real), 0);
    assert_int_equal(announce_verify(data, &core_crypto_real), 0);
    assert_memory_equal(a.key, p.me.key, NODE_KEY_SIZE);
    assert_int_equal(a.port, 7000);
    assert_true(a.unix_ms == 1700000000000);
}

static void every_flipped_bit_is_refused(void **state)
{
    struct party p;
    uint8_t data[ANNOUNCE_SIZE];
    (void)state;
    party_init(&p, 1);
    encode(&p, data);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int expected = bit < 8 ? ERR_VERSION : bit / 8 < ANNOUNCE_SIZE - SIGNATURE_SIZE ? ERR_NETWORK : ERR_AUTH;
        assert_int_equal(decode(&p, data, sizeof data), expected);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void other_sizes_networks_and_forgers_are_refused(void **state)
{
    struct party p, other;
    uint8_t data[ANNOUNCE_SIZE + 1] = {0};
    struct announce a = {.port = 0};
    (void)state;
    party_init(&p, 1);
    encode(&p, data);
    for (size_t size = 0; size <= sizeof data; size++)
        assert_int_equal(decode(&p, data, size), size == ANNOUNCE_SIZE ? 0 : ERR_MALFORMED);
    party_init(&other, 2);
    other.network.secret[5] = 1;
    assert_int_equal(decode(&other, data, ANNOUNCE_SIZE), ERR_NETWORK);
    /* a member that announces somebody else */
    memcpy(other.me.key, p.me.key, NODE_KEY_SIZE);
    other.network = p.network;
    encode(&other, data);
    assert_int_equal(decode(&p, data, ANNOUNCE_SIZE), ERR_AUTH);
    announce_encode(data, &a, &p.me, &p.network, &core_crypto_real);
    assert_int_equal(decode(&p, data, ANNOUNCE_SIZE), ERR_MALFORMED);
}

static void two_announcements_share_no_tag(void **state)
{
    struct party p;
    struct announce a = {.port = 7000, .unix_ms = 1};
    uint8_t first[ANNOUNCE_SIZE], second[ANNOUNCE_SIZE];
    (void)state;
    party_init(&p, 1);
    announce_encode(first, &a, &p.me, &p.network, &core_crypto_real);
    a.unix_ms = 2;
    announce_encode(second, &a, &p.me, &p.network, &core_crypto_real);
    assert_memory_not_equal(first + 1, second + 1, ANNOUNCE_TAG_SIZE);
}

/* ---- on loopback ---- */

static uv_loop_t loop;

static void party_start(struct party *p, uint8_t number, uint16_t port)
{
    struct net_addr v4 = net_addr_v4(127, 0, 0, 1, port), none = {{0}, 0};
    party_init(p, number);
    host_core_init(&p->core, &loop);
    p->core.me = &p->me;
    p->core.network = &p->network;
    p->core.crypto = &core_crypto_real;
    p->core.node = (struct node *)p; /* only its address is used */
    p->neighbours = neighbours_new(&p->core, &v4, &none);
}

static void party_stop(struct party *p)
{
    neighbours_close(p->neighbours);
    host_core_stop(&p->core);
}

static bool hinted(const struct party *to, const struct party *about, uint16_t port)
{
    struct net_addr expected = net_addr_v4(127, 0, 0, 1, port);
    for (unsigned i = 0; i < hint_count; i++) {
        if (hints[i].node == (struct node *)to && memcmp(hints[i].peer.key, about->me.key, 32) == 0 &&
            net_addr_equal(&hints[i].peer.addr, &expected))
            return true;
    }
    return false;
}

static void on_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until `done` or for at most `ms`; false when it was too late. */
static bool run_until(bool (*done)(void *), void *context, uint64_t ms)
{
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_late, ms, 0);
    while (!late && !done(context))
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    return !late;
}

static struct party a, b, stranger;

static bool both_met(void *context)
{
    (void)context;
    return hinted(&a, &b, 7002) && hinted(&b, &a, 7001);
}

static bool b_met(void *context)
{
    (void)context;
    return hinted(&a, &b, 7002);
}

static int loopback_setup(void **state)
{
    (void)state;
    hint_count = 0;
    return uv_loop_init(&loop);
}

static int loopback_teardown(void **state)
{
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    host_core_fini(&a.core);
    host_core_fini(&b.core);
    host_core_fini(&stranger.core);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&stranger, 0, sizeof stranger);
    return uv_loop_close(&loop);
}

static void nodes_of_one_machine_find_each_other_and_no_stranger(void **state)
{
    (void)state;
    party_start(&stranger, 3, 7003);
    stranger.network.id[0] = 0;
    party_start(&a, 1, 7001);
    party_start(&b, 2, 7002);
    bool started = a.neighbours && b.neighbours && stranger.neighbours;
    bool met = started && run_until(both_met, NULL, 10000);
    for (unsigned i = 0; i < hint_count; i++)
        assert_true(hints[i].node != (struct node *)&stranger && memcmp(hints[i].peer.key, stranger.me.key, 32) != 0);
    struct neighbours_totals totals = {0};
    if (started)
        neighbours_totals(a.neighbours, &totals);
    party_stop(&a);
    party_stop(&b);
    party_stop(&stranger);
    if (!started || totals.sent == 0)
        skip(); /* no multicast in this sandbox */
    assert_true(met);
    assert_true(totals.foreign >= 1);
    assert_int_equal(totals.bad, 0);
}

/* A member that floods: signatures are checked within a budget, one hint a name, and the loop goes on. */
static void a_flood_is_limited_and_a_replay_gives_no_second_hint(void **state)
{
    static uv_udp_t out; /* closed only after the test, which may be left by skip() */
    struct sockaddr_in group;
    struct neighbours_totals totals;
    (void)state;
    party_start(&a, 1, 7001);
    party_init(&b, 2);
    uv_ip4_addr("239.192.77.33", NEIGHBOURS_PORT, &group);
    uv_udp_init(&loop, &out);
    struct sockaddr_in any;
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_udp_bind(&out, (struct sockaddr *)&any, 0);
    uv_udp_set_multicast_interface(&out, "127.0.0.1");
    uint8_t data[ANNOUNCE_SIZE];
    bool sent = a.neighbours != NULL;
    for (int i = 0; i < 500 && sent; i++) {
        struct announce x = {.port = 7002, .unix_ms = (uint64_t)i / 2}; /* each twice */
        announce_encode(data, &x, &b.me, &b.network, &core_crypto_real);
        data[ANNOUNCE_SIZE - 1] ^= i >= 100; /* forged from here on */
        uv_buf_t buffer = uv_buf_init((char *)data, sizeof data);
        sent = uv_udp_try_send(&out, &buffer, 1, (struct sockaddr *)&group) == (int)sizeof data;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    bool met = sent && run_until(b_met, NULL, 10000);
    if (a.neighbours)
        neighbours_totals(a.neighbours, &totals);
    uv_close((uv_handle_t *)&out, NULL);
    party_stop(&a);
    host_core_init(&b.core, &loop); /* for teardown */
    host_core_stop(&b.core);
    if (!sent)
        skip();
    assert_true(met);
    assert_int_equal(hint_count, 1);
    assert_int_equal(totals.hints, 1);
    assert_true(totals.heard >= 400);
    assert_true(totals.limited >= 200);
    assert_true(totals.bad <= 64);
}

static void nothing_to_announce_starts_nothing(void **state)
{
    struct net_addr none = {{0}, 0};
    (void)state;
    party_init(&a, 1);
    host_core_init(&a.core, &loop);
    a.core.me = &a.me;
    a.core.network = &a.network;
    a.core.crypto = &core_crypto_real;
    assert_null(neighbours_new(&a.core, &none, &none));
    neighbours_close(NULL);
    host_core_stop(&a.core);
}

/* A link-local group cannot be bound on Linux without an interface; the family must open all the same. Loopback has no IPv6 multicast route, so
 * nothing is sent here. */
static void ipv6_takes_part_alone(void **state)
{
    struct net_addr none = {{0}, 0}, v6 = {.ip = {[15] = 1}, .port = 7001};
    uv_udp_t probe;
    struct sockaddr_in6 any;
    (void)state;
    party_init(&a, 1);
    host_core_init(&a.core, &loop);
    a.core.me = &a.me;
    a.core.network = &a.network;
    a.core.crypto = &core_crypto_real;
    uv_ip6_addr("::1", 0, &any);
    uv_udp_init(&loop, &probe);
    bool possible = uv_udp_bind(&probe, (struct sockaddr *)&any, 0) == 0;
    uv_close((uv_handle_t *)&probe, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    struct neighbours *n = neighbours_new(&a.core, &none, &v6);
    if (possible)
        assert_non_null(n);
    neighbours_close(n);
    host_core_stop(&a.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_announcement_says_who_and_where),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(other_sizes_networks_and_forgers_are_refused),
        cmocka_unit_test(two_announcements_share_no_tag),
        cmocka_unit_test_setup_teardown(nodes_of_one_machine_find_each_other_and_no_stranger, loopback_setup, loopback_teardown),
        cmocka_unit_test_setup_teardown(a_flood_is_limited_and_a_replay_gives_no_second_hint, loopback_setup, loopback_teardown),
        cmocka_unit_test_setup_teardown(ipv6_takes_part_alone, loopback_setup, loopback_teardown),
        cmocka_unit_test_setup_teardown(nothing_to_announce_starts_nothing, loopback_setup, loopback_teardown),
    };
    log_setup(LOG_DEBUG, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
