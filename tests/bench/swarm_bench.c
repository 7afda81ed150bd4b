/* How close a swarm of shipped nodes comes to the bounds in flow mode:
 *     swarm_bench PEERS MIB UPLINK_BYTES_PER_SECOND [MIXED_PPM [SEED [LOAD]]]
 * LOAD: all (they begin together and stay), flash (the seed leaves when it could have sent 1.5 copies, one
 * peer has a hundredth of the link), leave (peers leave when done), riders (a quarter uploads nothing). */
#include "simnet/flow/flow.h"
#include "simnet/world/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct sim_config c;
    struct sim_result r;
    if (argc < 4) {
        fprintf(stderr, "usage: swarm_bench PEERS MIB UPLINK_BYTES_PER_SECOND [MIXED_PPM [SEED "
                        "[all|flash|leave|riders]]]\n");
        return 2;
    }
    sim_config_default(&c);
    c.scenario.streams = true;
    c.scenario.check_every = 0;
    c.scenario.warm = CORE_MINUTES(2);
    c.scenario.measure = CORE_HOURS(24);
    c.churn.session.kind = c.churn.offline.kind = SIM_NEVER;
    c.swarm.seeds = 1;
    c.swarm.peers = (uint32_t)strtoul(argv[1], NULL, 10);
    c.scenario.nodes = c.swarm.peers + 9;
    c.swarm.bytes = strtoull(argv[2], NULL, 10) << 20;
    c.net.up = strtoull(argv[3], NULL, 10);
    c.net.down = 8 * c.net.up;
    c.net.mixed = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    c.scenario.seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    c.swarm.start = c.scenario.warm;
    const char *load = argc > 6 ? argv[6] : "all";
    if (strcmp(load, "flash") == 0) {
        c.swarm.seed_leaves = c.swarm.bytes * 3 / 2 * CORE_SECONDS(1) / c.net.up;
        c.swarm.crippled = 1;
    } else if (strcmp(load, "leave") == 0) {
        c.swarm.leave_when_done = true;
    } else if (strcmp(load, "riders") == 0) {
        c.swarm.free_riders = SIM_PPM / 4;
    }
    struct sim_metrics *m = sim_metrics_new();
    if (!m || sim_run(&c, m, &sim_flow_streams, NULL, NULL, &r) != 0) {
        fprintf(stderr, "swarm_bench: out of memory\n");
        return 1;
    }
    static const char *const names[] = {"swarm.complete", "swarm.over_fluid", "swarm.over_discrete",
                                        "swarm.seed_copies", "swarm.stuck"};
    printf("%u peers, %s MiB: simulated %.0f s in %.1f s, %llu events, %llu MiB, hash %016llx%s%s\n",
           c.swarm.peers, argv[2], (double)r.simulated / 1e6, r.wall_seconds, (unsigned long long)r.events,
           (unsigned long long)(r.memory_peak >> 20), (unsigned long long)r.hash, r.failed ? " FAILED " : "",
           r.failure);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sim_metric_view v;
        uint32_t id = sim_metric_find(m, names[i]);
        if (id == UINT32_MAX)
            continue;
        sim_metric_view(m, id, &v);
        printf("  %s %llu (of %llu)\n", v.name, (unsigned long long)v.sum, (unsigned long long)v.tries);
    }
    uint32_t id = sim_metric_find(m, "swarm.time");
    static const uint32_t at[] = {1, 100000, 500000, 900000, 990000, 1000000};
    printf("  swarm.time [s] at 0, 10, 50, 90, 99, 100 %%:");
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        printf(" %.1f", (double)sim_metric_quantile(m, id, at[i]) / 1e6);
    printf("\n");
    sim_metrics_free(m);
    return r.failed;
}
