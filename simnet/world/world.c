/* The loop: the next event, the node it is for, what that node wants done. */
#include "simnet/world/world.h"

#include "dht/node_state.h"
#include "node/base/assert.h"
#include "node/channel/key_pool.h"
#include "simnet/engine/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK           CORE_SECONDS(10)
#define SPIN_MOST      2000            /* wakes of one node at one time */
#define PROGRESS_IN    CORE_MINUTES(3) /* after faults stop, what begins must succeed */
#define RECORDS_MAX    200000000u
#define LARGE_WORLD    2000 /* nodes; smaller ones stay in the cache */
#define PREFETCH_BYTES 3072 /* of a node: its state, its table's buckets and links */

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list list;
    if (w->failure[0])
        return;
    va_start(list, format);
    int n = snprintf(w->failure, sizeof w->failure, "at %.3f s: ", (double)(w->now - w->begin) / 1e6);
    vsnprintf(w->failure + n, sizeof w->failure - (size_t)n, format, list);
    va_end(list);
}

/* ---- Memory that nodes hold: counted, so that its return to the baseline can be demanded. ---- */

static void *counted_alloc(void *context, size_t size)
{
    struct sim_world *w = context;
    uint64_t *p = calloc(1, size + 16);
    if (!p)
        return NULL;
    *p = size;
    w->held += size;
    return p + 2;
}

static void counted_free(void *context, void *memory)
{
    struct sim_world *w = context;
    if (!memory)
        return;
    uint64_t *p = (uint64_t *)memory - 2;
    core_assert(w->held >= *p);
    w->held -= *p;
    free(p);
}

/* ---- Building ---- */

static void identities(struct sim_world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct sim_node *n = &w->nodes[i];
        uint8_t seed[NODE_SEED_SIZE];
        for (uint32_t k = 0; k < 4; k++)
            put_be64(seed + 8 * k, sim_hash(w->seed ^ (uint64_t)SIM_DRAW_IDENTITY << 56, i, k));
        w->env.crypto->identity(&n->me, seed);
        n->index = i;
        sim_random_init(&n->churn, w->seed, i, SIM_DRAW_CHURN);
        sim_random_init(&n->load, w->seed, i, SIM_DRAW_LOAD);
    }
}

static bool batches_new(struct sim_world *w)
{
    for (int b = 0; b < 2; b++) {
        struct effect *items = calloc(2 * NODE_EFFECTS_PER_CALL, sizeof *items);
        uint8_t *bytes = malloc(2 * NODE_EFFECT_BYTES_PER_CALL);
        effects_init(&w->batch[b], items, 2 * NODE_EFFECTS_PER_CALL, bytes, 2 * NODE_EFFECT_BYTES_PER_CALL);
        if (!items || !bytes)
            return false;
    }
    return true;
}

static void world_release(struct sim_world *w)
{
    for (int b = 0; b < 2; b++) {
        free(w->batch[b].items);
        free(w->batch[b].bytes);
    }
    for (uint32_t i = 0; w->nodes && i < w->count; i++) {
        free(w->nodes[i].saved);
        free(w->nodes[i].holes);
    }
    sim_alloc_large.free(NULL, w->nodes);
    free(w);
}

struct sim_world *sim_world_new(const struct sim_config *config, struct sim_metrics *metrics,
                                const struct sim_flow *flow)
{
    struct sim_world *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->config = config;
    w->metrics = metrics;
    w->flow = flow;
    w->seed = config->scenario.seed;
    w->count = config->scenario.nodes;
    w->now = w->begin = config->node.dht.refresh +
                        CORE_SECONDS(1); /* so that an oracle's nodes have lived for one refresh period */
    w->end = w->begin + config->scenario.warm + config->scenario.measure;
    w->demand_at = config->fault.quiet_at ? w->begin + config->fault.quiet_at + PROGRESS_IN : CORE_NEVER;
    w->carrying = UINT32_MAX;
    w->alloc = (struct core_alloc){counted_alloc, counted_free, w};
    const struct core_crypto *crypto =
        config->scenario.crypto == SIM_CRYPTO_REAL ? &core_crypto_real : &core_crypto_cheap;
    uint32_t pooled = config->scenario.crypto == SIM_CRYPTO_REAL ? config->node.key_pool : 0;
    sim_trace_init(&w->trace);
    w->nodes = sim_alloc_large.alloc(NULL, w->count * sizeof *w->nodes);
    w->events = sim_events_new(w->count);
    w->env = (struct dht_env){&config->node.dht, crypto,      key_pool_new(&core_alloc_libc, crypto, pooled),
                              &w->alloc,         &w->lookups, &w->records};
    w->xfer_env = (struct xfer_env){&config->node.xfer, crypto, &w->alloc};
    if (!w->nodes || !w->events || !w->env.keys || !batches_new(w)) {
        sim_events_free(w->events, NULL, NULL);
        key_pool_free(w->env.keys);
        world_release(w);
        return NULL;
    }
    memset(w->network.id, 0x51, sizeof w->network.id);
    sim_pool_init(&w->dhts, dht_node_size(&config->node.dht), w->count, w->count);
    sim_pool_init(&w->lookups, dht_lookup_size(&config->node.dht), 64 + 16 * w->count, w->count / 16);
    sim_pool_init(&w->records, dht_record_size(), RECORDS_MAX, w->count);
    sim_pool_init(&w->datagrams, DATAGRAM_MAX, 64u << 20, w->count / 8);
    pool_init(&w->ops, &core_alloc_libc, sizeof(struct sim_op), UINT32_MAX - 1);
    identities(w);
    sim_place_nodes(w);
    sim_loads_new(w);
    if (flow && flow->begin)
        flow->begin(w);
    return w;
}

static void event_drop(void *context, struct sim_event *e)
{
    struct sim_world *w = context;
    if (e->kind == SIM_EVENT_DATAGRAM)
        pool_give(&w->datagrams, e->data);
    else if (e->kind >= SIM_EVENT_FLOW && w->flow && w->flow->drop)
        w->flow->drop(w, e);
}

void sim_world_free(struct sim_world *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].dht)
            sim_node_stop(w, i);
    if (w->flow && w->flow->end)
        w->flow->end(w);
    sim_events_free(w->events, event_drop, w);
    core_assert(w->held == 0); /* memory back to its baseline */
    sim_loads_free(w);
    pool_fini(&w->dhts);
    pool_fini(&w->lookups);
    pool_fini(&w->records);
    pool_fini(&w->datagrams);
    pool_fini(&w->ops);
    key_pool_free(w->env.keys);
    world_release(w);
}

/* ---- Effects ---- */

static void *grow(void *memory, size_t size)
{
    void *p = realloc(memory, size);
    if (!p) {
        fprintf(stderr, "simnet: out of memory for effects\n");
        abort();
    }
    return p;
}

struct effects *sim_out(struct sim_world *w)
{
    struct effects *e = &w->batch[w->filling];
    if (!effects_room(e, NODE_EFFECTS_PER_CALL, 0)) {
        e->cap *= 2;
        e->items = grow(e->items, e->cap * sizeof *e->items);
    }
    if (!effects_room(e, 0, NODE_EFFECT_BYTES_PER_CALL)) {
        e->bytes_cap *= 2;
        e->bytes = grow(e->bytes, e->bytes_cap);
    }
    return e;
}

static void carry_out(struct sim_world *w, uint32_t i, const struct effects *e, const struct effect *x)
{
    struct bytes bytes = effects_bytes(e, x);
    switch (x->kind) {
    case EFFECT_DATAGRAM:
        sim_send(w, i, &x->u.datagram.to, bytes);
        return;
    case EFFECT_PERSIST:
        sim_node_save(w, i, bytes);
        return;
    case EFFECT_NOTICE:
        if (x->u.notice.kind == NODE_NOTICE_CONSUMED)
            return;
        if (x->u.notice.kind == DHT_NOTICE_PERSIST) {
            sim_node_save(w, i, bytes);
            return;
        }
        if (sim_load_notice(w, i, x, bytes))
            return;
        break;
    default:
        break;
    }
    if (w->flow && w->flow->effect)
        w->flow->effect(w, i, x, bytes);
}

void sim_carry(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    core_assert(w->carrying == UINT32_MAX || w->carrying == i);
    if (w->carrying == i) {
        w->again = true;
        return;
    }
    w->carrying = i;
    do {
        struct effects *e = &w->batch[w->filling];
        w->again = false;
        if (n->node)
            while (node_route(n->node, w->now, e))
                sim_out(w);
        w->filling ^= 1u;
        for (uint32_t k = 0; k < e->count && n->dht; k++)
            carry_out(w, i, e, &e->items[k]);
        effects_reset(e);
    } while ((w->again || w->batch[w->filling].count) && n->dht);
    w->carrying = UINT32_MAX;
    if (!n->dht)
        return;
    core_time at = n->node ? node_deadline(n->node) : dht_deadline(n->dht);
    at = core_time_add(at < w->now ? w->now : at, sim_fault_slow(w, i));
    sim_events_deadline(w->events, i, at);
}

void sim_world_at(struct sim_world *w, core_time at, uint32_t to, uint32_t from, uint16_t kind, uint64_t a,
                  uint64_t b, void *data)
{
    core_assert(at >= w->now);
    uint32_t *number = from == SIM_WORLD ? &w->number : &w->nodes[from].number;
    struct sim_event e = {
        .at = at, .to = to, .from = from, .number = (*number)++, .kind = kind, .a = a, .b = b, .data = data};
    sim_events_push(w->events, &e);
}

/* ---- Events ---- */

static void check_node(struct sim_world *w, uint32_t i)
{
    uint32_t every = w->config->scenario.check_every;
    if (!every || w->events_done % every || !w->nodes[i].dht)
        return;
    w->checks_done++;
    if (w->nodes[i].node)
        node_check(w->nodes[i].node);
    else
        dht_check(w->nodes[i].dht);
}

static void wake(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    if (!n->dht)
        return;
    n->wakes = n->woken == w->now ? n->wakes + 1 : 0;
    n->woken = w->now;
    if (n->wakes > SPIN_MOST) {
        sim_fail(w, "node %u was woken %u times at once: a deadline that never moves", i, n->wakes);
        return;
    }
    if (n->node)
        node_wake(n->node, w->now, sim_out(w));
    else
        dht_wake(n->dht, w->now, sim_out(w));
    sim_carry(w, i);
    check_node(w, i);
}

/* The head (who, for whom, nonce) and the seal's tag, which is a sum over all the rest. */
static void trace_datagram(struct sim_world *w, const uint8_t *data, size_t size)
{
    if (size < DATAGRAM_OVERHEAD) {
        sim_trace_bytes(&w->trace, data, size);
        return;
    }
    sim_trace_word(&w->trace, size);
    sim_trace_bytes(&w->trace, data, DATAGRAM_HEAD);
    sim_trace_bytes(&w->trace, data + size - SEAL_TAG_SIZE, SEAL_TAG_SIZE);
}

static void datagram(struct sim_world *w, const struct sim_event *e)
{
    struct sim_node *n = &w->nodes[e->to];
    if (n->dht && sim_nat_passes(w, e->to, e->from)) {
        sim_trace_word(&w->trace, e->at);
        sim_trace_word(&w->trace, (uint64_t)e->from << 32 | e->to);
        trace_datagram(w, e->data, e->size);
        const struct net_addr *from = &w->nodes[e->from].addr;
        struct net_addr seen;
        if (w->nodes[e->from].nat) {
            seen = sim_seen_from(w, e->from, e->to);
            from = &seen;
        }
        if (n->node)
            node_datagram(n->node, w->now, from, e->data, e->size, sim_out(w));
        else
            dht_recv(n->dht, w->now, from, e->data, e->size, sim_out(w));
        sim_carry(w, e->to);
        check_node(w, e->to);
    }
    pool_give(&w->datagrams, e->data);
}

static void tick(struct sim_world *w)
{
    if (w->config->fault.quiet_at && !w->quiet && w->now >= w->begin + w->config->fault.quiet_at) {
        w->quiet = true;
        for (uint32_t i = 0; i < w->count; i++) {
            if (w->nodes[i].dht)
                dht_set_unix_ms(w->nodes[i].dht, w->now, sim_fault_unix_ms(w, i));
            else if (!w->nodes[i].gone)
                sim_node_start(w, i);
        }
    }
    sim_metrics_on(w->metrics, w->now >= w->begin + w->config->scenario.warm);
    sim_load_check(w);
    if (w->config->scenario.check_every && w->flow && w->flow->check)
        w->flow->check(w);
    sim_world_at(w, w->now + TICK, SIM_WORLD, SIM_WORLD, SIM_EVENT_TICK, 0, 0, NULL);
}

static void handle(struct sim_world *w, const struct sim_event *e)
{
    switch (e->kind) {
    case SIM_EVENT_DEADLINE:
        wake(w, e->to);
        break;
    case SIM_EVENT_DATAGRAM:
        datagram(w, e);
        break;
    case SIM_EVENT_START:
    case SIM_EVENT_STOP:
    case SIM_EVENT_CRASH:
        sim_node_event(w, e);
        break;
    case SIM_EVENT_LOAD:
        sim_load_event(w, e);
        break;
    case SIM_EVENT_TICK:
        tick(w);
        break;
    default:
        core_assert(w->flow && w->flow->event);
        w->flow->event(w, e);
    }
}

static void begin(struct sim_world *w)
{
    w->begun = true;
    if (w->config->scenario.join == SIM_JOIN_ORACLE) {
        sim_fill(w);
    } else {
        core_time spread = w->config->scenario.join_spread;
        for (uint32_t i = 0; i < w->count; i++)
            sim_world_at(w, w->now + spread * i / w->count, i, i, SIM_EVENT_START, 0, 0, NULL);
    }
    sim_world_at(w, w->now, SIM_WORLD, SIM_WORLD, SIM_EVENT_TICK, 0, 0, NULL);
}

/* In a large world every event is for a node that the cache has forgotten. The next event's node is fetched
 * while this one is handled: first where it is, and one event later what it begins with. */
static void prefetch(struct sim_world *w)
{
    struct sim_event near[SIM_NEAR];
    uint32_t count = sim_events_near(w->events, near);
    for (uint32_t i = 0; i < count; i++) {
        if (near[i].to >= w->count)
            continue;
        const struct sim_node *n = &w->nodes[near[i].to];
        __builtin_prefetch(n);
        __builtin_prefetch(&n->woken);
        if (i > 1)
            continue;
        const uint8_t *dht = (const uint8_t *)n->dht, *data = near[i].data;
        for (size_t line = 0; dht && line < PREFETCH_BYTES; line += 64)
            __builtin_prefetch(dht + line);
        for (size_t line = 0; data && near[i].kind == SIM_EVENT_DATAGRAM && line < near[i].size; line += 64)
            __builtin_prefetch(data + line);
    }
}

bool sim_world_run(struct sim_world *w, core_time until)
{
    bool large = w->count >= LARGE_WORLD;
    struct sim_event e;
    if (!w->begun)
        begin(w);
    while (!w->failure[0] && sim_events_pop(w->events, until, &e)) {
        core_assert(e.at >= w->now);
        w->now = e.at;
        w->events_done++;
        if (large)
            prefetch(w);
        handle(w, &e);
    }
    if (!w->failure[0])
        w->now = until > w->now ? until : w->now;
    return !w->failure[0];
}
