/* Small scenarios as people run them, through the command's own path: what they expect holds. Golden hashes
 * are in world_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/cli/cli.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

static const struct {
    const char *scenario, *nodes, *set[6];
} runs[] = {
    {"hello", "20", {"scenario.measure=90s"}},
    {"response-time", NULL, {NULL}},
    {"response-time", NULL, {"http.object=1000B", "http.objects=3"}},
    {"split-heal",
     "12",
     {"scenario.measure=40min", "fault.split_for=10min", "fault.quiet_at=26min", "scenario.check_every=50"}},
    {"names-split", "16", {"scenario.warm=11min", "scenario.measure=4min", "fault.split_at=5min", "fault.split_for=5min",
      "load.files=8", "load.site.every=exponential mean 90s"}},
    {"names-hostile", "20", {"scenario.measure=4min", "load.files=8", "load.site.every=exponential mean 90s"}},
    {"swarm-flash",
     "9",
     {"swarm.peers=8", "swarm.bytes=2MiB", "net.bandwidth=packet", "scenario.check_every=200"}},
};

static void they_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct sim_asked a = {.scenario = runs[i].scenario,
                              .nodes = runs[i].nodes,
                              .quiet = true,
                              .first_seed = 1,
                              .last_seed = 1};
        struct sim_outcome *o = calloc(1, sizeof *o);
        struct sim_metrics *m = sim_metrics_new();
        struct sim_config c;
        char why[SIM_WHY_MAX] = "";
        while (a.sets < 6 && runs[i].set[a.sets]) {
            a.set[a.sets] = runs[i].set[a.sets];
            a.sets++;
        }
        if (sim_asked_config(&a, 1, &c, why) != 0)
            fail_msg("%s", why);
        assert_int_equal(sim_run_once(&c, m, NULL, false, o), 0);
        print_message("%s: %016" PRIx64 ", %.2f s\n", runs[i].scenario, o->hash, o->wall_seconds);
        if (!sim_outcomes_ok(&c, o, 1)) {
            sim_table_print(stdout, &c, o, 1);
            fail_msg("%s is not as expected. %s", runs[i].scenario, o->failure);
        }
        sim_metrics_free(m);
        free(o);
    }
}

/* Faults, then progress; the command's test sweeps far more of them. */
static void fuzz_finds_nothing(void **state)
{
    struct sim_asked a = {
        .scenario = "fuzz", .jobs = 2, .quiet = true, .seeds_given = true, .first_seed = 1, .last_seed = 30};
    struct sim_outcome *all = calloc(30, sizeof *all);
    char why[SIM_WHY_MAX] = "";
    uint64_t owed = 0;
    (void)state;
    assert_int_equal(sim_runs(&a, NULL, all, why), 0);
    for (int i = 0; i < 30; i++) {
        enum sim_unit unit;
        uint64_t value;
        if (all[i].failed)
            fail_msg("simnet run fuzz --seed %d: %s", i + 1, all[i].failure);
        owed += sim_outcome_value(&all[i], "progress.owed", &unit, &value) ? value : 0;
    }
    assert_true(owed > 500); /* it demanded something */
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_hold), cmocka_unit_test(fuzz_finds_nothing)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
