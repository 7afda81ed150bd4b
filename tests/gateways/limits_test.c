/* Purpose: one address never has more of the gateways than it may, all together neither, bans last as long as
 * they say, guessing passwords gets slow, and no crowd of addresses makes the table grow or forget what is
 * open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "gateways/limits.h"
#include "node/base/err.h"
#include "node/base/rng.h"

static struct limits *make(uint32_t all, uint32_t each, uint32_t addresses)
{
    struct limits_config c;
    limits_config_default(&c);
    c.open_max = all;
    c.open_per_address_max = each;
    c.addresses_max = addresses;
    memcpy(c.seed, "sixteen bytes ok", 16);
    struct limits *l = limits_new(&core_alloc_libc, &c);
    assert_non_null(l);
    return l;
}

static struct net_addr v4(unsigned n)
{
    return net_addr_v4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 5000);
}

static struct net_addr parse(const char *text)
{
    struct net_addr a;
    assert_int_equal(net_addr_parse(&a, text), 0);
    return a;
}

static int enter(struct limits *l, core_time now, struct net_addr from)
{
    core_time until;
    return limits_enter(l, now, &from, &until);
}

static void connections(void **state)
{
    (void)state;
    struct limits *l = make(4, 2, 8);
    struct net_addr a = v4(1), b = v4(2), c = v4(3);
    assert_int_equal(enter(l, 0, a), 0);
    assert_int_equal(enter(l, 0, a), 0);
    assert_int_equal(enter(l, 0, a), ERR_BUSY);
    assert_int_equal(enter(l, 0, b), 0);
    assert_int_equal(enter(l, 0, b), 0);
    assert_int_equal(enter(l, 0, c), ERR_FULL);
    limits_check(l);
    limits_leave(l, &a);
    assert_int_equal(enter(l, 0, c), 0);
    limits_leave(l, &a);
    limits_leave(l, &b);
    limits_leave(l, &b);
    limits_leave(l, &c);
    assert_int_equal(limits_open(l), 0);
    limits_check(l);
    limits_free(l);
}

static void same_address(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"10.0.0.1:1", "10.0.0.1:2", true},
        {"10.0.0.1:1", "10.0.0.2:1", false},
        {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:7", true},
        {"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
        {"[::5]:1", "0.0.0.5:1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct limits *l = make(10, 1, 8);
        struct net_addr a = parse(cases[i].a), b = parse(cases[i].b);
        assert_int_equal(enter(l, 0, a), 0);
        int r = enter(l, 0, b);
        if ((r == ERR_BUSY) != cases[i].same)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        limits_leave(l, &a);
        if (r == 0)
            limits_leave(l, &b);
        limits_check(l);
        limits_free(l);
    }
}

static void loopback(void **state)
{
    (void)state;
    struct limits *l = make(3, 1, 8);
    struct net_addr a = parse("127.0.0.1:1"), six = parse("[::1]:1"), far = v4(1);
    assert_int_equal(enter(l, 0, a), 0);
    assert_int_equal(enter(l, 0, a), 0);
    assert_false(limits_ban(l, 0, &a, 100));
    assert_int_equal(enter(l, 0, six), 0);
    assert_int_equal(enter(l, 0, a), ERR_FULL); /* in all it counts */
    assert_int_equal(enter(l, 0, far), ERR_FULL);
    limits_leave(l, &a);
    limits_leave(l, &a);
    limits_leave(l, &six);
    struct limits_config c;
    limits_config_of(l, &c);
    c.loopback_free = false;
    limits_change(l, &c);
    assert_int_equal(enter(l, 0, a), 0);
    assert_int_equal(enter(l, 0, a), ERR_BUSY);
    assert_true(limits_ban(l, 0, &a, 100));
    assert_int_equal(enter(l, 0, a), ERR_PERMISSION);
    limits_leave(l, &a);
    limits_check(l);
    limits_free(l);
}

static void bans(void **state)
{
    (void)state;
    struct limits *l = make(10, 5, 3);
    struct net_addr a = v4(1), b = v4(2), got[4];
    core_time until = 7, times[4];
    assert_int_equal(enter(l, 10, a), 0);
    assert_true(limits_ban(l, 10, &a, 100)); /* while it has a connection */
    assert_int_equal(limits_enter(l, 99, &a, &until), ERR_PERMISSION);
    assert_int_equal(until, 100);
    assert_int_equal(limits_bans(l, 99, got, times, 4), 1);
    assert_true(net_addr_same_ip(&got[0], &a));
    limits_leave(l, &a);
    assert_int_equal(limits_bans(l, 99, got, times, 4), 1);
    assert_int_equal(limits_bans(l, 100, got, times, 4), 0);
    assert_int_equal(limits_enter(l, 100, &a, &until), 0); /* over */
    assert_int_equal(until, 0);
    limits_leave(l, &a);
    assert_true(limits_ban(l, 100, &b, CORE_NEVER));
    assert_int_equal(enter(l, CORE_HOURS(10000), b), ERR_PERMISSION);
    assert_true(limits_ban(l, 200, &b, 0)); /* lifted */
    assert_int_equal(enter(l, 200, b), 0);
    limits_leave(l, &b);
    limits_check(l);
    /* Guessers push out guessers, not bans. */
    assert_true(limits_ban(l, 200, &a, CORE_NEVER));
    for (unsigned i = 10; i < 50; i++) {
        struct net_addr g = v4(i);
        assert_int_equal(limits_attempt(l, 200, &g, &until), 0);
        limits_check(l);
    }
    assert_int_equal(enter(l, 300, a), ERR_PERMISSION);
    limits_free(l);
}

static void attempts(void **state)
{
    (void)state;
    struct limits *l = make(10, 5, 4);
    struct net_addr a = parse("127.0.0.1:9"), other = v4(3);
    core_time now = CORE_HOURS(1), until;
    for (int i = 0; i < 5; i++)
        assert_int_equal(limits_attempt(l, now, &a, &until), 0);
    core_time wait = CORE_SECONDS(1);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(limits_attempt(l, now, &a, &until), ERR_BUSY);
        assert_int_equal(until, now + wait);
        assert_int_equal(limits_attempt_at(l, now, &a), now + wait);
        if (i == 0) /* one address does not slow another */
            assert_int_equal(limits_attempt(l, now, &other, &until), 0);
        now = limits_attempt_at(l, now, &a);
        assert_int_equal(limits_attempt(l, now, &a, &until), 0);
        wait = core_time_min(2 * wait, CORE_MINUTES(5));
        limits_check(l);
    }
    limits_attempt_good(l, &a);
    assert_int_equal(limits_attempt_at(l, now, &a), now);
    for (int i = 0; i < 5; i++)
        assert_int_equal(limits_attempt(l, now, &a, &until), 0);
    assert_int_equal(limits_attempt(l, now + CORE_MINUTES(15), &a, &until), 0); /* forgotten: five again */
    assert_int_equal(limits_attempt(l, now + CORE_MINUTES(15), &a, &until), 0);
    limits_free(l);
}

/* All calls at random against a model that is as simple as can be, with far more addresses than places. */
static void at_random(void **state)
{
    enum { ADDRESSES = 40, PLACES = 16, EACH = 3, ALL = 30 };
    (void)state;
    struct limits *l = make(ALL, EACH, PLACES);
    uint32_t open[ADDRESSES] = {0}, total = 0, busy = 0;
    struct rng rng;
    rng_init(&rng, 5, 0);
    for (core_time now = 1; now < 20000; now++) {
        uint32_t i = (uint32_t)rng_below(&rng, ADDRESSES);
        struct net_addr a = v4(i);
        core_time until;
        switch (rng_below(&rng, 5)) {
        case 0:
        case 1: {
            int r = limits_enter(l, now, &a, &until);
            if (r == 0) {
                busy += open[i]++ == 0;
                total++;
            } else if (r == ERR_FULL) {
                assert_true(total == ALL || busy == PLACES);
            } else if (r == ERR_BUSY) {
                assert_int_equal(open[i], EACH);
            } else {
                assert_int_equal(r, ERR_PERMISSION);
                assert_true(until > now);
            }
            break;
        }
        case 2:
            if (open[i]) {
                limits_leave(l, &a);
                busy -= --open[i] == 0;
                total--;
            }
            break;
        case 3:
            limits_ban(l, now, &a, rng_below(&rng, 2) ? now + rng_below(&rng, 50) : 0);
            break;
        default:
            if (limits_attempt(l, now, &a, &until) == 0 && rng_below(&rng, 2))
                limits_attempt_good(l, &a);
        }
        assert_int_equal(limits_open(l), total);
        limits_check(l);
        assert_true(open[i] <= EACH && total <= ALL);
    }
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections), cmocka_unit_test(same_address), cmocka_unit_test(loopback),
        cmocka_unit_test(bans),        cmocka_unit_test(attempts),     cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
