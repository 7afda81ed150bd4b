/* One run from a configuration: the driver behind every scenario. */
#ifndef SIMNET_WORLD_RUN_H
#define SIMNET_WORLD_RUN_H
#include "simnet/world/world.h"

struct sim_result {
    uint64_t hash, events, datagrams, bytes;
    core_time simulated;
    double wall_seconds;  /* for people only; decides nothing */
    uint64_t memory_peak; /* resident set [bytes] */
    uint32_t nodes_up;
    bool failed; /* a checker found something */
    char failure[512];
};

/* Called once a simulated second at most, for the live line. false: stop now. */
typedef bool (*sim_progress)(void *context, const struct sim_world *w);

/* Runs config to its end. metrics is the caller's, fresh. Returns 0; ERR_NO_MEMORY. progress may be NULL. */
int sim_run(const struct sim_config *config, struct sim_metrics *metrics, const struct sim_flow *flow,
            sim_progress progress, void *context, struct sim_result *out);
#endif
