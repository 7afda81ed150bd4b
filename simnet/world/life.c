/* A node's life: start, stop, crash, churn; what it keeps over a stop. */
#include "simnet/world/world.h"

#include "dht/node_state.h"
#include "node/base/assert.h"

#include <stdlib.h>
#include <string.h>

#define SAVED_CONTACTS 16
#define INVITED        3 /* nodes in an invite */

static core_time span_draw(const struct sim_span *s, struct sim_random *r)
{
    double length;
    switch (s->kind) {
    case SIM_CONSTANT:
        return s->scale;
    case SIM_EXPONENTIAL:
        length = sim_draw_weibull(r, 1, (double)s->scale);
        break;
    case SIM_WEIBULL:
        length = sim_draw_weibull(r, s->shape, (double)s->scale);
        break;
    default:
        return CORE_NEVER;
    }
    return length > 1e15 ? (core_time)1000000000000000u : (core_time)length;
}

core_time sim_span_draw(const struct sim_span *s, struct sim_random *r)
{
    return span_draw(s, r);
}

static void schedule(struct sim_world *w, uint32_t i, const struct sim_span *s, uint16_t kind)
{
    struct sim_node *n = &w->nodes[i];
    core_time length = span_draw(s, &n->churn);
    if (length != CORE_NEVER && !w->quiet)
        sim_world_at(w, core_time_add(w->now, length), i, i, kind, n->life, 0, NULL);
}

static bool objects_new(struct sim_world *w, struct sim_node *n, core_time born)
{
    uint8_t seed[32];
    for (uint32_t k = 0; k < 4; k++)
        put_be64(seed + 8 * k,
                 sim_hash(w->seed ^ (uint64_t)SIM_DRAW_SEED << 56, (uint64_t)n->index << 32 | n->life, k));
    if (w->config->scenario.streams) {
        struct node_config c = {.dht = w->env,
                                .xfer = w->xfer_env,
                                .me = &n->me,
                                .network = &w->network,
                                .stream_port = n->addr.port};
        memcpy(c.seed, seed, sizeof seed);
        n->node = node_new(&c, born);
        n->dht = n->node ? node_dht(n->node) : NULL;
        return n->node != NULL;
    }
    n->dht = pool_take(&w->dhts);
    w->held += n->dht ? w->dhts.object_size : 0;
    if (n->dht)
        dht_init(n->dht, &w->env, &n->me, &w->network, seed, born);
    return n->dht != NULL;
}

static void objects_free(struct sim_world *w, struct sim_node *n)
{
    if (n->node) {
        node_free(n->node);
    } else {
        dht_fini(n->dht);
        pool_give(&w->dhts, n->dht);
        w->held -= w->dhts.object_size;
    }
    n->node = NULL;
    n->dht = NULL;
}

static void hint(struct sim_world *w, uint32_t i, const struct node_addr *peer)
{
    struct sim_node *n = &w->nodes[i];
    if (memcmp(peer->key, n->me.key, NODE_KEY_SIZE) == 0)
        return;
    if (n->node)
        node_hint(n->node, w->now, peer, false, sim_out(w));
    else
        dht_hint(n->dht, w->now, peer->key, &peer->addr, sim_out(w));
    sim_carry(w, i);
}

/* An invite names nodes that run when it is made. */
static void join_by_invite(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    for (uint32_t tries = 0, found = 0; tries < 40 && found < INVITED && n->dht; tries++) {
        uint32_t other = tries == 0 ? 0 : (uint32_t)sim_random_below(&n->churn, w->count);
        const struct sim_node *o = &w->nodes[other];
        if (other == i || !o->dht || o->nat)
            continue;
        struct node_addr peer = {.addr = o->addr};
        memcpy(peer.key, o->me.key, NODE_KEY_SIZE);
        hint(w, i, &peer);
        found++;
    }
}

static void restore(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    if (n->node) {
        node_restore(n->node, w->now, NODE_PERSIST_CONTACTS, bytes_of(n->saved, n->saved_size));
        sim_carry(w, i);
        return;
    }
    struct node_addr peer;
    for (uint32_t at = 0; at + sizeof peer <= n->saved_size && n->dht && at < 4 * sizeof peer;
         at += (uint32_t)sizeof peer) {
        memcpy(&peer, n->saved + at, sizeof peer);
        hint(w, i, &peer);
    }
}

void sim_node_start(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    core_assert(!n->dht);
    bool oracle = w->filling_up;
    core_time age = oracle ? w->config->node.dht.refresh : 0;
    n->life++;
    if (!objects_new(w, n, w->now - age)) {
        sim_fail(w, "no memory for node %u", i);
        return;
    }
    n->started = w->now;
    n->woken = 0;
    w->up++;
    dht_set_unix_ms(n->dht, w->now, sim_fault_unix_ms(w, i));
    if (w->flow && w->flow->node_up)
        w->flow->node_up(w, i);
    if (!oracle) {
        if (n->saved_size && w->config->churn.keep_contacts)
            restore(w, i);
        if (n->dht)
            join_by_invite(w, i);
    }
    if (i >= w->config->churn.stay && !n->hostile)
        schedule(w, i, &w->config->churn.session, SIM_EVENT_STOP);
    if (!n->hostile)
        schedule(w, i, &w->config->fault.crash, SIM_EVENT_CRASH);
    sim_load_started(w, i);
    sim_carry(w, i);
}

void sim_node_stop(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    core_assert(n->dht);
    if (w->flow && w->flow->node_down)
        w->flow->node_down(w, i);
    sim_load_stopped(w, i);
    w->bytes_done += n->dht->bytes_out;
    objects_free(w, n);
    sim_events_deadline(w->events, i, CORE_NEVER);
    w->up--;
}

/* What the DHT alone says is worth keeping (a whole node says it by EFFECT_PERSIST). */
void sim_node_save(struct sim_world *w, uint32_t i, struct bytes bytes)
{
    struct sim_node *n = &w->nodes[i];
    struct node_addr contacts[SAVED_CONTACTS];
    if (!w->config->churn.keep_contacts || sim_fault_disk_full(w, i))
        return;
    if (!n->node) {
        uint32_t count = dht_contacts(n->dht, contacts, SAVED_CONTACTS);
        bytes = bytes_of((const uint8_t *)contacts, count * sizeof contacts[0]);
    }
    uint8_t *saved = bytes.size ? realloc(n->saved, bytes.size) : NULL;
    if (!saved)
        return;
    memcpy(saved, bytes.data, bytes.size);
    n->saved = saved;
    n->saved_size = (uint32_t)bytes.size;
}

void sim_node_event(struct sim_world *w, const struct sim_event *e)
{
    struct sim_node *n = &w->nodes[e->to];
    if (e->kind == SIM_EVENT_START) {
        if (!n->dht && e->a == n->life)
            sim_node_start(w, e->to);
        return;
    }
    if (!n->dht || e->a != n->life || w->quiet)
        return;
    sim_node_stop(w, e->to);
    if (e->kind == SIM_EVENT_CRASH) {
        sim_world_at(w, w->now + CORE_SECONDS(1), e->to, e->to, SIM_EVENT_START, n->life, 0, NULL);
    } else {
        core_time away = span_draw(&w->config->churn.offline, &n->churn);
        if (away != CORE_NEVER)
            sim_world_at(w, core_time_add(w->now, away), e->to, e->to, SIM_EVENT_START, n->life, 0, NULL);
    }
}
