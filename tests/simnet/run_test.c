/* Whole runs through the command's own path: the same seed gives the same trace hash and figures, in this
 * process and in processes of their own; another seed another one; the report is written once and never over
 * something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/cli/cli.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sim_asked small(void)
{
    struct sim_asked a = {.scenario = "hello", .nodes = "20", .jobs = 2, .first_seed = 1, .last_seed = 3};
    a.set[a.sets++] = "scenario.measure=60s";
    a.seeds_given = a.quiet = true;
    return a;
}

static void same_seed_same_story(void **state)
{
    struct sim_asked a = small();
    struct sim_outcome *all = calloc(4, sizeof *all);
    struct sim_config c;
    char why[SIM_WHY_MAX];
    (void)state;
    assert_non_null(all);
    assert_int_equal(sim_runs(&a, NULL, all, why), 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct sim_metrics *m = sim_metrics_new();
        assert_int_equal(sim_asked_config(&a, i + 1, &c, why), 0);
        assert_int_equal(sim_run_once(&c, m, NULL, false, &all[3]), 0);
        assert_false(all[3].failed);
        assert_true(all[3].hash == all[i].hash);
        assert_true(all[3].events == all[i].events);
        assert_int_equal(all[3].figures, all[i].figures);
        assert_memory_equal(all[3].figure, all[i].figure, all[i].figures * sizeof *all[i].figure);
        assert_true(i == 0 || all[i].hash != all[0].hash);
        sim_metrics_free(m);
    }
    free(all);
}

static void intervals_and_verdicts(void **state)
{
    struct sim_outcome *all = calloc(3, sizeof *all);
    struct sim_config c;
    char why[SIM_WHY_MAX];
    enum sim_unit unit;
    double mean, half;
    (void)state;
    assert_non_null(all);
    sim_config_default(&c);
    for (int i = 0; i < 3; i++) {
        all[i].figures = 1;
        all[i].figure[0] = (struct sim_figure){.name = "lookup.time",
                                               .kind = SIM_SAMPLE,
                                               .unit = SIM_UNIT_US,
                                               .value = 100000 + 10000 * (uint64_t)i,
                                               .p99 = 900000};
    }
    /* Mean 110 ms, deviation 10 ms, t = 4.303: 4.303 * 10 / sqrt(3) = 24.84 ms. */
    assert_true(sim_outcomes_interval(all, 3, "lookup.time", &unit, &mean, &half));
    assert_true(mean > 109999 && mean < 110001 && half > 24830 && half < 24850);
    assert_true(sim_outcomes_ok(&c, all, 3));
    assert_int_equal(sim_config_set(&c, "expect.lookup.time", "<= 110ms", why), 0);
    assert_true(sim_outcomes_ok(&c, all, 3));
    assert_int_equal(sim_config_set(&c, "expect.lookup.time", "< 110ms", why), 0);
    assert_false(sim_outcomes_ok(&c, all, 3));
    assert_int_equal(sim_config_set(&c, "expect.lookup.time", "> 99%", why), 0);
    assert_false(sim_outcomes_ok(&c, all, 3)); /* a share is no time */
    c.expect_count = 0;
    assert_int_equal(sim_config_set(&c, "expect.lookup.time.p99", "<= 1s", why), 0);
    assert_true(sim_outcomes_ok(&c, all, 3));
    assert_int_equal(sim_config_set(&c, "expect.lookup.tyme", "<= 1s", why), 0);
    assert_false(sim_outcomes_ok(&c, all, 3)); /* what is not measured is not as expected */
    c.expect_count = 0;
    all[1].failed = true;
    assert_false(sim_outcomes_ok(&c, all, 3));
    free(all);
}

static void reports_are_never_written_over(void **state)
{
    char dir[] = "/tmp/simnet-report-XXXXXX", file[80], why[SIM_WHY_MAX];
    static const char *const names[] = {"manifest.json", "metrics.csv", "index.html"};
    struct sim_asked a = small();
    struct sim_config c;
    struct sim_metrics *m = sim_metrics_new();
    struct sim_map *map = calloc(1, sizeof *map);
    struct sim_outcome *o = calloc(1, sizeof *o);
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(sim_report_open(dir, why), 0);
    assert_int_equal(sim_asked_config(&a, 1, &c, why), 0);
    assert_int_equal(sim_run_once(&c, m, map, false, o), 0);
    assert_int_equal(map->count, 20);
    assert_int_equal(sim_report_write(dir, &c, o, m, map, "simnet run <hello>", why), 0);
    assert_int_not_equal(sim_report_open(dir, why), 0);
    assert_non_null(strstr(why, "not empty"));
    assert_int_not_equal(sim_report_write(dir, &c, o, m, map, "again", why), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(file), 0);
    }
    assert_int_equal(rmdir(dir), 0);
    sim_metrics_free(m);
    free(map);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_seed_same_story),
                                       cmocka_unit_test(intervals_and_verdicts),
                                       cmocka_unit_test(reports_are_never_written_over)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
