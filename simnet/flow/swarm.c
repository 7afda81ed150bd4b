#include "simnet/flow/swarm.h"
#include "simnet/flow/packets.h"
#include "node/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_EARLY CORE_SECONDS(30) /* nobody asks for a content before it is announced */
#define REF        1                /* the host's handle of the content; there is one */

core_time swarm_bound_fluid(uint64_t bytes, uint64_t seeds_up, uint64_t peers_up, uint64_t least_down,
                            uint32_t peers)
{
    double f = (double)bytes, bound = 0;
    if (seeds_up && f / (double)seeds_up > bound)
        bound = f / (double)seeds_up;
    if (least_down && f / (double)least_down > bound)
        bound = f / (double)least_down;
    if (seeds_up && peers_up && f * peers / (double)(seeds_up + peers_up) > bound)
        bound = f * peers / (double)(seeds_up + peers_up);
    return (core_time)(bound * 1e6);
}

core_time swarm_bound_discrete(uint64_t bytes, uint32_t chunks, uint64_t up, uint32_t peers)
{
    uint32_t log2 = 0;
    if (!up || !chunks || !peers)
        return 0;
    while (peers >> (log2 + 1))
        log2++;
    return (core_time)((double)bytes / (double)up * (double)(chunks + log2) / (double)chunks * 1e6);
}

struct swarm_member *swarm_member(const struct swarm *s, uint32_t i)
{
    return i >= s->first && i - s->first < s->count ? &s->members[i - s->first] : NULL;
}

static void measures(struct sim_world *w, struct swarm *s)
{
    struct sim_metrics *m = w->metrics;
    s->time = sim_metric_declare(m, "swarm.time", SIM_SAMPLE, SIM_UNIT_US);
    s->rider_time = sim_metric_declare(m, "swarm.rider_time", SIM_SAMPLE, SIM_UNIT_US);
    s->complete = sim_metric_declare(m, "swarm.complete", SIM_RATIO, SIM_UNIT_COUNT);
    s->over_fluid = sim_metric_declare(m, "swarm.over_fluid", SIM_SAMPLE, SIM_UNIT_PPM);
    s->over_goodput = sim_metric_declare(m, "swarm.over_goodput", SIM_SAMPLE, SIM_UNIT_PPM);
    s->over_discrete = sim_metric_declare(m, "swarm.over_discrete", SIM_SAMPLE, SIM_UNIT_PPM);
    s->copies = sim_metric_declare(m, "swarm.seed_copies", SIM_SAMPLE, SIM_UNIT_X100);
    s->stuck = sim_metric_declare(m, "swarm.stuck", SIM_COUNTER, SIM_UNIT_COUNT);
    s->series = sim_metric_declare(m, "swarm.done", SIM_SERIES, SIM_UNIT_COUNT);
}

static void member_draw(struct sim_world *w, struct swarm *s, uint32_t k, struct streams_links *link)
{
    const struct sim_config *c = w->config;
    struct swarm_member *m = &s->members[k];
    struct sim_random r;
    sim_random_init(&r, w->seed, s->first + k, SIM_DRAW_SWARM);
    m->seed = k < s->seeds;
    if (m->seed)
        return;
    bool slow = sim_random_below(&r, SIM_PPM) < c->net.mixed;
    m->rider = sim_random_below(&r, SIM_PPM) < c->swarm.free_riders;
    m->polluter = w->nodes[s->first + k].hostile && c->hostile.attack == SIM_ATTACK_POLLUTE;
    if (slow && link->up)
        link->up = link->up / 4 + 1;
    if (k >= s->count - c->swarm.crippled) {
        link->up = link->up / 100 + 1;
        link->down = link->down / 100 + 1;
    }
    if (!m->polluter)
        s->wanted++;
}

struct swarm *swarm_new(struct sim_world *w, struct streams_links *links, uint16_t kind)
{
    const struct sim_config *c = w->config;
    if (!c->swarm.bytes)
        return NULL;
    struct swarm *s = calloc(1, sizeof *s);
    uint32_t count = c->swarm.seeds + c->swarm.peers;
    if (count > w->count || c->swarm.crippled > c->swarm.peers || !c->scenario.streams) {
        sim_fail(w, "[swarm] needs scenario.streams = on, nodes >= seeds + peers, crippled <= peers");
        free(s);
        return NULL;
    }
    if (s)
        s->members = calloc(count ? count : 1, sizeof *s->members);
    if (!s || !s->members) {
        fprintf(stderr, "simnet: out of memory for the swarm; run fewer peers\n");
        abort();
    }
    s->count = count;
    s->seeds = c->swarm.seeds;
    s->first = w->count - count;
    for (uint32_t i = 0; i < 4; i++)
        put_be64(s->id.root + 8 * i, sim_hash(w->seed ^ (uint64_t)SIM_DRAW_SWARM << 56, UINT32_MAX, i));
    s->id.size = s->content.size = c->swarm.bytes;
    xfer_geometry_content(&s->content.geometry, c->swarm.bytes);
    content_provider_key(s->provider_key, &s->id, &w->network, w->env.crypto);
    measures(w, s);
    for (uint32_t k = 0; k < count; k++) {
        core_time early = !(k < s->seeds) ? 0 : c->swarm.start < SEED_EARLY ? c->swarm.start : SEED_EARLY;
        core_time at = w->begin + c->swarm.start - early;
        if (k >= s->seeds && c->swarm.peers)
            at += c->swarm.spread * (k - s->seeds) / c->swarm.peers;
        member_draw(w, s, k, &links[s->first + k]);
        sim_world_at(w, at, s->first + k, s->first + k, (uint16_t)(kind + SWARM_START), 0, 0, NULL);
        if (k < s->seeds && c->swarm.seed_leaves)
            sim_world_at(w, w->begin + c->swarm.start + c->swarm.seed_leaves, s->first + k, s->first + k,
                         (uint16_t)(kind + SWARM_LEAVE), 0, 0, NULL);
    }
    return s;
}

void swarm_free(struct swarm *s)
{
    if (!s)
        return;
    for (uint32_t k = 0; k < s->count; k++)
        free(s->members[k].chunks);
    free(s->members);
    free(s);
}

static void member_add(struct sim_world *w, struct swarm *s, uint32_t i)
{
    struct swarm_member *m = swarm_member(s, i);
    struct sim_node *n = &w->nodes[i];
    struct xfer_swarm_params p = {.id = s->id, .ref = REF, .geometry = s->content.geometry};
    memcpy(p.provider_key, s->provider_key, HASH_SIZE);
    p.complete = m->seed || m->polluter || m->complete;
    p.have_chunks = p.complete ? NULL : m->chunks;
    m->swarm = xfer_swarm_add(node_xfer(n->node), w->now, &p, sim_out(w));
    sim_carry(w, i);
    if (!m->swarm) {
        sim_fail(w, "node %u: no memory for the swarm", i);
        return;
    }
    node_announce(n->node, w->now, s->provider_key, true, i % NODE_OP_MAX + 1, sim_out(w));
    sim_carry(w, i);
}

void swarm_event(struct sim_world *w, struct swarm *s, uint32_t i, enum swarm_event what, uint16_t kind)
{
    struct swarm_member *m = swarm_member(s, i);
    (void)kind;
    if (what == SWARM_LEAVE) {
        w->nodes[i].gone = true;
        if (w->nodes[i].dht)
            sim_node_stop(w, i);
        return;
    }
    m->begun = true;
    m->began = w->now;
    if (w->nodes[i].node)
        member_add(w, s, i);
}

void swarm_up(struct sim_world *w, struct swarm *s, uint32_t i)
{
    struct swarm_member *m = swarm_member(s, i);
    if (m && m->begun && !m->swarm)
        member_add(w, s, i);
}

void swarm_down(struct sim_world *w, struct swarm *s, uint32_t i)
{
    struct swarm_member *m = swarm_member(s, i);
    if (!m || !m->swarm || !w->nodes[i].node)
        return;
    struct xfer *x = node_xfer(w->nodes[i].node);
    struct xfer_swarm_stats stats;
    size_t size = (xfer_chunk_count(&s->content.geometry) + 7) / 8;
    if (xfer_swarm_stats(x, w->now, m->swarm, &stats))
        m->have = stats.chunks_have;
    if (!m->chunks)
        m->chunks = calloc(1, size);
    if (m->chunks)
        xfer_swarm_have(x, m->swarm, m->chunks, size);
    m->swarm = 0;
}

static bool other_loads(const struct sim_config *c)
{
    return c->load.lookup.kind != SIM_NEVER || c->load.get.kind != SIM_NEVER ||
           c->load.announce.kind != SIM_NEVER || c->load.fetch.kind != SIM_NEVER || c->load.profiles;
}

void swarm_notice(struct sim_world *w, struct swarm *s, uint32_t i, const struct effect *x, uint16_t kind)
{
    struct swarm_member *m = swarm_member(s, i);
    if (!m || x->u.notice.kind != XFER_NOTICE_COMPLETE || x->u.notice.op != m->swarm || m->seed ||
        m->polluter || m->complete)
        return;
    m->complete = true;
    m->done = w->now;
    s->done++;
    sim_metric_add(w->metrics, m->rider ? s->rider_time : s->time, w->now - m->began);
    sim_metric_point(w->metrics, s->series, w->now - w->begin, s->done);
    if (w->config->swarm.leave_when_done)
        sim_world_at(w, w->now, i, i, (uint16_t)(kind + SWARM_LEAVE), 0, 0, NULL);
    if (s->done == s->wanted && !other_loads(w->config))
        w->end = w->now; /* nothing more to see */
}

void swarm_check(struct sim_world *w, struct swarm *s)
{
    if (w->now < w->demand_at || w->now + CORE_SECONDS(10) < w->end || w->config->net.nat ||
        w->config->swarm.seed_leaves || w->config->swarm.leave_when_done)
        return;
    for (uint32_t k = 0; k < s->count; k++) {
        const struct swarm_member *m = &s->members[k];
        if (m->begun && !m->seed && !m->polluter && !m->complete)
            sim_fail(w, "faults are over for %.0f s, and node %u has not got the content that is %s",
                     (double)(w->now - w->begin - w->config->fault.quiet_at) / 1e6, s->first + k,
                     m->swarm ? "seeded" : "seeded, and has no swarm");
    }
}

static void report_bounds(struct sim_world *w, struct swarm *s, const struct streams_links *links)
{
    const struct sim_config *c = w->config;
    uint64_t seeds_up = 0, peers_up = 0, least = 0;
    core_time last = 0;
    if (c->swarm.spread || c->swarm.leave_when_done || c->swarm.seed_leaves || s->done < s->wanted)
        return;
    for (uint32_t k = 0; k < s->count; k++) {
        const struct streams_links *l = &links[s->first + k];
        const struct swarm_member *m = &s->members[k];
        if (m->polluter)
            continue;
        if (m->seed) {
            seeds_up += l->up;
            continue;
        }
        peers_up += m->rider ? 0 : l->up;
        least = l->down && (!least || l->down < least) ? l->down : least;
        last = m->done - m->began > last ? m->done - m->began : last;
    }
    core_time fluid = swarm_bound_fluid(s->content.size, seeds_up, peers_up, least, s->wanted);
    if (fluid) {
        double over = (double)last / (double)fluid * SIM_PPM;
        sim_metric_add(w->metrics, s->over_fluid, (uint64_t)over);
        sim_metric_add(w->metrics, s->over_goodput,
                       (uint64_t)(c->net.bandwidth == SIM_PACKET ? over * PACKETS_GOODPUT : over));
    }
    if (s->seeds == 1 && !c->net.mixed && !c->swarm.free_riders && !c->swarm.crippled && c->net.up) {
        core_time discrete = swarm_bound_discrete(s->content.size, xfer_chunk_count(&s->content.geometry),
                                                  c->net.up, s->wanted);
        sim_metric_add(w->metrics, s->over_discrete, (uint64_t)((double)last / (double)discrete * SIM_PPM));
    }
}

void swarm_report(struct sim_world *w, struct swarm *s, const struct streams *streams,
                  const struct streams_links *links)
{
    uint64_t sent = 0;
    uint32_t chunks = xfer_chunk_count(&s->content.geometry);
    for (uint32_t k = 0; k < s->count; k++) {
        const struct swarm_member *m = &s->members[k];
        if (m->seed) {
            sent += streams_sent(streams, s->first + k);
            continue;
        }
        if (m->polluter)
            continue;
        sim_metric_add(w->metrics, s->complete, m->complete);
        sim_metric_add(w->metrics, s->stuck, !m->complete && (uint64_t)m->have * 100 >= (uint64_t)chunks * 99);
    }
    sim_metric_add(w->metrics, s->copies, (uint64_t)((double)sent / (double)s->content.size * 100));
    report_bounds(w, s, links);
}
