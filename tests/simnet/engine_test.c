/* The order of events against a sorted list, deadlines moved at random, draws that do not disturb each other,
 * our log and pow against known values, exact quantiles. What is repeatable everywhere hangs on these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "simnet/engine/events.h"
#include "simnet/engine/random.h"
#include "simnet/report/metrics.h"

#define EVENTS 5000
#define NODES  200

static int by_order(const void *a, const void *b)
{
    const struct sim_event *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static void events_come_in_order(void **state)
{
    static struct sim_event all[EVENTS];
    struct sim_events *q = sim_events_new(NODES);
    struct sim_random r;
    struct sim_event e;
    (void)state;
    sim_random_init(&r, 1, 2, 3);
    for (uint32_t i = 0; i < EVENTS; i++) {
        all[i] = (struct sim_event){.at = 200000 * sim_random_below(&r, 50), /* soon and later */
                                    .to = (uint32_t)sim_random_below(&r, 5),
                                    .from = (uint32_t)sim_random_below(&r, 5),
                                    .number = i,
                                    .kind = 1};
        sim_events_push(q, &all[i]);
        if (i % 97 == 0)
            sim_events_check(q);
    }
    qsort(all, EVENTS, sizeof all[0], by_order);
    for (uint32_t i = 0; i < EVENTS; i++) {
        assert_true(sim_events_pop(q, CORE_SECONDS(10), &e));
        assert_int_equal(e.number, all[i].number);
    }
    assert_false(sim_events_pop(q, CORE_NEVER, &e));
    sim_events_free(q, NULL, NULL);
}

static void deadlines_move(void **state)
{
    core_time model[NODES];
    struct sim_events *q = sim_events_new(NODES);
    struct sim_random r;
    struct sim_event e;
    (void)state;
    sim_random_init(&r, 4, 5, 6);
    for (uint32_t i = 0; i < NODES; i++)
        model[i] = CORE_NEVER;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t node = (uint32_t)sim_random_below(&r, NODES);
        model[node] = sim_random_below(&r, 5) ? sim_random_below(&r, 1000) : CORE_NEVER;
        sim_events_deadline(q, node, model[node]);
        if (i % 331 == 0)
            sim_events_check(q);
        if (i % 7)
            continue;
        uint32_t first = 0;
        for (uint32_t k = 1; k < NODES; k++)
            first = model[k] < model[first] ? k : first;
        assert_int_equal(sim_events_next(q), model[first]);
        if (model[first] == CORE_NEVER)
            continue;
        if (model[first] > 0)
            assert_false(sim_events_pop(q, model[first] - 1, &e));
        assert_true(sim_events_pop(q, model[first], &e));
        assert_int_equal(e.to, first);
        assert_int_equal(e.kind, 0);
        model[first] = CORE_NEVER;
    }
    sim_events_free(q, NULL, NULL);
}

static void an_event_comes_before_the_deadline_of_its_time(void **state)
{
    struct sim_events *q = sim_events_new(4);
    struct sim_event e = {.at = 10, .to = 2, .from = 1, .kind = 1};
    (void)state;
    sim_events_push(q, &e);
    for (uint32_t i = 0; i < 4; i++)
        sim_events_deadline(q, i, 10);
    const uint32_t order[] = {0, 1, 2, 2, 3};
    for (int i = 0; i < 5; i++) {
        assert_true(sim_events_pop(q, 10, &e));
        assert_int_equal(e.to, order[i]);
        assert_int_equal(e.kind, i == 2);
    }
    sim_events_free(q, NULL, NULL);
}

static void streams_do_not_disturb_each_other(void **state)
{
    struct sim_random a, b, again;
    (void)state;
    sim_random_init(&a, 7, 1, SIM_DRAW_LOAD);
    sim_random_init(&b, 7, 2, SIM_DRAW_LOAD);
    sim_random_init(&again, 7, 1, SIM_DRAW_LOAD);
    for (int i = 0; i < 100; i++) {
        uint64_t v = sim_random_u64(&a);
        for (int burnt = 0; burnt < 20; burnt++)
            assert_int_not_equal(sim_random_u64(&b), v);
        assert_int_equal(sim_random_u64(&again), v);
    }
}

static void near(double got, double want)
{
    double off = got - want;
    double bound = 1e-12 * (want < 0 ? -want : want) + 1e-13;
    assert_true(off < bound && -off < bound);
}

static void log_and_pow(void **state)
{
    (void)state;
    near(sim_log(1), 0);
    near(sim_log(2), 0.69314718055994530942);
    near(sim_log(10), 2.30258509299404568402);
    near(sim_log(1e-16), -36.84136148790473094);
    near(sim_exp(1), 2.71828182845904523536);
    near(sim_exp(-20), 2.06115362243855782e-09);
    near(sim_pow(2, 10), 1024);
    near(sim_pow(3, 0.5), 1.73205080756887729353);
    near(sim_pow(0.1, 1.626), 0.02365919697485759);
    near(sim_sqrt(2), 1.41421356237309504880);
}

/* The same bits everywhere: if this changes, every golden hash does. */
static void bits_are_pinned(void **state)
{
    struct sim_random r;
    struct sim_trace t;
    (void)state;
    sim_random_init(&r, 1, 2, 3);
    sim_trace_init(&t);
    for (int i = 0; i < 1000; i++) {
        double v[2] = {sim_draw_weibull(&r, 0.615, 1e6), sim_draw_normal(&r)};
        uint64_t bits[2];
        memcpy(bits, v, sizeof bits);
        sim_trace_word(&t, bits[0]);
        sim_trace_word(&t, bits[1]);
    }
    assert_int_equal(t.hash, 0xd4fe578bb2c14b6e);
}

static void a_mean_is_met(void **state)
{
    struct sim_random r;
    double sum = 0;
    (void)state;
    sim_random_init(&r, 1, 2, 4);
    for (int i = 0; i < 100000; i++)
        sum += sim_draw_weibull(&r, 0.5, 5000); /* mean = scale * gamma(3) = 10,000 */
    assert_in_range((uint64_t)(sum / 100000), 9700, 10300);
}

static void quantiles_are_exact(void **state)
{
    struct sim_metrics *m = sim_metrics_new();
    (void)state;
    uint32_t id = sim_metric_declare(m, "lookup.time", SIM_SAMPLE, SIM_UNIT_US);
    assert_int_equal(sim_metric_declare(m, "lookup.time", SIM_SAMPLE, SIM_UNIT_US), id);
    assert_int_equal(sim_metric_quantile(m, id, 500000), 0);
    for (uint64_t v = 1000; v >= 1; v--)
        sim_metric_add(m, id, v);
    assert_int_equal(sim_metric_quantile(m, id, 500000), 500);
    assert_int_equal(sim_metric_quantile(m, id, 990000), 990);
    assert_int_equal(sim_metric_quantile(m, id, 1000000), 1000);
    assert_int_equal(sim_metric_quantile(m, id, 0), 1);
    sim_metrics_on(m, false);
    sim_metric_add(m, id, 5000);
    assert_int_equal(sim_metric_quantile(m, id, 1000000), 1000);
    sim_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order),
        cmocka_unit_test(deadlines_move),
        cmocka_unit_test(an_event_comes_before_the_deadline_of_its_time),
        cmocka_unit_test(streams_do_not_disturb_each_other),
        cmocka_unit_test(log_and_pow),
        cmocka_unit_test(bits_are_pinned),
        cmocka_unit_test(a_mean_is_met),
        cmocka_unit_test(quantiles_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
