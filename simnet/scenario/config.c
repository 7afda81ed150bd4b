#include "simnet/scenario/config.h"

#include "simnet/engine/random.h"

#include <string.h>

void sim_config_default(struct sim_config *c)
{
    memset(c, 0, sizeof *c);
    c->scenario.seed = 1;
    c->scenario.nodes = 100;
    c->scenario.warm = CORE_MINUTES(2);
    c->scenario.measure = CORE_MINUTES(10);
    c->scenario.join_spread = CORE_SECONDS(10);
    c->scenario.check_every = 1;
    c->net.latency = SIM_LATENCY_COORDINATES;
    c->net.latency_min = CORE_MS(20);
    c->net.latency_max = CORE_MS(80);
    c->net.jitter = SIM_PPM / 10;
    c->net.floor = 500;
    c->net.window = 1024 * 1024;
    c->churn.abrupt = SIM_PPM / 2;
    c->churn.keep_contacts = true;
    c->churn.stay = 1;
    dht_config_default(&c->node.dht);
    xfer_config_default(&c->node.xfer);
    c->node.key_pool = 65536;
    c->load.profile_bytes = 200;
}

static uint32_t pick(struct sim_random *r, uint32_t least, uint32_t most)
{
    return least + (uint32_t)sim_random_below(r, most - least + 1u);
}

void sim_config_draw(struct sim_config *c)
{
    struct sim_random r;
    uint64_t seed = c->scenario.seed;
    char name[sizeof c->scenario.name];
    core_time measure = c->scenario.measure;
    uint32_t most = c->scenario.nodes < 3 ? 3 : c->scenario.nodes;
    memcpy(name, c->scenario.name, sizeof name);
    sim_config_default(c);
    memcpy(c->scenario.name, name, sizeof name);
    c->scenario.seed = seed;
    c->scenario.measure = measure;
    sim_random_init(&r, seed, 0, SIM_DRAW_CONFIG);
    c->scenario.nodes = pick(&r, 3, most);
    c->scenario.warm = 0;
    c->scenario.join_spread = CORE_SECONDS(pick(&r, 0, 60));
    c->net.latency = (enum sim_latency)pick(&r, SIM_LATENCY_CONSTANT, SIM_LATENCY_COORDINATES);
    c->net.latency_min = CORE_MS(pick(&r, 1, 100));
    c->net.latency_max = c->net.latency_min + CORE_MS(pick(&r, 0, 200));
    c->net.loss = pick(&r, 0, 4) * pick(&r, 0, 50000);
    c->net.deaf_pairs = pick(&r, 0, 3) ? 0 : pick(&r, 0, 50000);
    c->fault.replay = pick(&r, 0, 1) * pick(&r, 0, 100000);
    c->fault.reorder = pick(&r, 0, 1) * pick(&r, 0, 100000);
    if (pick(&r, 0, 1)) {
        c->fault.split_at = measure / 8 + sim_random_below(&r, measure / 4 + 1);
        c->fault.split_for = sim_random_below(&r, measure / 4 + 1);
    }
    if (pick(&r, 0, 1))
        c->fault.crash = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 20, 600))};
    if (pick(&r, 0, 1)) {
        c->churn.session =
            (struct sim_span){SIM_WEIBULL, 0.4 + 0.1 * pick(&r, 0, 6), CORE_SECONDS(pick(&r, 30, 1200))};
        c->churn.offline = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 5, 600))};
    }
    c->churn.keep_contacts = pick(&r, 0, 3) > 0;
    c->node.dht.k = (uint8_t)pick(&r, 2, 20);
    c->node.dht.alpha = (uint8_t)pick(&r, 1, 5);
    c->node.dht.paths = (uint8_t)pick(&r, 1, 6);
    c->node.dht.pending_max = (uint16_t)pick(&r, 8, 64);
    c->node.dht.records_max = pick(&r, 0, 3) ? 65536 : pick(&r, 8, 64);
    c->node.dht.refresh = CORE_MINUTES(pick(&r, 1, 60));
    c->load.lookup = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 5, 120))};
    c->load.announce = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 20, 600))};
    c->load.fetch = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 5, 120))};
    c->load.profiles = pick(&r, 0, 1) * SIM_PPM;
    c->load.get = (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(&r, 10, 120))};
    c->fault.quiet_at = measure * 2 / 3;
}

/* Measured on x86-64: one node's objects, plus what it allocates for records, plus the world's own struct and
 * its share of the pools. */
uint64_t sim_config_memory(const struct sim_config *c)
{
    uint64_t node = dht_node_size(&c->node.dht) + 768;
    uint64_t lookups = dht_lookup_size(&c->node.dht);
    if (c->load.profiles)
        node += 8192;
    if (c->scenario.streams)
        node += 48 * 1024;
    return (uint64_t)c->scenario.nodes * (node + lookups / 16) + (uint64_t)c->node.key_pool * 176 +
           (24u << 20);
}
