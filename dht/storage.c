#include "dht/storage.h"
#include "dht/diversity.h"
#include "node/base/assert.h"
#include <string.h>

#define EVICTION_SAMPLE 24
#define CHUNK_BYTES     (sizeof(struct dht_stored) - sizeof(void *))

struct dht_source { /* how much one publisher or one prefix holds here */
    struct dht_source *next;
    uint8_t id[NODE_KEY_SIZE];
    uint32_t total, by_kind[5];
};

struct dht_chunk {
    struct dht_chunk *next;
    uint8_t bytes[CHUNK_BYTES];
};
_Static_assert(sizeof(struct dht_source) <= sizeof(struct dht_stored), "one pool serves heads, chunks and counters");
_Static_assert(sizeof(struct dht_chunk) <= sizeof(struct dht_stored), "one pool serves heads, chunks and counters");

size_t dht_record_size(void)
{
    return sizeof(struct dht_stored);
}

void dht_storage_init(struct dht_storage *s, const struct dht_env *env, uint64_t self, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->env = env;
    s->self = self;
    rng_init(&s->rng, seed, 1);
    s->salt = rng_u64(&s->rng);
}

/* Keys are the peers' choice; the salt is not known to them. */
static uint32_t slot_of(const struct dht_storage *s, const uint8_t *id, uint32_t count)
{
    uint64_t h = (get_be64(id) ^ s->salt) * 0x9e3779b97f4a7c15u;
    h ^= (get_be64(id + 8) + s->salt) * 0xc2b2ae3d27d4eb4fu;
    return (uint32_t)((h ^ h >> 29) >> 8) & (count - 1);
}

static uint64_t distance_of(const struct dht_storage *s, const uint8_t *key)
{
    return get_be64(key) ^ s->self;
}

/* --- heap by expiry --- */

static void heap_set(struct dht_storage *s, uint32_t i, struct dht_stored *r)
{
    s->heap[i] = r;
    r->heap_index = i;
}

static void heap_up(struct dht_storage *s, uint32_t i)
{
    struct dht_stored *r = s->heap[i];
    for (; i > 0 && s->heap[(i - 1) / 2]->expires_s > r->expires_s; i = (i - 1) / 2)
        heap_set(s, i, s->heap[(i - 1) / 2]);
    heap_set(s, i, r);
}

static void heap_down(struct dht_storage *s, uint32_t i)
{
    struct dht_stored *r = s->heap[i];
    for (uint32_t child; (child = 2 * i + 1) < s->count; i = child) {
        if (child + 1 < s->count && s->heap[child + 1]->expires_s < s->heap[child]->expires_s)
            child++;
        if (s->heap[child]->expires_s >= r->expires_s)
            break;
        heap_set(s, i, s->heap[child]);
    }
    heap_set(s, i, r);
}

static void heap_moved(struct dht_storage *s, uint32_t i)
{
    heap_up(s, i);
    heap_down(s, s->heap[i]->heap_index);
}

/* --- growing arrays: refused memory leaves the old ones in use --- */

static void *array_new(struct dht_storage *s, uint32_t count)
{
    return s->env->alloc->alloc(s->env->alloc->context, count * sizeof(void *));
}

static void array_free(struct dht_storage *s, void *array)
{
    s->env->alloc->free(s->env->alloc->context, array);
}

static bool heap_room(struct dht_storage *s)
{
    if (s->count < s->heap_cap)
        return true;
    uint32_t cap = s->heap_cap ? s->heap_cap * 2 : 8;
    struct dht_stored **heap = array_new(s, cap);
    if (!heap)
        return false;
    if (s->count)
        memcpy(heap, s->heap, s->count * sizeof *heap);
    array_free(s, s->heap);
    s->heap = heap;
    s->heap_cap = cap;
    return true;
}

static bool chains_room(struct dht_storage *s)
{
    if (s->chain_count && s->count < 2 * s->chain_count)
        return true;
    uint32_t count = s->chain_count ? s->chain_count * 2 : 8;
    struct dht_stored **chains = array_new(s, count);
    if (!chains)
        return s->chain_count != 0; /* longer chains, still correct */
    for (uint32_t i = 0; i < s->count; i++) {
        struct dht_stored *r = s->heap[i];
        uint32_t slot = slot_of(s, r->key, count);
        r->next = chains[slot];
        chains[slot] = r;
    }
    array_free(s, s->chains);
    s->chains = chains;
    s->chain_count = count;
    return true;
}

static bool sources_room(struct dht_storage *s)
{
    if (s->source_chain_count && s->source_count < 2 * s->source_chain_count)
        return true;
    uint32_t count = s->source_chain_count ? s->source_chain_count * 2 : 8;
    struct dht_source **chains = array_new(s, count);
    if (!chains)
        return s->source_chain_count != 0;
    for (uint32_t i = 0; i < s->source_chain_count; i++)
        for (struct dht_source *c = s->sources[i], *next; c; c = next) {
            next = c->next;
            uint32_t slot = slot_of(s, c->id, count);
            c->next = chains[slot];
            chains[slot] = c;
        }
    array_free(s, s->sources);
    s->sources = chains;
    s->source_chain_count = count;
    return true;
}

/* --- sources --- */

static struct dht_source *source_find(const struct dht_storage *s, const uint8_t id[NODE_KEY_SIZE])
{
    if (!s->source_chain_count)
        return NULL;
    struct dht_source *c = s->sources[slot_of(s, id, s->source_chain_count)];
    while (c && memcmp(c->id, id, NODE_KEY_SIZE) != 0)
        c = c->next;
    return c;
}

static struct dht_source *source_get(struct dht_storage *s, const uint8_t id[NODE_KEY_SIZE])
{
    struct dht_source *c = source_find(s, id);
    if (c || !sources_room(s))
        return c;
    c = pool_take(s->env->records);
    if (!c)
        return NULL;
    memcpy(c->id, id, NODE_KEY_SIZE);
    uint32_t slot = slot_of(s, id, s->source_chain_count);
    c->next = s->sources[slot];
    s->sources[slot] = c;
    s->source_count++;
    return c;
}

static void source_release(struct dht_storage *s, struct dht_source *c)
{
    if (!c || c->total)
        return;
    struct dht_source **at = &s->sources[slot_of(s, c->id, s->source_chain_count)];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    s->source_count--;
    pool_give(s->env->records, c);
}

static void source_drop(struct dht_storage *s, struct dht_source *c, uint8_t kind)
{
    if (!c)
        return;
    core_assert(c->total && c->by_kind[kind]);
    c->total--;
    c->by_kind[kind]--;
    source_release(s, c);
}

static void prefix_id(uint8_t id[NODE_KEY_SIZE], const struct net_addr *from)
{
    struct net_addr owner = dht_prefix_owner(from);
    memset(id, 0, NODE_KEY_SIZE);
    memcpy(id, owner.ip, sizeof owner.ip);
    id[NODE_KEY_SIZE - 1] = 1; /* no publisher's key by accident */
}

/* --- records --- */

static void data_free(struct dht_storage *s, struct dht_stored *r)
{
    for (struct dht_chunk *c = r->data, *next; c; c = next) {
        next = c->next;
        pool_give(s->env->records, c);
    }
    r->data = NULL;
    r->size = 0;
}

static void record_free(struct dht_storage *s, struct dht_stored *r)
{
    struct dht_stored **at = &s->chains[slot_of(s, r->key, s->chain_count)];
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    uint32_t i = r->heap_index;
    s->count--;
    if (i < s->count) {
        heap_set(s, i, s->heap[s->count]);
        heap_moved(s, i);
    }
    s->kind_count[r->kind]--;
    source_drop(s, r->publisher_count, r->kind);
    source_drop(s, r->prefix_count, r->kind);
    data_free(s, r);
    pool_give(s->env->records, r);
}

struct rank { /* who goes first: compared field by field */
    bool expired;
    uint32_t magnitude; /* of the distance, in bits */
    uint32_t held;
    uint32_t expires_s;
};

static bool goes_before(const struct rank *a, const struct rank *b)
{
    if (a->expired != b->expired)
        return a->expired;
    if (a->magnitude != b->magnitude)
        return a->magnitude > b->magnitude;
    if (a->held != b->held)
        return a->held > b->held;
    return a->expires_s < b->expires_s;
}

static struct rank rank_of(const struct dht_storage *s, const uint8_t *key, uint32_t held, uint32_t expires_s, uint32_t now_s)
{
    uint64_t d = distance_of(s, key);
    return (struct rank){.expired = expires_s <= now_s, .magnitude = d ? 64u - (uint32_t)__builtin_clzll(d) : 0,
                         .held = held, .expires_s = expires_s};
}

static uint32_t held_by(const struct dht_stored *r)
{
    uint32_t a = r->publisher_count ? r->publisher_count->total : 0, b = r->prefix_count ? r->prefix_count->total : 0;
    return a > b ? a : b;
}

/* Frees one record for a newcomer. False: the newcomer would be the first to go. */
static bool evict(struct dht_storage *s, uint32_t now_s, const struct rank *newcomer)
{
    struct dht_stored *victim = NULL;
    struct rank worst = *newcomer;
    for (uint32_t i = 0; i < EVICTION_SAMPLE && s->count; i++) {
        uint32_t at = i == 0 ? 0 : s->count <= EVICTION_SAMPLE ? i : rng_below(&s->rng, s->count);
        if (at >= s->count)
            break;
        struct dht_stored *r = s->heap[at];
        struct rank rank = rank_of(s, r->key, held_by(r), r->expires_s, now_s);
        if (goes_before(&rank, &worst)) {
            worst = rank;
            victim = r;
        }
    }
    if (!victim)
        return false;
    record_free(s, victim);
    s->evicted++;
    return true;
}

static uint32_t per_cent(uint32_t of, uint32_t percent)
{
    return (uint32_t)((uint64_t)of * percent / 100);
}

static bool quota_ok(const struct dht_storage *s, uint8_t kind, const uint8_t *key, const uint8_t *publisher,
                     const struct net_addr *from)
{
    const struct dht_config *config = s->env->config;
    static const uint32_t kind_percent[] = {0, 75, 50, 25, 25};
    if (s->kind_count[kind] >= per_cent(config->records_max, kind_percent[kind]))
        return false;
    uint32_t same_key = 0;
    for (const struct dht_stored *r = dht_storage_first(s, kind, key); r; r = dht_storage_next(r))
        same_key++;
    if (same_key >= config->records_per_key_max)
        return false;
    const struct dht_source *c = source_find(s, publisher);
    if (c && (c->total >= config->records_per_source_max || (kind == DHT_NICK && c->by_kind[kind] >= DHT_NICKS_PER_SOURCE) ||
              (kind == DHT_KEYWORD && c->by_kind[kind] >= DHT_KEYWORDS_PER_SOURCE)))
        return false;
    if (!from || !dht_prefix_limited(from, config->private_limits))
        return true;
    uint8_t id[NODE_KEY_SIZE];
    prefix_id(id, from);
    c = source_find(s, id);
    return !c || c->total < 2 * config->records_per_source_max;
}

static bool data_set(struct dht_storage *s, struct dht_stored *r, struct bytes wire)
{
    struct dht_chunk **tail = &r->data;
    for (size_t done = 0; done < wire.size; done += CHUNK_BYTES) {
        struct dht_chunk *c = pool_take(s->env->records);
        if (!c) {
            data_free(s, r);
            return false;
        }
        size_t n = wire.size - done < CHUNK_BYTES ? wire.size - done : CHUNK_BYTES;
        memcpy(c->bytes, wire.data + done, n);
        *tail = c;
        tail = &c->next;
    }
    r->size = (uint16_t)wire.size;
    return true;
}

/* A new head with its data and counters, linked nowhere but in the counters. NULL: the pool said no, nothing is left behind. */
static struct dht_stored *record_new(struct dht_storage *s, uint8_t kind, const uint8_t *publisher, const struct net_addr *from,
                                     struct bytes wire)
{
    struct dht_stored *r = pool_take(s->env->records);
    if (!r)
        return NULL;
    if (!data_set(s, r, wire)) {
        pool_give(s->env->records, r);
        return NULL;
    }
    r->publisher_count = source_get(s, publisher);
    bool counted = r->publisher_count != NULL;
    if (counted && from && dht_prefix_limited(from, s->env->config->private_limits)) {
        uint8_t id[NODE_KEY_SIZE];
        prefix_id(id, from);
        r->prefix_count = source_get(s, id);
        counted = r->prefix_count != NULL;
    }
    if (!counted) {
        source_release(s, r->publisher_count);
        data_free(s, r);
        pool_give(s->env->records, r);
        return NULL;
    }
    struct dht_source *both[] = {r->publisher_count, r->prefix_count};
    for (int i = 0; i < 2; i++) {
        if (!both[i])
            continue;
        both[i]->total++;
        both[i]->by_kind[kind]++;
    }
    r->kind = kind;
    memcpy(r->publisher, publisher, NODE_KEY_SIZE);
    return r;
}

static int record_add(struct dht_storage *s, uint32_t now_s, uint8_t kind, const uint8_t *key, const uint8_t *publisher,
                      const struct net_addr *from, struct bytes wire, uint32_t expires_s, struct dht_stored **out)
{
    if (!quota_ok(s, kind, key, publisher, from)) {
        s->refused++;
        return ERR_QUOTA;
    }
    if (!heap_room(s) || !chains_room(s))
        return ERR_NO_MEMORY;
    const struct dht_source *c = source_find(s, publisher);
    struct rank newcomer = rank_of(s, key, c ? c->total + 1 : 1, expires_s, now_s);
    if (s->count >= s->env->config->records_max && !evict(s, now_s, &newcomer)) {
        s->refused++;
        return ERR_FULL;
    }
    struct dht_stored *r;
    while (!(r = record_new(s, kind, publisher, from, wire)))
        if (!evict(s, now_s, &newcomer)) {
            s->refused++;
            return ERR_FULL;
        }
    memcpy(r->key, key, DHT_KEY_SIZE);
    r->expires_s = expires_s;
    uint32_t slot = slot_of(s, key, s->chain_count);
    r->next = s->chains[slot];
    s->chains[slot] = r;
    s->kind_count[kind]++;
    heap_set(s, s->count++, r);
    heap_up(s, r->heap_index);
    *out = r;
    return 0;
}

int dht_storage_put_provider(struct dht_storage *s, uint32_t now_s, const uint8_t key[DHT_KEY_SIZE],
                             const uint8_t publisher[NODE_KEY_SIZE], const struct net_addr *addr, const struct net_addr *from,
                             uint32_t life_s)
{
    struct dht_stored *r = dht_storage_find(s, DHT_PROVIDER, key, publisher);
    if (!r) {
        int status = record_add(s, now_s, DHT_PROVIDER, key, publisher, from, bytes_of(NULL, 0), now_s + life_s, &r);
        if (status)
            return status;
    }
    r->addr = *addr;
    r->expires_s = now_s + life_s;
    heap_moved(s, r->heap_index);
    return 0;
}

int dht_storage_put_signed(struct dht_storage *s, uint32_t now_s, const struct dht_record_view *view, struct bytes wire,
                           const uint8_t key[DHT_KEY_SIZE], const struct net_addr *from, uint32_t life_s, uint32_t republish_s)
{
    struct dht_stored *r = dht_storage_find(s, view->kind, key, view->publisher);
    if (r) {
        if (view->sequence < r->sequence)
            return ERR_STALE;
        uint8_t old[DHT_RECORD_WIRE_MAX];
        dht_stored_copy(r, old);
        bool same = bytes_equal(bytes_of(old, r->size), wire);
        if (view->sequence == r->sequence && !same)
            return ERR_STALE;
        if (!same) {
            struct dht_stored fresh = {0};
            if (!data_set(s, &fresh, wire))
                return ERR_FULL;
            data_free(s, r);
            r->data = fresh.data;
            r->size = fresh.size;
        }
    } else {
        int status = record_add(s, now_s, view->kind, key, view->publisher, from, wire, now_s + life_s, &r);
        if (status)
            return status;
    }
    r->sequence = view->sequence;
    r->expires_s = now_s + life_s;
    r->republish_s = republish_s;
    heap_moved(s, r->heap_index);
    return 0;
}

static struct dht_stored *chain_skip(struct dht_stored *r, uint8_t kind, const uint8_t *key)
{
    while (r && (r->kind != kind || memcmp(r->key, key, DHT_KEY_SIZE) != 0))
        r = r->next;
    return r;
}

struct dht_stored *dht_storage_first(const struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE])
{
    return s->chain_count ? chain_skip(s->chains[slot_of(s, key, s->chain_count)], kind, key) : NULL;
}

struct dht_stored *dht_storage_next(const struct dht_stored *r)
{
    return chain_skip(r->next, r->kind, r->key);
}

struct dht_stored *dht_storage_find(const struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE],
                                    const uint8_t publisher[NODE_KEY_SIZE])
{
    struct dht_stored *r = dht_storage_first(s, kind, key);
    while (r && memcmp(r->publisher, publisher, NODE_KEY_SIZE) != 0)
        r = dht_storage_next(r);
    return r;
}

bool dht_storage_remove(struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE], const uint8_t publisher[NODE_KEY_SIZE])
{
    struct dht_stored *r = dht_storage_find(s, kind, key, publisher);
    if (r)
        record_free(s, r);
    return r != NULL;
}

void dht_stored_copy(const struct dht_stored *r, uint8_t *out)
{
    size_t done = 0;
    for (const struct dht_chunk *c = r->data; c; c = c->next) {
        size_t n = r->size - done < CHUNK_BYTES ? r->size - done : CHUNK_BYTES;
        memcpy(out + done, c->bytes, n);
        done += n;
    }
    core_assert(done == r->size);
}

uint32_t dht_storage_expire(struct dht_storage *s, uint32_t now_s, uint32_t max)
{
    uint32_t done = 0;
    while (done < max && s->count && s->heap[0]->expires_s <= now_s) {
        record_free(s, s->heap[0]);
        done++;
    }
    return done;
}

void dht_storage_reorder(struct dht_storage *s)
{
    for (uint32_t i = s->count / 2; i-- > 0;)
        heap_down(s, i);
}

uint32_t dht_storage_expiry(const struct dht_storage *s)
{
    return s->count ? s->heap[0]->expires_s : UINT32_MAX;
}

void dht_storage_fini(struct dht_storage *s)
{
    while (s->count)
        record_free(s, s->heap[s->count - 1]);
    core_assert(s->source_count == 0);
    array_free(s, s->chains);
    array_free(s, s->sources);
    array_free(s, s->heap);
    s->chains = NULL;
    s->sources = NULL;
    s->heap = NULL;
    s->chain_count = s->source_chain_count = s->heap_cap = 0;
}

void dht_storage_check(const struct dht_storage *s)
{
    uint32_t kinds[8] = {0}, chained = 0;
    core_assert(s->count <= s->env->config->records_max);
    core_assert(s->count <= s->heap_cap);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct dht_stored *r = s->heap[i];
        core_assert(r->heap_index == i);
        core_assert(i == 0 || s->heap[(i - 1) / 2]->expires_s <= r->expires_s);
        core_assert(dht_storage_find(s, r->kind, r->key, r->publisher) == r);
        core_assert(r->publisher_count && r->publisher_count->total > 0);
        core_assert((r->data != NULL) == (r->size != 0));
        kinds[r->kind]++;
    }
    for (uint32_t i = 0; i < s->chain_count; i++)
        for (const struct dht_stored *r = s->chains[i]; r; r = r->next)
            chained++;
    core_assert(chained == s->count);
    for (int k = 0; k < 8; k++)
        core_assert(kinds[k] == s->kind_count[k]);
}
