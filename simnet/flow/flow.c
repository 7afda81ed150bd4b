#include "simnet/flow/flow.h"
#include "simnet/flow/swarm.h"
#include "simnet/flow/web.h"
#include "node/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND_SWARM (SIM_EVENT_FLOW + STREAMS_EVENTS)
#define KIND_WEB   (KIND_SWARM + SWARM_EVENTS)

struct flow_state {
    struct streams *streams;
    struct streams_links *links;
    struct swarm *swarm; /* NULL: none */
    struct web *web;     /* NULL: none */
    struct node_addr who;
    uint64_t draws; /* of lost segments */
};

static struct flow_state *state(const struct sim_world *w)
{
    return w->flow_state;
}

static core_time env_now(void *context)
{
    return ((struct sim_world *)context)->now;
}

static void env_at(void *context, core_time at, uint32_t to, uint32_t from, uint16_t kind, uint64_t a,
                   uint64_t b, void *data)
{
    sim_world_at(context, at, to, from, kind, a, b, data);
}

static core_time env_delay(void *context, uint32_t a, uint32_t b)
{
    return sim_delay(context, a, b);
}

static uint32_t env_node_of(void *context, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    return sim_node_of(context, key, addr);
}

static bool env_cut(void *context, uint32_t from, uint32_t to)
{
    return sim_pair_deaf(context, from, to) || sim_pair_deaf(context, to, from);
}

static bool env_loses(void *context, uint32_t from, uint32_t to)
{
    struct sim_world *w = context;
    uint32_t loss = sim_loss(w, from, to);
    return loss && sim_hash(w->seed ^ (uint64_t)SIM_DRAW_LINK << 56, from, ++state(w)->draws) % SIM_PPM < loss;
}

static bool env_reachable(void *context, uint32_t from, uint32_t to)
{
    const struct sim_world *w = context;
    return !w->nodes[to].nat && !env_cut(context, from, to);
}

static struct xfer *env_xfer(void *context, uint32_t i)
{
    const struct sim_node *n = &((struct sim_world *)context)->nodes[i];
    return n->node ? node_xfer(n->node) : NULL;
}

static const struct node_addr *env_who(void *context, uint32_t i)
{
    struct sim_world *w = context;
    struct flow_state *f = state(w);
    memcpy(f->who.key, w->nodes[i].me.key, NODE_KEY_SIZE);
    f->who.addr = w->nodes[i].addr;
    return &f->who;
}

static struct effects *env_out(void *context)
{
    return sim_out(context);
}

static void env_carry(void *context, uint32_t i)
{
    sim_carry(context, i);
}

static uint32_t env_swarm(void *context, uint32_t i, const uint8_t provider_key[HASH_SIZE], bool pack)
{
    const struct swarm *s = state(context)->swarm;
    const struct swarm_member *m = s ? swarm_member(s, i) : NULL;
    return m && !pack && memcmp(s->provider_key, provider_key, HASH_SIZE) == 0 ? m->swarm : 0;
}

static bool env_content(void *context, uint32_t i, uint32_t ref, struct streams_content *out)
{
    const struct swarm *s = state(context)->swarm;
    const struct swarm_member *m = s ? swarm_member(s, i) : NULL;
    if (!m || ref != 1 || m->rider)
        return false;
    *out = s->content;
    return true;
}

static bool env_honest(void *context, uint32_t i)
{
    const struct swarm *s = state(context)->swarm;
    const struct swarm_member *m = s ? swarm_member(s, i) : NULL;
    return !m || !m->polluter;
}

static void env_raw(void *context, int side, const uint8_t *data, size_t size)
{
    web_data(state(context)->web, side, data, size);
}

static void env_trace(void *context, uint64_t word)
{
    struct sim_world *w = context;
    sim_trace_word(&w->trace, w->now);
    sim_trace_word(&w->trace, word);
}

/* ---- struct sim_flow ---- */

static void flow_begin(struct sim_world *w)
{
    struct flow_state *f = calloc(1, sizeof *f);
    struct streams_links *links = calloc(w->count, sizeof *links);
    if (!f || !links) {
        fprintf(stderr, "simnet: out of memory for links; run fewer nodes\n");
        abort();
    }
    for (uint32_t i = 0; i < w->count; i++)
        links[i] = (struct streams_links){w->config->net.up, w->config->net.down};
    f->links = links;
    w->flow_state = f;
    f->swarm = swarm_new(w, links, KIND_SWARM);
    struct streams_env env = {.context = w,
                              .kind = SIM_EVENT_FLOW,
                              .now = env_now,
                              .at = env_at,
                              .delay = env_delay,
                              .node_of = env_node_of,
                              .reachable = env_reachable,
                              .cut = env_cut,
                              .loses = env_loses,
                              .xfer = env_xfer,
                              .who = env_who,
                              .out = env_out,
                              .carry = env_carry,
                              .swarm = env_swarm,
                              .content = env_content,
                              .honest = env_honest,
                              .raw = env_raw,
                              .trace = env_trace};
    struct streams_net net = {w->config->net.window, w->config->net.bandwidth == SIM_PACKET, w->config->net.queue};
    f->streams = streams_new(&env, w->count, links, &net);
    f->web = web_new(w, f->streams, KIND_WEB);
}

static void flow_end(struct sim_world *w)
{
    struct flow_state *f = state(w);
    if (f->swarm)
        swarm_report(w, f->swarm, f->streams, f->links);
    web_free(f->web);
    streams_free(f->streams);
    f->streams = NULL;
    swarm_free(f->swarm);
    free(f->links);
    free(f);
    w->flow_state = NULL;
}

static void flow_up(struct sim_world *w, uint32_t i)
{
    if (state(w)->swarm)
        swarm_up(w, state(w)->swarm, i);
}

static void flow_down(struct sim_world *w, uint32_t i)
{
    if (state(w)->swarm)
        swarm_down(w, state(w)->swarm, i);
    streams_node_down(state(w)->streams, i);
}

static void flow_effect(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes)
{
    if (x->kind == EFFECT_NOTICE) {
        if (state(w)->swarm)
            swarm_notice(w, state(w)->swarm, i, x, KIND_SWARM);
        return;
    }
    bool ours = streams_effect(state(w)->streams, i, x, bytes);
    core_assert(ours);
}

static void flow_event(struct sim_world *w, const struct sim_event *e)
{
    if (e->kind == KIND_WEB)
        web_start(state(w)->web);
    else if (e->kind >= KIND_SWARM)
        swarm_event(w, state(w)->swarm, e->to, (enum swarm_event)(e->kind - KIND_SWARM), KIND_SWARM);
    else
        streams_event(state(w)->streams, e);
}

/* The world drops what is left after flow_end: by then only the events' own data is there. */
static void flow_drop(struct sim_world *w, struct sim_event *e)
{
    (void)w;
    if (e->kind < KIND_SWARM)
        streams_drop(SIM_EVENT_FLOW, e);
}

static void flow_check(struct sim_world *w)
{
    streams_check(state(w)->streams);
    if (state(w)->swarm)
        swarm_check(w, state(w)->swarm);
}

const struct sim_flow sim_flow_streams = {.begin = flow_begin,
                                          .end = flow_end,
                                          .node_up = flow_up,
                                          .node_down = flow_down,
                                          .effect = flow_effect,
                                          .event = flow_event,
                                          .drop = flow_drop,
                                          .check = flow_check};
