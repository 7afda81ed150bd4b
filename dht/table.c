#include "dht/table.h"
#include "dht/diversity.h"
#include "node/base/assert.h"
#include <string.h>

uint8_t dht_rtt_pack(uint64_t us)
{
    if (us < 8)
        us = 8;
    if (us > UINT32_MAX / 2)
        us = UINT32_MAX / 2;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(us);
    return (uint8_t)(exponent * 8 + ((us >> (exponent - 3)) & 7));
}

uint64_t dht_rtt_unpack(uint8_t rtt)
{
    if (rtt < 24)
        return 0;
    return (uint64_t)(8 + rtt % 8) << (rtt / 8 - 3);
}

static const uint8_t large_caps[4] = {128, 64, 32, 16};

uint16_t dht_table_slots(const struct dht_config *config)
{
    /* k log2(N / k) and a tail: 225 for k = 16 at 100,000 nodes, 150 for k = 8 at a million. */
    uint32_t slots = config->k <= 8 ? config->k * 20u : config->k * 14u + 4u;
    for (unsigned b = 0; config->first_buckets_large && b < 4; b++)
        slots += large_caps[b] > config->k ? (uint32_t)large_caps[b] - config->k : 0u;
    return (uint16_t)slots;
}

size_t dht_table_links_size(const struct dht_config *config)
{
    return dht_table_slots(config) * (sizeof(uint16_t) + 2);
}

void dht_table_init(struct dht_table *t, const struct dht_config *config, uint64_t self, struct dht_contact *slab, uint16_t *links)
{
    uint16_t *next = links;
    memset(t, 0, sizeof *t);
    t->slab = slab;
    t->slots = dht_table_slots(config);
    t->next = next;
    t->key_print = (uint8_t *)(links + t->slots);
    t->site_print = t->key_print + t->slots;
    t->self = self;
    t->k = config->k;
    t->large = config->first_buckets_large;
    t->private_limits = config->private_limits;
    for (unsigned b = 0; b < DHT_BUCKETS; b++)
        t->buckets[b].live = t->buckets[b].spare = DHT_NO_SLOT;
    for (uint16_t i = 0; i < t->slots; i++)
        next[i] = i + 1 < t->slots ? (uint16_t)(i + 1) : (uint16_t)DHT_NO_SLOT;
}

unsigned dht_table_bucket(const struct dht_table *t, uint64_t position)
{
    uint64_t distance = t->self ^ position;
    unsigned shared = distance ? (unsigned)__builtin_clzll(distance) : 64;
    return shared < DHT_BUCKETS ? shared : DHT_BUCKETS - 1;
}

uint32_t dht_table_bucket_cap(const struct dht_table *t, unsigned bucket)
{
    uint32_t cap = t->k;
    if (t->large && bucket < 4 && large_caps[bucket] > cap)
        cap = large_caps[bucket];
    return cap;
}

static uint32_t spare_cap(const struct dht_table *t)
{
    return t->k / 2u;
}

static uint64_t position_of(const struct dht_contact *c)
{
    return get_be64(c->position);
}

/* One byte of the key, and one of the owner's prefix: a slot whose byte differs is passed by without touching its contact. 0: free. */
static uint8_t key_print(const uint8_t *key)
{
    return (uint8_t)(key[0] | 1);
}

static uint8_t site_print(const struct net_addr *a)
{
    const uint8_t *ip = a->ip + (net_addr_is_v4(a) ? 12 : 3);
    return (uint8_t)((ip[0] * 31u + ip[1] * 7u + ip[2]) | 1);
}

static uint16_t list_find(const struct dht_table *t, uint16_t head, const uint8_t *key)
{
    uint8_t print = key_print(key);
    while (head != DHT_NO_SLOT && (t->key_print[head] != print || memcmp(t->slab[head].key, key, NODE_KEY_SIZE) != 0))
        head = t->next[head];
    return head;
}

struct dht_contact *dht_table_find(const struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position)
{
    const struct dht_bucket *b = &t->buckets[dht_table_bucket(t, position)];
    uint16_t slot = list_find(t, b->live, key);
    if (slot == DHT_NO_SLOT)
        slot = list_find(t, b->spare, key);
    return slot == DHT_NO_SLOT ? NULL : &t->slab[slot];
}

static void list_append(struct dht_table *t, uint16_t *head, uint16_t slot)
{
    while (*head != DHT_NO_SLOT)
        head = &t->next[*head];
    *head = slot;
    t->next[slot] = DHT_NO_SLOT;
}

static void list_remove(struct dht_table *t, uint16_t *head, uint16_t slot)
{
    while (*head != slot) {
        core_assert(*head != DHT_NO_SLOT);
        head = &t->next[*head];
    }
    *head = t->next[slot];
}

static void slot_free(struct dht_table *t, uint16_t slot)
{
    memset(&t->slab[slot], 0, sizeof t->slab[slot]);
    t->key_print[slot] = t->site_print[slot] = 0;
    t->next[slot] = t->free;
    t->free = slot;
    t->used--;
}

/* Drops the oldest answer of the fullest replacement cache. */
static bool spare_drop(struct dht_table *t)
{
    unsigned fullest = DHT_BUCKETS;
    for (unsigned b = 0; b < DHT_BUCKETS; b++)
        if (t->buckets[b].spare_count && (fullest == DHT_BUCKETS || t->buckets[b].spare_count > t->buckets[fullest].spare_count))
            fullest = b;
    if (fullest == DHT_BUCKETS)
        return false;
    struct dht_bucket *bucket = &t->buckets[fullest];
    uint16_t last = bucket->spare;
    while (t->next[last] != DHT_NO_SLOT)
        last = t->next[last];
    list_remove(t, &bucket->spare, last);
    bucket->spare_count--;
    slot_free(t, last);
    return true;
}

/* The slab is smaller than all buckets together. When it is full, a nearer bucket that has less than half may take the youngest
 * contact of a far bucket that keeps at least three quarters: without its nearest neighbours a node finds no records. */
static bool far_drop(struct dht_table *t, unsigned for_bucket)
{
    if (t->buckets[for_bucket].live_count >= t->k / 2)
        return false;
    for (unsigned b = 0; b < for_bucket; b++) {
        struct dht_bucket *bucket = &t->buckets[b];
        if (bucket->live_count * 4u <= t->k * 3u)
            continue;
        uint16_t last = bucket->live;
        while (t->next[last] != DHT_NO_SLOT)
            last = t->next[last];
        list_remove(t, &bucket->live, last);
        bucket->live_count--;
        slot_free(t, last);
        return true;
    }
    return false;
}

static uint16_t slot_take(struct dht_table *t)
{
    if (t->free == DHT_NO_SLOT)
        return DHT_NO_SLOT;
    uint16_t slot = t->free;
    t->free = t->next[slot];
    t->used++;
    return slot;
}

static bool diverse(const struct dht_table *t, unsigned bucket, const struct net_addr *addr, const struct dht_contact *except)
{
    if (!dht_prefix_limited(addr, t->private_limits))
        return true;
    struct dht_diversity d = {0};
    uint8_t print = site_print(addr);
    if (!memchr(t->site_print, print, t->slots))
        return true;
    for (unsigned b = 0; b < DHT_BUCKETS; b++)
        for (uint16_t i = t->buckets[b].live; i != DHT_NO_SLOT; i = t->next[i])
            if (t->site_print[i] == print && &t->slab[i] != except)
                dht_diversity_count(&d, addr, &t->slab[i].addr, b == bucket);
    return dht_diversity_ok(&d);
}

bool dht_table_wants(const struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr)
{
    unsigned b = dht_table_bucket(t, position);
    const struct dht_bucket *bucket = &t->buckets[b];
    const struct dht_contact *known = dht_table_find(t, key, position);
    if (known)
        return !net_addr_equal(&known->addr, addr) || dht_contact_fails(known); /* it may have moved, or was only slow: it speaks */
    if (bucket->live_count >= dht_table_bucket_cap(t, b) && (bucket->spare_count > 0 || spare_cap(t) == 0 || t->free == DHT_NO_SLOT))
        return false;
    return diverse(t, b, addr, NULL);
}

static void contact_set(struct dht_table *t, uint16_t slot, const struct net_addr *addr, uint64_t rtt_us, uint32_t now_s)
{
    struct dht_contact *c = &t->slab[slot];
    t->site_print[slot] = site_print(addr);
    uint64_t old = net_addr_equal(&c->addr, addr) ? dht_rtt_unpack(c->rtt) : 0;
    c->addr = *addr;
    c->answered_s = now_s;
    c->rtt = dht_rtt_pack(old ? (3 * old + rtt_us) / 4 : rtt_us);
    c->flags &= DHT_CONTACT_NEW;
}

static enum dht_table_result known_answered(struct dht_table *t, unsigned b, uint16_t slot, bool spare, const struct net_addr *addr,
                                            uint64_t rtt_us, uint32_t now_s)
{
    struct dht_contact *c = &t->slab[slot];
    struct dht_bucket *bucket = &t->buckets[b];
    if (!net_addr_equal(&c->addr, addr) && !diverse(t, b, addr, c))
        return DHT_TABLE_REFUSED;
    contact_set(t, slot, addr, rtt_us, now_s);
    if (!spare)
        return DHT_TABLE_UPDATED;
    list_remove(t, &bucket->spare, slot);
    if (bucket->live_count < dht_table_bucket_cap(t, b) && diverse(t, b, addr, NULL)) {
        bucket->spare_count--;
        list_append(t, &bucket->live, slot);
        bucket->live_count++;
        return DHT_TABLE_ADDED;
    }
    t->next[slot] = bucket->spare;
    bucket->spare = slot;
    return DHT_TABLE_SPARED;
}

/* A failing contact gives way to a newcomer that just answered, as it would to one from the cache. */
static bool flaky_drop(struct dht_table *t, struct dht_bucket *bucket)
{
    for (uint16_t i = bucket->live; i != DHT_NO_SLOT; i = t->next[i]) {
        if (dht_contact_fails(&t->slab[i]) < DHT_FAILS_FLAKY)
            continue;
        list_remove(t, &bucket->live, i);
        bucket->live_count--;
        slot_free(t, i);
        return true;
    }
    return false;
}

enum dht_table_result dht_table_answered(struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position,
                                         const struct net_addr *addr, uint64_t rtt_us, uint32_t now_s)
{
    unsigned b = dht_table_bucket(t, position);
    struct dht_bucket *bucket = &t->buckets[b];
    uint16_t slot = list_find(t, bucket->live, key);
    if (slot != DHT_NO_SLOT)
        return known_answered(t, b, slot, false, addr, rtt_us, now_s);
    slot = list_find(t, bucket->spare, key);
    if (slot != DHT_NO_SLOT)
        return known_answered(t, b, slot, true, addr, rtt_us, now_s);
    if (position == t->self || !diverse(t, b, addr, NULL))
        return DHT_TABLE_REFUSED;
    bool live = bucket->live_count < dht_table_bucket_cap(t, b) || flaky_drop(t, bucket);
    if (live && t->free == DHT_NO_SLOT && !spare_drop(t) && !far_drop(t, b))
        return DHT_TABLE_REFUSED;
    if (!live && bucket->spare_count >= spare_cap(t)) {
        uint16_t last = bucket->spare;
        while (t->next[last] != DHT_NO_SLOT)
            last = t->next[last];
        list_remove(t, &bucket->spare, last);
        bucket->spare_count--;
        slot_free(t, last);
    }
    slot = slot_take(t);
    if (slot == DHT_NO_SLOT)
        return DHT_TABLE_REFUSED;
    struct dht_contact *c = &t->slab[slot];
    memset(c, 0, sizeof *c);
    memcpy(c->key, key, NODE_KEY_SIZE);
    t->key_print[slot] = key_print(key);
    put_be64(c->position, position);
    contact_set(t, slot, addr, rtt_us, now_s);
    if (live) {
        list_append(t, &bucket->live, slot);
        bucket->live_count++;
        return DHT_TABLE_ADDED;
    }
    t->next[slot] = bucket->spare;
    bucket->spare = slot;
    bucket->spare_count++;
    return DHT_TABLE_SPARED;
}

/* The newest replacement that still fits beside the others steps in. */
static bool promote(struct dht_table *t, unsigned b)
{
    struct dht_bucket *bucket = &t->buckets[b];
    for (uint16_t i = bucket->spare; i != DHT_NO_SLOT; i = t->next[i]) {
        if (!diverse(t, b, &t->slab[i].addr, NULL))
            continue;
        list_remove(t, &bucket->spare, i);
        bucket->spare_count--;
        list_append(t, &bucket->live, i);
        bucket->live_count++;
        return true;
    }
    return false;
}

static void live_drop(struct dht_table *t, unsigned b, uint16_t slot)
{
    list_remove(t, &t->buckets[b].live, slot);
    t->buckets[b].live_count--;
    slot_free(t, slot);
}

bool dht_table_failed(struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr,
                      bool link_alive)
{
    unsigned b = dht_table_bucket(t, position);
    struct dht_bucket *bucket = &t->buckets[b];
    uint16_t slot = list_find(t, bucket->spare, key);
    if (slot != DHT_NO_SLOT) {
        if (!net_addr_equal(&t->slab[slot].addr, addr))
            return false;
        list_remove(t, &bucket->spare, slot);
        bucket->spare_count--;
        slot_free(t, slot);
        return false;
    }
    slot = list_find(t, bucket->live, key);
    if (slot == DHT_NO_SLOT || !net_addr_equal(&t->slab[slot].addr, addr))
        return false;
    struct dht_contact *c = &t->slab[slot];
    uint8_t fails = dht_contact_fails(c);
    if (fails < DHT_FAILS_DEAD && (link_alive || fails < DHT_FAILS_FLAKY))
        fails++;
    c->flags = (uint8_t)((c->flags & DHT_CONTACT_NEW) | fails);
    if (link_alive && fails >= DHT_FAILS_FLAKY && (bucket->spare_count || fails >= DHT_FAILS_DEAD)) {
        live_drop(t, b, slot);
        promote(t, b);
        return false;
    }
    return link_alive;
}

static uint32_t insert_sorted(uint64_t target, const struct dht_contact **out, uint32_t count, uint32_t max,
                              const struct dht_contact *c)
{
    uint64_t distance = position_of(c) ^ target;
    uint32_t at = count;
    while (at > 0 && (position_of(out[at - 1]) ^ target) > distance)
        at--;
    if (at >= max)
        return count;
    uint32_t end = count < max ? count : max - 1;
    memmove(&out[at + 1], &out[at], (end - at) * sizeof *out);
    out[at] = c;
    return count < max ? count + 1 : max;
}

/* Buckets in groups of rising distance: the target's own, all nearer to us together, then outwards one by one. */
uint32_t dht_table_closest(const struct dht_table *t, uint64_t target, bool flaky, const struct dht_contact **out, uint32_t max)
{
    unsigned own = dht_table_bucket(t, target);
    uint32_t count = 0;
    for (unsigned step = 0; step < DHT_BUCKETS && max; step++) {
        unsigned b = step < DHT_BUCKETS - own ? own + step : DHT_BUCKETS - 1 - step;
        if (count >= max && (step == 1 || step >= DHT_BUCKETS - own))
            break;
        for (uint16_t i = t->buckets[b].live; i != DHT_NO_SLOT; i = t->next[i])
            if (flaky || dht_contact_fails(&t->slab[i]) < DHT_FAILS_FLAKY)
                count = insert_sorted(target, out, count, max, &t->slab[i]);
    }
    return count;
}

struct dht_contact *dht_table_oldest(struct dht_table *t, unsigned bucket)
{
    struct dht_contact *oldest = NULL;
    for (uint16_t i = t->buckets[bucket].live; i != DHT_NO_SLOT; i = t->next[i]) {
        struct dht_contact *c = &t->slab[i];
        if (!(c->flags & DHT_CONTACT_CHECKED) && (!oldest || c->answered_s < oldest->answered_s))
            oldest = c;
    }
    return oldest;
}

struct dht_contact *dht_table_new(const struct dht_table *t)
{
    for (unsigned b = DHT_BUCKETS; b-- > 0;)
        for (uint16_t i = t->buckets[b].live; i != DHT_NO_SLOT; i = t->next[i])
            if (t->slab[i].flags & DHT_CONTACT_NEW)
                return &t->slab[i];
    return NULL;
}

/* Those that failed come after those that did not: one dead contact would be asked for ever, and nobody else, while nothing else is heard
 * that proves our own link. The flaky are left to who asks for lost contacts. */
static struct dht_contact *first_stale(const struct dht_table *t, bool failed)
{
    struct dht_contact *oldest = NULL;
    for (unsigned b = 0; b < DHT_BUCKETS; b++)
        for (uint16_t i = t->buckets[b].live; i != DHT_NO_SLOT; i = t->next[i]) {
            struct dht_contact *c = &t->slab[i];
            if (!(c->flags & DHT_CONTACT_CHECKED) && dht_contact_fails(c) == failed && (!oldest || c->answered_s < oldest->answered_s))
                oldest = c;
        }
    return oldest;
}

struct dht_contact *dht_table_stale(const struct dht_table *t, uint32_t now_s, uint32_t age_s, uint32_t *next_s)
{
    struct dht_contact *c = first_stale(t, false);
    bool due = c && now_s - c->answered_s >= age_s;
    *next_s = c && !due ? c->answered_s + age_s : UINT32_MAX;
    if (due)
        return c;
    c = first_stale(t, true);
    return c && now_s - c->answered_s >= age_s ? c : NULL;
}

unsigned dht_table_depth(const struct dht_table *t)
{
    unsigned depth = DHT_BUCKETS;
    while (depth > 0 && t->buckets[depth - 1].live_count == 0)
        depth--;
    return depth;
}

bool dht_table_refresh_next(const struct dht_table *t, uint32_t refresh_s, unsigned *bucket, uint32_t *at_s)
{
    unsigned depth = dht_table_depth(t);
    for (unsigned b = 0; b < depth; b++)
        if (b == 0 || t->buckets[b].touched_s < t->buckets[*bucket].touched_s)
            *bucket = b;
    if (depth)
        *at_s = t->buckets[*bucket].touched_s + refresh_s;
    return depth > 0;
}

void dht_table_touch(struct dht_table *t, uint64_t target, uint32_t now_s)
{
    t->buckets[dht_table_bucket(t, target)].touched_s = now_s;
}

uint32_t dht_table_count(const struct dht_table *t, bool live_only)
{
    uint32_t count = 0;
    for (unsigned b = 0; b < DHT_BUCKETS; b++) {
        count += live_only ? 0 : t->buckets[b].live_count;
        for (uint16_t i = t->buckets[b].live; live_only && i != DHT_NO_SLOT; i = t->next[i])
            count += dht_contact_fails(&t->slab[i]) < DHT_FAILS_FLAKY;
    }
    return count;
}

uint32_t dht_table_spares(const struct dht_table *t)
{
    uint32_t count = 0;
    for (unsigned b = 0; b < DHT_BUCKETS; b++)
        count += t->buckets[b].spare_count;
    return count;
}

void dht_table_check(const struct dht_table *t)
{
    uint32_t used = 0, unused = 0;
    for (unsigned b = 0; b < DHT_BUCKETS; b++) {
        const struct dht_bucket *bucket = &t->buckets[b];
        uint32_t live = 0, spare = 0;
        for (uint16_t i = bucket->live; i != DHT_NO_SLOT; i = t->next[i], live++) {
            core_assert(i < t->slots);
            core_assert(dht_table_bucket(t, position_of(&t->slab[i])) == b);
            core_assert(t->slab[i].addr.port != 0);
            core_assert(t->key_print[i] == key_print(t->slab[i].key) && t->site_print[i] == site_print(&t->slab[i].addr));
            core_assert(list_find(t, bucket->live, t->slab[i].key) == i);
            core_assert(diverse(t, b, &t->slab[i].addr, &t->slab[i]));
        }
        for (uint16_t i = bucket->spare; i != DHT_NO_SLOT; i = t->next[i], spare++) {
            core_assert(dht_table_bucket(t, position_of(&t->slab[i])) == b);
            core_assert(list_find(t, bucket->live, t->slab[i].key) == DHT_NO_SLOT);
        }
        core_assert(live == bucket->live_count);
        core_assert(spare == bucket->spare_count);
        core_assert(live <= dht_table_bucket_cap(t, b));
        core_assert(spare <= spare_cap(t) || spare == 0);
        used += live + spare;
    }
    for (uint16_t i = t->free; i != DHT_NO_SLOT; i = t->next[i])
        unused++;
    core_assert(used == t->used);
    core_assert(used + unused == t->slots);
}
