/* What people do: look up, publish, announce, fetch; and what became of it. A load is a clock per node and
 * kind, drawn from the node's own stream. Every operation that a node accepted must end with one DONE notice;
 * the check sees to it. */
#include "simnet/world/world.h"

#include "dht/node_state.h"
#include "simnet/world/names.h"
#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP_LONGEST    CORE_MINUTES(5)
#define STORAGE_AMPLE 4096 /* records a node may hold without refusing anybody in small worlds */
#define NOBODY        UINT32_MAX

struct published {
    uint8_t key[DHT_KEY_SIZE];
    uint32_t node, life;
    core_time stored, withdrawn; /* CORE_NEVER: not yet */
};

struct sim_loads {
    struct published *announced;
    uint32_t count, cap;
    uint32_t *profiles; /* nodes whose profile was stored */
    uint32_t profile_count, profile_cap;
};

struct sim_measures {
    uint32_t time[SIM_LOADS], success[SIM_LOADS], asked[SIM_LOADS], refused, up, owed, ghosts;
};

static const char *const load_names[SIM_LOADS] = {"lookup", "get", "announce", "fetch",
                                                "withdraw", "miss", "profile"};

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void sim_loads_new(struct sim_world *w)
{
    char name[64];
    sim_names_new(w);
    w->loads = must(calloc(1, sizeof *w->loads));
    w->ids = must(calloc(1, sizeof *w->ids));
    for (int l = 0; l < SIM_LOADS; l++) {
        snprintf(name, sizeof name, "%s.time", load_names[l]);
        w->ids->time[l] = sim_metric_declare(w->metrics, name, SIM_SAMPLE, SIM_UNIT_US);
        snprintf(name, sizeof name, "%s.success", load_names[l]);
        w->ids->success[l] = sim_metric_declare(w->metrics, name, SIM_RATIO, SIM_UNIT_PPM);
        snprintf(name, sizeof name, "%s.asked", load_names[l]);
        w->ids->asked[l] = sim_metric_declare(w->metrics, name, SIM_SAMPLE, SIM_UNIT_COUNT);
    }
    w->ids->refused = sim_metric_declare(w->metrics, "operations.refused", SIM_COUNTER, SIM_UNIT_COUNT);
    w->ids->owed = sim_metric_declare(w->metrics, "progress.owed", SIM_COUNTER, SIM_UNIT_COUNT);
    w->ids->ghosts = sim_metric_declare(w->metrics, "progress.ghosts", SIM_COUNTER, SIM_UNIT_COUNT);
    w->ids->up = sim_metric_declare(w->metrics, "nodes.up", SIM_SERIES, SIM_UNIT_COUNT);
}

void sim_loads_free(struct sim_world *w)
{
    sim_names_free(w);
    free(w->loads->announced);
    free(w->loads->profiles);
    free(w->loads);
    free(w->ids);
}

static const struct sim_span *span_of(const struct sim_world *w, uint32_t load)
{
    const struct sim_span *const spans[SIM_LOADS] = {&w->config->load.lookup, &w->config->load.get,
                                                     &w->config->load.announce, &w->config->load.fetch,
                                                     &w->config->load.withdraw, &w->config->load.miss, NULL};
    return spans[load];
}

static void again(struct sim_world *w, uint32_t i, uint32_t load, bool first)
{
    struct sim_node *n = &w->nodes[i];
    core_time gap = sim_span_draw(span_of(w, load), &n->load);
    if (gap == CORE_NEVER)
        return;
    if (first && span_of(w, load)->kind == SIM_CONSTANT)
        gap = sim_random_below(&n->load, gap + 1); /* or all would ask at once */
    sim_world_at(w, core_time_add(w->now, gap), i, i, SIM_EVENT_LOAD, load, n->life, NULL);
}

void sim_load_started(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    sim_names_started(w, i);
    if (n->hostile)
        return;
    for (uint32_t load = 0; load < SIM_LOAD_PROFILE; load++)
        again(w, i, load, true);
    if (w->config->load.profiles && n->life == 1) {
        struct sim_random r;
        sim_random_init(&r, w->seed, i, SIM_DRAW_LOAD);
        r.counter = 1ull << 40; /* apart from the node's other draws */
        if (sim_random_below(&r, SIM_PPM) < w->config->load.profiles)
            sim_world_at(w, w->now + CORE_SECONDS(10) + sim_random_below(&r, CORE_SECONDS(120)), i, i,
                         SIM_EVENT_LOAD, SIM_LOAD_PROFILE, n->life, NULL);
    }
}

void sim_load_stopped(struct sim_world *w, uint32_t i)
{
    struct sim_op *next;
    for (struct sim_op *op = w->nodes[i].ops; op; op = next) {
        next = op->next;
        pool_give(&w->ops, op);
    }
    w->nodes[i].ops = NULL;
}

/* ---- Beginning ---- */

static uint32_t publish_key(struct sim_world *w, uint32_t i, uint8_t key[DHT_KEY_SIZE])
{
    struct sim_loads *l = w->loads;
    struct sim_node *n = &w->nodes[i];
    for (int k = 0; k < DHT_KEY_SIZE; k += 8)
        put_be64(key + k, sim_random_u64(&n->load));
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 256;
        l->announced = must(realloc(l->announced, l->cap * sizeof *l->announced));
    }
    l->announced[l->count] = (struct published){.node = i, .life = n->life, .stored = CORE_NEVER, .withdrawn = CORE_NEVER};
    memcpy(l->announced[l->count].key, key, DHT_KEY_SIZE);
    return l->count++;
}

/* Long enough ago that every holder must have dropped it, with a minute for records that were still under way. */
static bool forgotten(const struct sim_world *w, const struct published *p)
{
    return p->withdrawn != CORE_NEVER &&
           w->now > p->withdrawn + w->config->node.dht.provider_life + CORE_MINUTES(1);
}

/* A key whose publisher still runs, so that it renews it; or one that must be forgotten by now. */
static uint32_t fetch_target(struct sim_world *w, uint32_t i, uint8_t key[DHT_KEY_SIZE])
{
    struct sim_loads *l = w->loads;
    for (int tries = 0; l->count && tries < 16; tries++) {
        uint32_t t = (uint32_t)sim_random_below(&w->nodes[i].load, l->count);
        const struct published *p = &l->announced[t];
        if (!forgotten(w, p) && p->withdrawn != CORE_NEVER)
            continue;
        if (p->stored == CORE_NEVER || p->node == i || p->life != w->nodes[p->node].life ||
            !w->nodes[p->node].dht)
            continue;
        memcpy(key, p->key, DHT_KEY_SIZE);
        return t;
    }
    return NOBODY;
}

static uint32_t lookup_target(struct sim_world *w, uint32_t i, uint8_t key[DHT_KEY_SIZE])
{
    struct sim_random *r = &w->nodes[i].load;
    for (int k = 0; k < DHT_KEY_SIZE; k += 8)
        put_be64(key + k, sim_random_u64(r));
    for (int tries = 0; w->config->load.live_targets && tries < 64; tries++) {
        uint32_t t = (uint32_t)sim_random_below(r, w->count);
        if (t == i || !w->nodes[t].dht || w->nodes[t].hostile)
            continue;
        node_position(key, w->nodes[t].me.key, w->env.crypto);
        return t;
    }
    return NOBODY;
}

/* No operation: the node just stops to renew the key. */
static int withdraw(struct sim_world *w, uint32_t i)
{
    struct sim_loads *l = w->loads;
    for (int tries = 0; l->count && tries < 16; tries++) {
        struct published *p = &l->announced[sim_random_below(&w->nodes[i].load, l->count)];
        if (p->node != i || p->life != w->nodes[i].life || p->withdrawn != CORE_NEVER)
            continue;
        dht_unannounce(w->nodes[i].dht, p->key);
        p->withdrawn = w->now;
        break;
    }
    return ERR_NOT_FOUND;
}

static int put_profile(struct sim_world *w, uint32_t i, uint32_t op)
{
    struct sim_node *n = &w->nodes[i];
    uint8_t key[DHT_KEY_SIZE], value[DHT_VALUE_MAX] = {0}, record[DHT_RECORD_WIRE_MAX];
    node_position(key, n->me.key, w->env.crypto);
    uint64_t unix_s = sim_fault_unix_ms(w, i) / 1000;
    uint64_t expiry_s = unix_s + w->config->node.dht.profile_life / 1000000;
    uint32_t size =
        w->config->load.profile_bytes < DHT_VALUE_MAX ? w->config->load.profile_bytes : DHT_VALUE_MAX;
    size_t total = dht_record_sign(record, sizeof record, DHT_PROFILE, key, unix_s, expiry_s,
                                   bytes_of(value, size), &n->me, &w->network, w->env.crypto);
    return dht_put(n->dht, w->now, DHT_PROFILE, key, bytes_of(record, total), op, sim_out(w));
}

static int begin(struct sim_world *w, uint32_t i, uint32_t load, struct sim_op *op)
{
    struct sim_node *n = &w->nodes[i];
    uint8_t key[DHT_KEY_SIZE];
    switch (load) {
    case SIM_LOAD_LOOKUP:
        op->target = lookup_target(w, i, key);
        return dht_find(n->dht, w->now, key, op->op, sim_out(w));
    case SIM_LOAD_GET:
        if (!w->loads->profile_count)
            return ERR_NOT_FOUND;
        op->target = w->loads->profiles[sim_random_below(&n->load, w->loads->profile_count)];
        node_position(key, w->nodes[op->target].me.key, w->env.crypto);
        return dht_get(n->dht, w->now, DHT_PROFILE, key, op->op, sim_out(w));
    case SIM_LOAD_ANNOUNCE:
        op->target = publish_key(w, i, key);
        return dht_announce(n->dht, w->now, key, true, op->op, sim_out(w));
    case SIM_LOAD_FETCH:
        op->target = fetch_target(w, i, key);
        return op->target == NOBODY ? ERR_NOT_FOUND
                                    : dht_get(n->dht, w->now, DHT_PROVIDER, key, op->op, sim_out(w));
    case SIM_LOAD_MISS:
        for (int k = 0; k < DHT_KEY_SIZE; k += 8)
            put_be64(key + k, sim_random_u64(&n->load));
        return dht_get(n->dht, w->now, DHT_PROVIDER, key, op->op, sim_out(w));
    case SIM_LOAD_WITHDRAW:
        return withdraw(w, i);
    default:
        return put_profile(w, i, op->op);
    }
}

/* Must it succeed? Faults have been over for a while, and what it looks for was stored since. */
static bool demanded(const struct sim_world *w, uint32_t i, uint32_t load, uint32_t target)
{
    if (w->now < w->demand_at || w->nodes[i].hostile)
        return false;
    /* Nodes that may keep only a few records must refuse most: then only look-ups are owed. */
    if (w->config->node.dht.records_max < STORAGE_AMPLE)
        return load == SIM_LOAD_LOOKUP;
    if (load == SIM_LOAD_FETCH)
        return w->loads->announced[target].stored >= w->demand_at &&
               w->loads->announced[target].withdrawn == CORE_NEVER;
    return load != SIM_LOAD_GET && load != SIM_LOAD_PROFILE;
}

void sim_load_event(struct sim_world *w, const struct sim_event *e)
{
    struct sim_node *n = &w->nodes[e->to];
    uint32_t load = (uint32_t)e->a;
    if (load >= SIM_NAMES_LOADS) {
        sim_names_event(w, e);
        return;
    }
    if (!n->dht || e->b != n->life)
        return;
    struct sim_op *op = must(pool_take(&w->ops));
    op->load = load;
    op->began = w->now;
    op->op = n->op = n->op % NODE_OP_MAX + 1;
    op->next = n->ops;
    n->ops = op;
    int status = begin(w, e->to, load, op);
    op->demanded = status == 0 && demanded(w, e->to, load, op->target);
    op->ghost = status == 0 && load == SIM_LOAD_FETCH && forgotten(w, &w->loads->announced[op->target]);
    if (op->demanded)
        sim_metric_add(w->metrics, w->ids->owed, 1);
    if (op->ghost)
        sim_metric_add(w->metrics, w->ids->ghosts, 1);
    if (status != 0) {
        n->ops = op->next;
        pool_give(&w->ops, op);
        if (status != ERR_NOT_FOUND)
            sim_metric_add(w->metrics, w->ids->refused, 1);
    }
    sim_carry(w, e->to);
    if (load != SIM_LOAD_PROFILE)
        again(w, e->to, load, false);
}

/* ---- Ending ---- */

static void profile_stored(struct sim_world *w, uint32_t i)
{
    struct sim_loads *l = w->loads;
    if (l->profile_count == l->profile_cap) {
        l->profile_cap = l->profile_cap ? 2 * l->profile_cap : 256;
        l->profiles = must(realloc(l->profiles, l->profile_cap * sizeof *l->profiles));
    }
    l->profiles[l->profile_count++] = i;
}

static bool succeeded(struct sim_world *w, uint32_t i, struct sim_op *op, const struct effect *x)
{
    switch (op->load) {
    case SIM_LOAD_LOOKUP:
        return op->target == NOBODY ? x->u.notice.status == 0 : op->found;
    case SIM_LOAD_MISS: /* nobody has it: found is who could know */
        return x->u.notice.a > 0;
    case SIM_LOAD_ANNOUNCE:
        if (x->u.notice.a > 0)
            w->loads->announced[op->target].stored = w->now;
        return x->u.notice.a > 0;
    case SIM_LOAD_PROFILE:
        if (x->u.notice.a > 0)
            profile_stored(w, i);
        return x->u.notice.a > 0;
    default:
        return op->found;
    }
}

static void ended(struct sim_world *w, uint32_t i, struct sim_op **link, const struct effect *x)
{
    struct sim_op *op = *link;
    uint32_t target = op->target;
    bool ok = succeeded(w, i, op, x);
    /* The publisher may have stopped meanwhile: then nobody owes the key to anybody. */
    if ((op->load == SIM_LOAD_FETCH || op->load == SIM_LOAD_ANNOUNCE) &&
        w->loads->announced[target].withdrawn != CORE_NEVER)
        op->demanded = false;
    if (op->ghost && ok)
        sim_fail(w, "node %u found a provider that took its key back %.0f s ago", i,
                 (double)(w->now - w->loads->announced[target].withdrawn) / 1e6);
    if (op->load == SIM_LOAD_FETCH && !ok &&
        w->loads->announced[target].life != w->nodes[w->loads->announced[target].node].life)
        op->demanded = false;
    if (op->load == SIM_LOAD_LOOKUP && target != NOBODY && !w->nodes[target].dht)
        ok = true; /* looked for a node that left */
    if (ok)
        sim_metric_add(w->metrics, w->ids->time[op->load], w->now - op->began);
    sim_metric_add(w->metrics, w->ids->success[op->load], ok);
    sim_metric_add(w->metrics, w->ids->asked[op->load], x->u.notice.b);
    if (op->demanded && !ok)
        sim_fail(w,
                 "faults are over, and node %u's %s of %.3f s ended with status %d, %llu of %llu answered "
                 "(%u nodes up)",
                 i, load_names[op->load], (double)(op->began - w->begin) / 1e6, x->u.notice.status,
                 (unsigned long long)x->u.notice.a, (unsigned long long)x->u.notice.b, w->up);
    *link = op->next;
    pool_give(&w->ops, op);
}

bool sim_load_notice(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes)
{
    uint32_t kind = x->u.notice.kind;
    if (sim_names_notice(w, i, x, bytes))
        return true;
    struct sim_op **link = &w->nodes[i].ops;
    if (!x->u.notice.op ||
        !(kind == NODE_NOTICE_STORED || (kind >= DHT_NOTICE_NODE && kind <= DHT_NOTICE_REFUSED)))
        return false;
    while (*link && (*link)->op != x->u.notice.op)
        link = &(*link)->next;
    struct sim_op *op = *link;
    if (!op)
        return false;
    if (kind == DHT_NOTICE_NODE && op->target != NOBODY)
        op->found =
            op->found || memcmp(x->u.notice.node.key, w->nodes[op->target].me.key, NODE_KEY_SIZE) == 0;
    else if (kind == DHT_NOTICE_PROVIDER)
        op->found =
            op->found || memcmp(x->u.notice.node.key, w->nodes[w->loads->announced[op->target].node].me.key,
                                NODE_KEY_SIZE) == 0;
    else if (kind == DHT_NOTICE_RECORD)
        op->found = true;
    else if (kind == DHT_NOTICE_DONE || kind == DHT_NOTICE_ANNOUNCED || kind == NODE_NOTICE_STORED)
        ended(w, i, link, x);
    return true;
}

void sim_load_check(struct sim_world *w)
{
    sim_metric_point(w->metrics, w->ids->up, w->now - w->begin, w->up);
    if (!w->config->scenario.check_every)
        return;
    for (uint32_t i = 0; i < w->count; i++) {
        /* Announcements wait for the node to join, however long that takes. */
        for (const struct sim_op *op = w->nodes[i].ops; op; op = op->next)
            if (op->load != SIM_LOAD_ANNOUNCE && w->now - op->began > OP_LONGEST)
                sim_fail(w, "node %u's %s of %.3f s never ended", i, load_names[op->load],
                         (double)(op->began - w->begin) / 1e6);
    }
}
