/* The oracle: every node's table as it would be after a long life in a network where nobody left, so that a
 * hundred thousand nodes need no join. Buckets get up to k nodes drawn from their range; how long ago a
 * bucket was looked at and a contact answered is spread over one refresh period, as it would be. Reports of
 * runs with it say so. */
#include "simnet/world/world.h"

#include "dht/node_state.h"
#include "node/base/assert.h"

#include <stdlib.h>

struct placed {
    uint64_t position;
    uint32_t node;
};

static int by_position(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* First index at or after `position`. */
static uint32_t lower(const struct placed *all, uint32_t count, uint64_t position)
{
    uint32_t least = 0, most = count;
    while (least < most) {
        uint32_t middle = least + (most - least) / 2;
        if (all[middle].position < position)
            least = middle + 1;
        else
            most = middle;
    }
    return least;
}

static void fill_bucket(struct sim_world *w, struct sim_node *n, const struct placed *all, unsigned bucket,
                        struct sim_random *r)
{
    struct dht_table *t = n->dht->tables[DHT_V4];
    uint64_t bit = 1ull << (63 - bucket);
    uint64_t low = (n->dht->self ^ bit) & ~(bit - 1);
    uint32_t from = lower(all, w->count, low), to = lower(all, w->count, low + (bit - 1));
    uint32_t many = to - from, want = dht_table_bucket_cap(t, bucket);
    uint32_t period_s = (uint32_t)(w->config->node.dht.refresh / 1000000u);
    uint32_t start = many > want ? (uint32_t)sim_random_below(r, many) : 0, step = 1;
    if (many > want) /* spread over the range: a step that hits each at most once */
        step = 1 + (uint32_t)sim_random_below(r, many / want);
    for (uint32_t k = 0; k < want && k < many; k++) {
        const struct placed *p = &all[from + (start + (uint64_t)k * step) % many];
        const struct sim_node *o = &w->nodes[p->node];
        if (o == n || o->nat)
            continue;
        core_time rtt = 2 * sim_delay(w, n->index, o->index);
        dht_table_answered(t, o->me.key, p->position, &o->addr, rtt, (uint32_t)sim_random_below(r, period_s));
    }
    t->buckets[bucket].touched_s = (uint32_t)sim_random_below(r, period_s);
}

static void fill_node(struct sim_world *w, uint32_t i, const struct placed *all)
{
    struct sim_node *n = &w->nodes[i];
    struct sim_random r;
    sim_random_init(&r, w->seed, i, SIM_DRAW_FILL);
    for (unsigned b = 0; b < DHT_BUCKETS; b++) {
        uint64_t bit = 1ull << (63 - b);
        fill_bucket(w, n, all, b, &r);
        if (w->count >> (b < 31 ? b : 31) == 0 && bit)
            break;
    }
    struct dht_node *d = n->dht;
    d->joined = true;
    dht_vote_size(&d->votes, w->count);
    d->now = w->now;
    d->last_heard = w->now;
    d->timers[DHT_TIMER_REFRESH] = w->now + sim_random_below(&r, CORE_SECONDS(30));
    d->timers[DHT_TIMER_STALE] = w->now + sim_random_below(&r, CORE_SECONDS(30));
    d->timers[DHT_TIMER_PERSIST] = w->now + CORE_SECONDS(30) + sim_random_below(&r, CORE_MINUTES(30));
    d->deadline = core_time_min(d->timers[DHT_TIMER_REFRESH], d->timers[DHT_TIMER_STALE]);
}

void sim_fill(struct sim_world *w)
{
    struct placed *all = calloc(w->count, sizeof *all);
    if (!all) {
        sim_fail(w, "no memory to fill tables");
        return;
    }
    w->filling_up = true;
    for (uint32_t i = 0; i < w->count && !w->failure[0]; i++)
        sim_node_start(w, i);
    for (uint32_t i = 0; i < w->count && !w->failure[0]; i++)
        all[i] = (struct placed){w->nodes[i].dht->self, i};
    qsort(all, w->count, sizeof *all, by_position);
    for (uint32_t i = 0; i < w->count && !w->failure[0]; i++) {
        fill_node(w, i, all);
        sim_carry(w, i);
    }
    w->filling_up = false;
    free(all);
}
