#include "simnet/world/run.h"

#include "dht/node_state.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the nodes counted themselves. */
static void gather(struct sim_world *w, uint64_t bytes_before, core_time measured)
{
    uint32_t hops = sim_metric_declare(w->metrics, "lookup.hops", SIM_SAMPLE, SIM_UNIT_X100);
    uint32_t known = sim_metric_declare(w->metrics, "node.contacts", SIM_SAMPLE, SIM_UNIT_COUNT);
    uint32_t records = sim_metric_declare(w->metrics, "node.records", SIM_SAMPLE, SIM_UNIT_COUNT);
    uint32_t traffic = sim_metric_declare(w->metrics, "node.traffic", SIM_SAMPLE, SIM_UNIT_BYTES_PER_SECOND);
    for (uint32_t i = 0; i < w->count; i++) {
        struct dht_status s;
        if (!w->nodes[i].dht || w->nodes[i].hostile)
            continue;
        dht_status(w->nodes[i].dht, &s);
        if (s.lookups_done)
            sim_metric_add(w->metrics, hops, s.lookup_hops_mean_x100);
        sim_metric_add(w->metrics, known, s.contacts_live);
        sim_metric_add(w->metrics, records, s.records);
    }
    if (measured && w->up)
        sim_metric_add(w->metrics, traffic, (w->bytes_sent - bytes_before) * 1000000u / measured / w->up);
}

/* What the nodes have counted together so far. */
struct counted {
    uint64_t lookups, hops_x100, messages, bytes;
};

static struct counted count_all(const struct sim_world *w)
{
    struct counted c = {.messages = w->datagrams_sent, .bytes = w->bytes_sent};
    for (uint32_t i = 0; i < w->count; i++) {
        struct dht_status s;
        if (!w->nodes[i].dht)
            continue;
        dht_status(w->nodes[i].dht, &s);
        c.lookups += s.lookups_done;
        c.hops_x100 += s.lookups_done * s.lookup_hops_mean_x100;
    }
    return c;
}

/* Look-ups of every kind, and all that was sent meanwhile, over the measured time; only where nobody starts anew. */
static void per_lookup(struct sim_world *w, const struct counted *from)
{
    struct counted to = count_all(w);
    if (to.lookups <= from->lookups || w->config->churn.session.kind != SIM_NEVER || w->config->fault.crash.kind != SIM_NEVER)
        return;
    uint64_t lookups = to.lookups - from->lookups;
    uint32_t hops = sim_metric_declare(w->metrics, "per_lookup.hops", SIM_SAMPLE, SIM_UNIT_X100);
    uint32_t messages = sim_metric_declare(w->metrics, "per_lookup.messages", SIM_SAMPLE, SIM_UNIT_X100);
    uint32_t bytes = sim_metric_declare(w->metrics, "per_lookup.bytes", SIM_SAMPLE, SIM_UNIT_BYTES);
    sim_metric_add(w->metrics, hops, to.hops_x100 > from->hops_x100 ? (to.hops_x100 - from->hops_x100) / lookups : 0);
    sim_metric_add(w->metrics, messages, (to.messages - from->messages) * 100 / lookups);
    sim_metric_add(w->metrics, bytes, (to.bytes - from->bytes) / lookups);
}

static uint64_t peak_memory(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss * 1024;
}

int sim_run(const struct sim_config *config, struct sim_metrics *metrics, const struct sim_flow *flow,
            sim_progress progress, void *context, struct sim_result *out)
{
    memset(out, 0, sizeof *out);
    double started = wall();
    sim_random_trap();
    struct sim_world *w = sim_world_new(config, metrics, flow);
    if (!w)
        return ERR_NO_MEMORY;
    core_time measure_at = w->begin + config->scenario.warm;
    uint64_t bytes_before = 0;
    struct counted before = {0};
    bool going = true;
    for (core_time at = w->begin; going && at < w->end;) {
        at = core_time_min(at + CORE_SECONDS(1), w->end);
        if (w->now < measure_at && at >= measure_at) {
            at = measure_at > at ? at : measure_at;
            going = sim_world_run(w, at);
            bytes_before = w->bytes_sent;
            before = count_all(w);
            continue;
        }
        going = sim_world_run(w, at) && (!progress || progress(context, w));
    }
    sim_metrics_on(metrics, true);
    if (!w->failure[0])
        per_lookup(w, &before);
    if (!w->failure[0])
        gather(w, bytes_before, w->now > measure_at ? w->now - measure_at : 0);
    out->hash = w->trace.hash;
    out->events = w->events_done;
    out->datagrams = w->datagrams_sent;
    out->bytes = w->bytes_sent;
    out->simulated = w->now - w->begin;
    out->nodes_up = w->up;
    out->failed = w->failure[0] != 0;
    memcpy(out->failure, w->failure, sizeof out->failure);
    out->memory_peak = peak_memory();
    sim_world_free(w);
    out->wall_seconds = wall() - started;
    return 0;
}
