/* A DHT node looked at from outside: contacts worth keeping, figures for `status`, and every invariant. */
#include "dht/diversity.h"
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

uint32_t dht_contacts(const struct dht_node *n, struct node_addr *out, uint32_t max)
{
    uint32_t count = 0;
    for (int f = 0; f < DHT_FAMILIES; f++) {
        const struct dht_table *t = n->tables[f];
        for (uint32_t age = 0, more = 1; t && more && count < max; age++) {
            more = 0; /* the oldest of every bucket, then the second oldest... */
            for (unsigned b = 0; b < DHT_BUCKETS && count < max; b++) {
                uint16_t i = t->buckets[b].live;
                for (uint32_t skip = age; skip && i != DHT_NO_SLOT; skip--)
                    i = t->next[i];
                if (i == DHT_NO_SLOT)
                    continue;
                more = 1;
                if (dht_contact_fails(&t->slab[i]) >= DHT_FAILS_FLAKY)
                    continue;
                memcpy(out[count].key, t->slab[i].key, NODE_KEY_SIZE);
                out[count++].addr = t->slab[i].addr;
            }
        }
    }
    return count;
}

void dht_status(const struct dht_node *n, struct dht_status *out)
{
    memset(out, 0, sizeof *out);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        if (!n->tables[f])
            continue;
        out->contacts += dht_table_count(n->tables[f], false);
        out->contacts_live += dht_table_count(n->tables[f], true);
        out->replacements += dht_table_spares(n->tables[f]);
        for (uint16_t i = 0; i < n->tables[f]->slots; i++)
            if (n->tables[f]->slab[i].addr.port && dht_prefix_limited(&n->tables[f]->slab[i].addr, n->config->private_limits))
                out->prefix_limits = true;
    }
    out->pending = n->pending.used;
    for (const struct dht_lookup *l = n->lookups; l; l = l->next)
        out->lookups++;
    out->records = n->storage.count;
    out->announced = n->announce.count - n->announce.gone_count;
    out->announced_stored = n->announce.stored_count;
    out->network_size = dht_network_size(n);
    out->observed = n->votes.address;
    out->joined = n->joined;
    out->unsolicited_seen = n->unsolicited_seen;
    out->datagrams_in = n->datagrams_in;
    out->datagrams_out = n->datagrams_out;
    out->bytes_in = n->bytes_in;
    out->bytes_out = n->bytes_out;
    out->malformed = n->malformed;
    out->unsolicited = n->unsolicited;
    out->over_quota = n->over_quota;
    out->lookups_done = n->lookups_done;
    out->lookups_failed = n->lookups_failed;
    out->lookup_hops_mean_x100 = n->lookups_done ? (uint32_t)(n->hops_sum * 100 / n->lookups_done) : 0;
    out->lookup_rtt_mean_us = n->rtt_count ? (uint32_t)(n->rtt_sum_us / n->rtt_count) : 0;
}

void dht_check(const struct dht_node *n)
{
    uint32_t refreshing = 0, walking = 0, republishing = 0;
    core_assert(!n->out);
    for (int f = 0; f < DHT_FAMILIES; f++)
        if (n->tables[f])
            dht_table_check(n->tables[f]);
    dht_pendings_check(&n->pending);
    dht_storage_check(&n->storage);
    dht_announce_check(&n->announce);
    dht_handover_check(n);
    for (const struct dht_lookup *l = n->lookups; l; l = l->next) {
        dht_lookup_check(l);
        refreshing += l->mode == DHT_MODE_REFRESH || l->mode == DHT_MODE_SELF;
        walking += l->mode == DHT_MODE_ANNOUNCE;
        republishing += l->mode == DHT_MODE_REPUBLISH;
    }
    core_assert(refreshing == n->refreshing);
    core_assert(walking == n->walking);
    core_assert(republishing == n->republishing);
    for (uint16_t i = 0; i < n->pending.size; i++) {
        const struct dht_lookup *l = n->lookups;
        while (l && l != n->pending.slots[i].lookup)
            l = l->next;
        core_assert(l == n->pending.slots[i].lookup);
    }
    core_assert(n->deadline <= n->pending.next);
    for (int t = 0; t < DHT_TIMERS; t++)
        core_assert(n->deadline <= n->timers[t]);
}
