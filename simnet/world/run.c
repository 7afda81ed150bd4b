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

/* Nodes that were up, on average since `from` of the run. */
static double mean_up(struct sim_world *w, core_time from)
{
    uint32_t id = sim_metric_find(w->metrics, "nodes.up");
    struct sim_metric_view v;
    double sum = 0, points = 0;
    sim_metric_view(w->metrics, id, &v);
    for (size_t i = 0; i < v.points; i++) {
        core_time at;
        uint64_t up;
        sim_metric_series_point(w->metrics, id, i, &at, &up);
        if (at >= from && up) {
            sum += (double)up;
            points++;
        }
    }
    return points > 0 ? sum / points : w->up;
}

/* A node's share of what all sent in the measured time. */
static void rate(struct sim_world *w, const char *name, uint64_t bytes, core_time measured, double up)
{
    uint32_t id = sim_metric_declare(w->metrics, name, SIM_SAMPLE, SIM_UNIT_BYTES_PER_SECOND);
    if (measured && up > 0)
        sim_metric_add(w->metrics, id, (uint64_t)((double)bytes * 1e6 / (double)measured / up + 0.5));
}

/* What the nodes counted themselves. */
static void gather(struct sim_world *w)
{
    uint32_t hops = sim_metric_declare(w->metrics, "lookup.hops", SIM_SAMPLE, SIM_UNIT_X100);
    uint32_t known = sim_metric_declare(w->metrics, "node.contacts", SIM_SAMPLE, SIM_UNIT_COUNT);
    uint32_t records = sim_metric_declare(w->metrics, "node.records", SIM_SAMPLE, SIM_UNIT_COUNT);
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
    uint64_t bytes_before = 0, paper_before = 0;
    struct counted before = {0};
    bool going = true;
    for (core_time at = w->begin; going && at < w->end;) {
        at = core_time_min(at + CORE_SECONDS(1), w->end);
        if (w->now < measure_at && at >= measure_at) {
            at = measure_at > at ? at : measure_at;
            going = sim_world_run(w, at);
            bytes_before = w->bytes_sent;
            paper_before = w->paper_bytes;
            before = count_all(w);
            continue;
        }
        going = sim_world_run(w, at) && (!progress || progress(context, w));
    }
    sim_metrics_on(metrics, true);
    if (!w->failure[0])
        per_lookup(w, &before);
    if (!w->failure[0]) {
        core_time measured = w->now > measure_at ? w->now - measure_at : 0;
        double up = mean_up(w, config->scenario.warm);
        gather(w);
        rate(w, "node.traffic", w->bytes_sent - bytes_before, measured, up);
        if (config->net.paper_bytes)
            rate(w, "node.traffic_paper", w->paper_bytes - paper_before, measured, up);
    }
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
