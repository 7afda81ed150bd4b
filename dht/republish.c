/* Holders keep signed records alive: each publishes a record again a day after it last saw it published by anybody, one at a time. */
#include "dht/node_state.h"
#include <string.h>

#define SCAN_PER_STEP 512

uint32_t dht_record_life_s(const struct dht_node *n, uint8_t kind, uint64_t sequence, uint64_t expiry_s)
{
    core_time life = kind == DHT_KEYWORD ? n->config->keyword_life : n->config->profile_life;
    uint64_t max_s = life / 1000000u;
    uint64_t unix_s = dht_vote_unix_ms(&n->votes, n->now) / 1000;
    /* Without a clock: a sequence is the publisher's Unix time [ms], so the record says itself how long it was meant to live. */
    if (unix_s == 0)
        unix_s = sequence / 1000;
    if (expiry_s <= unix_s)
        return 0;
    return (uint32_t)(expiry_s - unix_s < max_s ? expiry_s - unix_s : max_s);
}

uint32_t dht_republish_at(struct dht_node *n, uint8_t kind)
{
    if (kind != DHT_PROFILE && kind != DHT_NICK)
        return 0; /* its publisher renews it */
    return dht_now_s(n) + (uint32_t)(rng_jitter(&n->rng, n->config->profile_republish, 20) / 1000000u);
}

static bool publish(struct dht_node *n, struct dht_stored *r)
{
    struct dht_lookup *l = dht_lookup_start(n, DHT_MODE_REPUBLISH, r->key, n->config->k);
    if (!l)
        return false;
    l->kind = r->kind;
    l->record_size = r->size;
    dht_stored_copy(r, l->record);
    r->republish_s = dht_republish_at(n, r->kind);
    return true;
}

void dht_republish_step(struct dht_node *n)
{
    struct dht_storage *s = &n->storage;
    uint32_t now_s = dht_now_s(n);
    n->timers[DHT_TIMER_REPUBLISH] = CORE_NEVER;
    if (n->republishing || s->count == 0)
        return; /* the end of the one under way, or the next record, calls again */
    for (uint32_t i = 0; i < SCAN_PER_STEP; i++, n->republish_cursor++) {
        if (n->republish_cursor >= s->count) {
            n->republish_cursor = 0;
            n->timers[DHT_TIMER_REPUBLISH] = n->now + n->config->profile_republish / 64;
            return;
        }
        struct dht_stored *r = s->heap[n->republish_cursor];
        if (!r->republish_s || r->republish_s > now_s || r->expires_s <= now_s)
            continue;
        if (!publish(n, r))
            n->timers[DHT_TIMER_REPUBLISH] = n->now + CORE_SECONDS(10);
        n->republish_cursor++;
        return;
    }
    n->timers[DHT_TIMER_REPUBLISH] = n->now + CORE_SECONDS(1);
}
