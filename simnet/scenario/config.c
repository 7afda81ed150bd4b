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
    c->net.queue = CORE_MS(200);
    c->churn.abrupt = SIM_PPM / 2;
    c->churn.keep_contacts = true;
    c->churn.stay = 1;
    dht_config_default(&c->node.dht);
    xfer_config_default(&c->node.xfer);
    c->node.key_pool = 65536;
    c->load.profile_bytes = 200;
    c->http.object = 10000;
}

static uint32_t pick(struct sim_random *r, uint32_t least, uint32_t most)
{
    return least + (uint32_t)sim_random_below(r, most - least + 1u);
}

static void faults_draw(struct sim_config *c, struct sim_random *r, core_time measure)
{
    if (pick(r, 0, 1)) {
        c->fault.split_at = measure / 8 + sim_random_below(r, measure / 4 + 1);
        c->fault.split_for = sim_random_below(r, measure / 4 + 1);
        c->fault.split = (enum sim_split)pick(r, SIM_SPLIT_HALVES, SIM_SPLIT_UNIFORM);
        c->fault.split_one_way = pick(r, 0, 2) == 0;
    }
    if (pick(r, 0, 3) == 0)
        c->fault.clog = pick(r, 10000, 300000);
    if (pick(r, 0, 3) == 0) {
        c->fault.slow = pick(r, 50000, 400000);
        c->fault.slow_by = CORE_MS(pick(r, 1, 2500));
    }
    if (pick(r, 0, 3) == 0) {
        c->fault.clock = pick(r, 50000, 400000);
        c->fault.clock_off = CORE_SECONDS(1) << pick(r, 0, 24); /* a second to half a year */
    }
    if (pick(r, 0, 3) == 0)
        c->fault.disk_full = pick(r, 100000, SIM_PPM);
}

/* `most` at most, and often nothing at all. Draws are statements of their own: C leaves the order within an expression open. */
static uint32_t pick_or_none(struct sim_random *r, uint32_t one_in, uint32_t least, uint32_t most)
{
    bool some = pick(r, 1, one_in) == 1;
    uint32_t value = pick(r, least, most);
    return some ? value : 0;
}

static struct sim_span pick_span(struct sim_random *r, uint32_t least_s, uint32_t most_s)
{
    return (struct sim_span){SIM_EXPONENTIAL, 1, CORE_SECONDS(pick(r, least_s, most_s))};
}

/* One content, whole nodes; at times with polluters. */
static void swarm_draw(struct sim_config *c, struct sim_random *r)
{
    uint32_t nodes = c->scenario.nodes;
    c->scenario.streams = true;
    c->swarm.bytes = pick(r, 1, 32);
    c->swarm.bytes *= pick(r, 0, 1) ? 64u * 1024 : 100003u;
    c->swarm.seeds = pick(r, 1, 2);
    c->swarm.peers = pick(r, nodes / 2, nodes - c->swarm.seeds);
    c->swarm.start = CORE_SECONDS(pick(r, 40, 300));
    c->swarm.spread = CORE_SECONDS(pick_or_none(r, 2, 1, 60));
    c->net.up = pick(r, 100000, 10000000);
    c->net.down = c->net.up * pick(r, 1, 5);
    c->net.mixed = pick_or_none(r, 2, 0, SIM_PPM);
    c->net.bandwidth = pick(r, 0, 2) ? SIM_FLOW : SIM_PACKET;
    c->net.nat = pick_or_none(r, 3, 0, 400000);
    c->net.nat_full = c->net.nat_address = c->net.nat_symmetric = SIM_PPM / 4;
    c->node.dht.provider_life = CORE_MINUTES(4); /* or a seed that lost its holders is found again too late */
    c->node.dht.provider_renew = CORE_SECONDS(96);
    if (c->swarm.peers >= 4 && pick(r, 0, 2) == 0) {
        c->hostile.share = SIM_PPM / 4;
        c->hostile.attack = SIM_ATTACK_POLLUTE;
    }
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
    c->net.loss = pick(&r, 0, 4);
    c->net.loss *= pick(&r, 0, 50000);
    c->net.deaf_pairs = pick_or_none(&r, 4, 0, 50000);
    c->fault.replay = pick_or_none(&r, 2, 0, 100000);
    c->fault.reorder = pick_or_none(&r, 2, 0, 100000);
    faults_draw(c, &r, measure);
    if (pick(&r, 0, 1))
        c->fault.crash = pick_span(&r, 20, 600);
    if (pick(&r, 0, 1)) {
        c->churn.session = pick_span(&r, 30, 1200);
        c->churn.session.kind = SIM_WEIBULL;
        c->churn.session.shape = 0.4 + 0.1 * pick(&r, 0, 6);
        c->churn.offline = pick_span(&r, 5, 600);
    }
    c->churn.keep_contacts = pick(&r, 0, 3) > 0;
    c->node.dht.k = (uint8_t)pick(&r, 2, 20);
    c->node.dht.alpha = (uint8_t)pick(&r, 1, 5);
    c->node.dht.paths = (uint8_t)pick(&r, 1, 6);
    c->node.dht.pending_max = (uint16_t)pick(&r, 8, 64);
    c->node.dht.records_max = pick_or_none(&r, 4, 8, 64);
    if (!c->node.dht.records_max)
        c->node.dht.records_max = 65536;
    c->node.dht.provider_life = CORE_SECONDS(pick(&r, 120, 3600));
    c->node.dht.provider_renew = c->node.dht.provider_life * 2 / 5; /* as shipped: 25 minutes of 60 */
    c->node.dht.refresh = CORE_MINUTES(pick(&r, 1, 60));
    c->load.lookup = pick_span(&r, 5, 120);
    c->load.announce = pick_span(&r, 20, 600);
    if (pick(&r, 0, 1))
        c->load.withdraw = pick_span(&r, 20, 300);
    c->load.fetch = pick_span(&r, 5, 120);
    c->load.profiles = pick(&r, 0, 1) * SIM_PPM;
    c->load.get = pick_span(&r, 10, 120);
    c->fault.quiet_at = measure / 2;
    if (pick(&r, 0, 2) == 0 && c->scenario.nodes >= 4)
        swarm_draw(c, &r);
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
