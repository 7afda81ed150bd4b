/* The flow-mode bandwidth against exact max-min fairness (progressive filling in floating point) at 200
 * peers, and its promises in between: no link overbooked at any time, nothing depends on when idle flows are
 * taken out. */
#include "simnet/engine/random.h"
#include "simnet/flow/bandwidth.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PEERS 200
#define FLOWS 1600

struct exact {
    uint32_t up, down;
    double cap, rate;
    bool fixed;
};

/* Raise all rates together; whoever meets a full link or the own cap stays there. */
static void exact_max_min(struct exact *f, uint32_t flows, const uint64_t *capacity, uint32_t links)
{
    double *left = calloc(links, sizeof *left);
    uint32_t *open = calloc(links, sizeof *open);
    double level = 0;
    for (uint32_t remaining = flows; remaining > 0;) {
        for (uint32_t l = 0; l < links; l++) {
            left[l] = (double)capacity[l];
            open[l] = 0;
        }
        for (uint32_t i = 0; i < flows; i++) {
            if (f[i].fixed) {
                left[f[i].up] -= f[i].rate;
                left[f[i].down] -= f[i].rate;
            } else {
                open[f[i].up]++;
                open[f[i].down]++;
            }
        }
        double next = 1e18;
        for (uint32_t l = 0; l < links; l++)
            if (open[l] && left[l] / open[l] < next)
                next = left[l] / open[l];
        for (uint32_t i = 0; i < flows; i++)
            if (!f[i].fixed && f[i].cap < next)
                next = f[i].cap;
        level = next > level ? next : level;
        for (uint32_t i = 0; i < flows; i++) {
            if (f[i].fixed)
                continue;
            bool full = left[f[i].up] / open[f[i].up] <= level * (1 + 1e-9) ||
                        left[f[i].down] / open[f[i].down] <= level * (1 + 1e-9) ||
                        f[i].cap <= level * (1 + 1e-9);
            if (full) {
                f[i].fixed = true;
                f[i].rate = level;
                remaining--;
            }
        }
    }
    free(left);
    free(open);
}

static void nothing(void *context, uint32_t flow)
{
    (void)flow;
    ++*(uint32_t *)context;
}

/* Quanta until nobody is touched any more. */
static uint32_t settle(struct bandwidth *b)
{
    uint32_t changes = 0, quanta = 0;
    for (; bandwidth_dirty(b) && quanta < 400; quanta++) {
        bandwidth_quantum(b, nothing, &changes);
        bandwidth_check(b);
    }
    return quanta;
}

static void compare(struct bandwidth *b, struct exact *f, const uint32_t *number, uint32_t flows,
                    const uint64_t *capacity, uint32_t links)
{
    exact_max_min(f, flows, capacity, links);
    for (uint32_t i = 0; i < flows; i++) {
        double ours = (double)bandwidth_rate(b, number[i]);
        if (ours < f[i].rate * 0.99 - 16 || ours > f[i].rate * 1.01 + 16)
            fail_msg("flow %u: ours %.0f, exact %.0f", i, ours, f[i].rate);
    }
}

static void test_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sim_random r;
        sim_random_init(&r, seed, 0, SIM_DRAW_FLOW);
        struct bandwidth *b = bandwidth_new(2 * PEERS, 0);
        uint64_t capacity[2 * PEERS];
        for (uint32_t i = 0; i < PEERS; i++) {
            capacity[2 * i] = 20000 + sim_random_below(&r, 500000);
            capacity[2 * i + 1] = capacity[2 * i] * (1 + sim_random_below(&r, 8));
            bandwidth_link(b, 2 * i, capacity[2 * i]);
            bandwidth_link(b, 2 * i + 1, capacity[2 * i + 1]);
        }
        static struct exact f[FLOWS];
        static uint32_t number[FLOWS];
        for (uint32_t i = 0; i < FLOWS; i++) {
            uint32_t from = (uint32_t)sim_random_below(&r, PEERS),
                     to = (uint32_t)sim_random_below(&r, PEERS - 1);
            uint64_t cap = 10000 + sim_random_below(&r, 200000);
            to += to >= from;
            f[i] = (struct exact){.up = 2 * from, .down = 2 * to + 1, .cap = (double)cap};
            number[i] = bandwidth_open(b, 2 * from, 2 * to + 1);
            bandwidth_start(b, number[i], cap);
            bandwidth_check(b);
        }
        assert_true(settle(b) < 400);
        compare(b, f, number, FLOWS, capacity, 2 * PEERS);
        /* Half of them go; the others take what is free. */
        for (uint32_t i = 0; i < FLOWS; i += 2) {
            if (i % 4 == 0)
                bandwidth_stop(b, number[i]);
            else
                bandwidth_close(b, number[i]);
        }
        assert_true(settle(b) < 400);
        for (uint32_t i = 1; i < FLOWS; i += 2) {
            f[i / 2] = (struct exact){.up = f[i].up, .down = f[i].down, .cap = f[i].cap};
            number[i / 2] = number[i];
        }
        compare(b, f, number, FLOWS / 2, capacity, 2 * PEERS);
        bandwidth_free(b);
    }
}

static void test_small(void **state)
{
    (void)state;
    uint32_t changes = 0;
    struct bandwidth *b = bandwidth_new(6, 0);
    bandwidth_link(b, 0, 1000);
    bandwidth_link(b, 3, 300);
    uint32_t slow = bandwidth_open(b, 0, 3), fast = bandwidth_open(b, 0, 5);
    bandwidth_start(b, slow, BANDWIDTH_ENDLESS);
    bandwidth_start(b, fast, BANDWIDTH_ENDLESS);
    assert_true(bandwidth_rate(b, slow) > 0);
    assert_true(bandwidth_rate(b, fast) > 0);
    settle(b);
    assert_int_equal(bandwidth_rate(b, slow), 300);
    assert_int_equal(bandwidth_rate(b, fast), 700);
    bandwidth_cap(b, fast, 50);
    settle(b);
    assert_int_equal(bandwidth_rate(b, fast), 50);
    bandwidth_stop(b, slow); /* a pause within one quantum costs nothing */
    assert_int_equal(bandwidth_rate(b, slow), 0);
    bandwidth_start(b, slow, BANDWIDTH_ENDLESS);
    assert_true(bandwidth_rate(b, slow) >= 300);
    bandwidth_stop(b, slow);
    bandwidth_quantum(b, nothing, &changes);
    bandwidth_cap(b, fast, BANDWIDTH_ENDLESS);
    settle(b);
    assert_int_equal(bandwidth_rate(b, fast), 1000);
    bandwidth_close(b, slow);
    assert_int_equal(bandwidth_open(b, 2, 5), slow); /* the number is used again */
    bandwidth_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
