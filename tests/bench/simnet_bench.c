/* How fast the world runs: simnet_bench hello|million|fuzz [nodes] [seconds] [seed]. Prints events a second,
 * memory, speed-up, and the hash. */
#include "simnet/world/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void million(struct sim_config *c, uint32_t nodes)
{
    c->scenario.nodes = nodes;
    c->scenario.join = SIM_JOIN_ORACLE;
    c->scenario.check_every = 100003;
    c->node.dht.k = nodes > 500000 ? 8 : 16;
    c->node.key_pool = 1u << 20;
    c->load.lookup = (struct sim_span){SIM_CONSTANT, 1, CORE_MINUTES(10)};
    c->load.profiles = SIM_PPM;
    c->churn.session = (struct sim_span){SIM_WEIBULL, 0.615, CORE_SECONDS(10170)};
    c->churn.offline = (struct sim_span){SIM_WEIBULL, 0.476, CORE_SECONDS(24822)};
}

static void print(struct sim_metrics *m)
{
    for (uint32_t i = 0; i < sim_metrics_count(m); i++) {
        struct sim_metric_view v;
        sim_metric_view(m, i, &v);
        if (!v.tries)
            continue;
        printf("  %-20s n %-9llu mean %.4g", v.name, (unsigned long long)v.tries,
               (double)v.sum / (double)v.tries);
        if (v.kind == SIM_SAMPLE)
            printf("  p50 %llu p90 %llu p99 %llu", (unsigned long long)sim_metric_quantile(m, i, 500000),
                   (unsigned long long)sim_metric_quantile(m, i, 900000),
                   (unsigned long long)sim_metric_quantile(m, i, 990000));
        printf("  least %llu most %llu\n", (unsigned long long)v.least, (unsigned long long)v.most);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "hello";
    uint32_t nodes = argc > 2 ? (uint32_t)atoi(argv[2]) : 100;
    core_time length = CORE_SECONDS(argc > 3 ? atoi(argv[3]) : 600);
    static struct sim_config c;
    struct sim_result r;
    sim_config_default(&c);
    c.scenario.seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
    c.scenario.warm = 0;
    c.scenario.measure = length;
    if (strcmp(name, "million") == 0) {
        million(&c, nodes);
    } else if (strcmp(name, "fuzz") == 0) {
        c.scenario.nodes = nodes;
        sim_config_draw(&c);
    } else {
        c.scenario.nodes = nodes;
        c.scenario.streams = strcmp(name, "whole") == 0;
        c.scenario.check_every = 97;
        c.load.lookup = c.load.fetch = c.load.announce =
            (struct sim_span){SIM_EXPONENTIAL, 1, CORE_MINUTES(1)};
    }
    if (argc > 5)
        c.node.key_pool = (uint32_t)atoi(argv[5]);
    struct sim_metrics *m = sim_metrics_new();
    if (sim_run(&c, m, NULL, NULL, NULL, &r) != 0)
        return 1;
    printf("%s, %u nodes, %.0f s: %.2f s wall (%.0f times real time), %llu events (%.2f M/s), %llu "
           "datagrams, %.1f MiB, %u up, hash %016llx\n",
           name, c.scenario.nodes, (double)r.simulated / 1e6, r.wall_seconds,
           (double)r.simulated / 1e6 / r.wall_seconds, (unsigned long long)r.events,
           (double)r.events / 1e6 / r.wall_seconds, (unsigned long long)r.datagrams,
           (double)r.memory_peak / 1048576, r.nodes_up, (unsigned long long)r.hash);
    print(m);
    if (r.failed)
        printf("FAILED %s\n", r.failure);
    sim_metrics_free(m);
    return r.failed;
}
