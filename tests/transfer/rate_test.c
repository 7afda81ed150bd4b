/* Rates: a cap is kept within a hundredth in the mean and saves up a tenth of a second at most; a meter shows
 * what people would call the rate; a flow is quick up and slow down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "transfer/rate.h"

#define START CORE_SECONDS(5)

/* Spends `unit` whenever the bucket is open, waking when it says so. Returns what was sent; the wakes that
 * found it shut are counted. */
static uint64_t run(struct bucket *b, core_time from, core_time to, int64_t unit, uint32_t *shut)
{
    uint64_t sent = 0;
    for (core_time now = bucket_next(b, from); now <= to; now = bucket_next(b, now)) {
        if (!bucket_open(b, now)) {
            (*shut)++;
            continue;
        }
        while (bucket_open(b, now)) {
            bucket_spend(b, unit);
            sent += (uint64_t)unit;
        }
    }
    return sent;
}

static void test_mean_is_kept_whatever_the_unit(void **state)
{
    (void)state;
    static const uint64_t rates[] = {3, 1000, 65537, 999983, 1000000, 125000000};
    static const int64_t units[] = {100, 16384, 65536};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            if (rates[r] / (uint64_t)units[u] > 10000)
                continue; /* each refill may lose a microsecond: too much of so short a time */
            struct bucket b;
            uint32_t shut = 0;
            bucket_set(&b, START, rates[r]);
            uint64_t sent = run(&b, START, START + CORE_SECONDS(100), units[u], &shut), due = rates[r] * 100;
            assert_true(sent + 1 + due / 100 >= due); /* not less by more than a hundredth */
            assert_true(sent <=
                        due + rates[r] / 10 + 1 + (uint64_t)units[u]); /* nor more than a burst and a unit */
            assert_int_equal(shut, 0); /* and it is open when it said it would be */
        }
    }
}

static void test_idle_saves_a_tenth_of_a_second(void **state)
{
    (void)state;
    struct bucket b;
    uint64_t burst = 0;
    bucket_set(&b, START, 1000000);
    core_time later = START + CORE_HOURS(1);
    while (bucket_open(&b, later)) {
        bucket_spend(&b, 1000);
        burst += 1000;
    }
    assert_in_range(burst, 100000, 101000);
    assert_false(bucket_open(&b, later)); /* time stands still: nothing more */
    bucket_spend(&b, -5000);              /* what was not sent after all is given back */
    assert_true(bucket_open(&b, later));
}

static void test_no_cap_and_the_greatest(void **state)
{
    (void)state;
    struct bucket b;
    bucket_set(&b, START, 0);
    bucket_spend(&b, INT64_MAX);
    bucket_spend(&b, INT64_MAX);
    assert_true(bucket_open(&b, START));
    assert_int_equal(bucket_next(&b, START), START);
    bucket_set(&b, START, UINT64_MAX);
    assert_false(bucket_open(&b, START));
    assert_true(bucket_open(&b, START + CORE_MS(1)));
    assert_true(bucket_open(&b, START + CORE_HOURS(1000)));
    /* a debt that takes long to pay is a time in the future, not one that wrapped */
    bucket_set(&b, START, 1);
    bucket_spend(&b, INT64_MAX / 2);
    assert_true(bucket_next(&b, START) > START + CORE_SECONDS(3599));
}

static void test_meter(void **state)
{
    (void)state;
    struct meter m;
    memset(&m, 0, sizeof m);
    assert_int_equal(meter_rate(&m, START), 0);
    core_time now = START;
    for (int i = 0; i < 200; i++, now += CORE_MS(100))
        meter_add(&m, now, 100000);
    assert_in_range(meter_rate(&m, now), 850000, 1150000);
    assert_true(meter_rate(&m, now + CORE_SECONDS(2)) < 600000);
    assert_true(meter_rate(&m, now + CORE_SECONDS(60)) < 10000);
    meter_add(&m, START, 1); /* a clock that went back is not an enormous rate */
    assert_true(meter_rate(&m, START + CORE_SECONDS(4)) < 1150000);
}

static void test_flow_up_at_once_down_slowly(void **state)
{
    (void)state;
    struct flow f;
    memset(&f, 0, sizeof f);
    flow_start(&f, START);
    assert_false(flow_add(&f, START + CORE_MS(19), 20000, CORE_MS(1))); /* too short to mean anything */
    assert_true(flow_add(&f, START + CORE_MS(20), 0, CORE_MS(1)));
    assert_int_equal(f.rate, 1000000);
    core_time now = START + CORE_MS(20);
    assert_false(flow_add(&f, now + CORE_MS(99), 1, CORE_MS(100))); /* not before a round trip has passed */
    assert_true(flow_add(&f, now + CORE_MS(100), 399999, CORE_MS(100)));
    assert_int_equal(f.rate, 4000000);
    now += CORE_MS(100);
    assert_true(flow_add(&f, now + CORE_MS(100), 0, CORE_MS(1)));
    assert_int_equal(f.rate, 3500000); /* an eighth of the way */
    for (int i = 2; i < 300; i++)
        flow_add(&f, now + (core_time)i * CORE_MS(100), 0, CORE_MS(1));
    assert_true(f.rate >= 1 && f.rate < 20); /* known, however slow: 0 would mean not known */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean_is_kept_whatever_the_unit),
        cmocka_unit_test(test_idle_saves_a_tenth_of_a_second),
        cmocka_unit_test(test_no_cap_and_the_greatest),
        cmocka_unit_test(test_meter),
        cmocka_unit_test(test_flow_up_at_once_down_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
