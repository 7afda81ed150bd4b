#include "dht/announce.h"
#include "node/base/assert.h"
#include <string.h>

#define BUCKET_MEAN 48u/* keys per bucket before their number doubles */

struct dht_announce_bucket {
    struct dht_announced *entries;
    uint32_t count, cap;
    uint32_t due_s; /* earliest of the entries */
};

void dht_announce_init(struct dht_announce *a, const struct core_alloc *alloc)
{
    memset(a, 0, sizeof *a);
    a->alloc = alloc;
    a->next_due_s = DHT_DUE_NEVER;
}

static void *take(struct dht_announce *a, size_t size)
{
    return a->alloc->alloc(a->alloc->context, size);
}

static void give(struct dht_announce *a, void *memory)
{
    a->alloc->free(a->alloc->context, memory);
}

void dht_announce_fini(struct dht_announce *a)
{
    for (uint32_t i = 0; a->buckets && i < 1u << a->bits; i++)
        give(a, a->buckets[i].entries);
    give(a, a->buckets);
    dht_announce_init(a, a->alloc);
}

static uint32_t index_of(const struct dht_announce *a, uint64_t prefix)
{
    return a->bits ? (uint32_t)(prefix >> (64 - a->bits)) : 0;
}

static struct dht_announce_bucket *bucket_of(const struct dht_announce *a, const uint8_t *key)
{
    return a->buckets ? &a->buckets[index_of(a, get_be64(key))] : NULL;
}

static uint32_t lower_bound(const struct dht_announce_bucket *b, const uint8_t *key)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (memcmp(b->entries[middle].key, key, DHT_KEY_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void bucket_due(struct dht_announce_bucket *b)
{
    b->due_s = DHT_DUE_NEVER;
    for (uint32_t i = 0; i < b->count; i++)
        if (b->entries[i].due_s < b->due_s)
            b->due_s = b->entries[i].due_s;
}

static void set_due(struct dht_announce *a)
{
    a->next_due_s = DHT_DUE_NEVER;
    for (uint32_t i = 0; a->buckets && i < 1u << a->bits; i++)
        if (a->buckets[i].due_s < a->next_due_s)
            a->next_due_s = a->buckets[i].due_s;
}

static bool bucket_room(struct dht_announce *a, struct dht_announce_bucket *b, uint32_t count)
{
    if (count <= b->cap)
        return true;
    uint32_t cap = b->cap ? b->cap * 2 : 4;
    while (cap < count)
        cap *= 2;
    struct dht_announced *entries = take(a, cap * sizeof *entries);
    if (!entries)
        return false;
    if (b->count)
        memcpy(entries, b->entries, b->count * sizeof *entries);
    give(a, b->entries);
    b->entries = entries;
    b->cap = cap;
    return true;
}

/* Twice the buckets; each splits in two. When memory is refused the old ones stay and grow longer. */
static void split(struct dht_announce *a)
{
    uint32_t old_count = 1u << a->bits;
    struct dht_announce_bucket *buckets = take(a, 2 * (size_t)old_count * sizeof *buckets);
    if (!buckets)
        return;
    bool ok = true;
    for (uint32_t i = 0; i < old_count && ok; i++) {
        const struct dht_announce_bucket *b = &a->buckets[i];
        uint32_t low = 0;
        while (low < b->count && !(get_be64(b->entries[low].key) >> (63 - a->bits) & 1))
            low++;
        ok = bucket_room(a, &buckets[2 * i], low) && bucket_room(a, &buckets[2 * i + 1], b->count - low);
        if (!ok)
            break;
        buckets[2 * i].count = low;
        buckets[2 * i + 1].count = b->count - low;
        if (low)
            memcpy(buckets[2 * i].entries, b->entries, low * sizeof *b->entries);
        if (b->count > low)
            memcpy(buckets[2 * i + 1].entries, b->entries + low, (b->count - low) * sizeof *b->entries);
        bucket_due(&buckets[2 * i]);
        bucket_due(&buckets[2 * i + 1]);
    }
    struct dht_announce_bucket *unused = ok ? a->buckets : buckets;
    for (uint32_t i = 0; i < (ok ? old_count : 2 * old_count); i++)
        give(a, unused[i].entries);
    give(a, unused);
    if (ok) {
        a->buckets = buckets;
        a->bits++;
    }
}

int dht_announce_add(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE], uint32_t due_s, uint32_t op)
{
    struct dht_announced *known = dht_announce_find(a, key);
    if (known && !known->gone)
        return ERR_EXISTS;
    if (known) {
        known->gone = false;
        known->failures = 0;
        known->op = op;
        a->gone_count--;
        if (!known->walk)
            dht_announce_set_due(a, known, due_s);
        return 0;
    }
    if (a->count >= DHT_ANNOUNCE_MAX)
        return ERR_FULL;
    if (!a->buckets) {
        a->buckets = take(a, sizeof *a->buckets);
        if (!a->buckets)
            return ERR_NO_MEMORY;
        a->buckets->due_s = DHT_DUE_NEVER;
    }
    if (a->count >= BUCKET_MEAN << a->bits)
        split(a);
    struct dht_announce_bucket *b = bucket_of(a, key);
    if (!bucket_room(a, b, b->count + 1))
        return ERR_NO_MEMORY;
    uint32_t at = lower_bound(b, key);
    memmove(&b->entries[at + 1], &b->entries[at], (b->count - at) * sizeof *b->entries);
    memset(&b->entries[at], 0, sizeof b->entries[at]);
    memcpy(b->entries[at].key, key, DHT_KEY_SIZE);
    b->entries[at].due_s = due_s;
    b->entries[at].op = op;
    b->count++;
    a->count++;
    if (due_s < b->due_s)
        b->due_s = due_s;
    if (due_s < a->next_due_s)
        a->next_due_s = due_s;
    return 0;
}

bool dht_announce_remove(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE])
{
    struct dht_announced *e = dht_announce_find(a, key);
    if (!e)
        return false;
    struct dht_announce_bucket *b = bucket_of(a, key);
    uint32_t at = (uint32_t)(e - b->entries);
    a->stored_count -= e->stored_before != 0;
    a->gone_count -= e->gone;
    b->count--;
    a->count--;
    memmove(e, e + 1, (b->count - at) * sizeof *e);
    bucket_due(b);
    set_due(a);
    return true;
}

bool dht_announce_withdraw(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE], uint32_t due_s)
{
    struct dht_announced *e = dht_announce_find(a, key);
    if (!e || e->gone)
        return false;
    if (!e->walk && !e->stored_before && !e->failures)
        return dht_announce_remove(a, key);
    a->stored_count -= e->stored_before != 0;
    a->gone_count++;
    e->stored_before = e->failures = 0;
    e->gone = true;
    e->op = 0;
    if (!e->walk)
        dht_announce_set_due(a, e, due_s);
    return true;
}

struct dht_announced *dht_announce_find(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE])
{
    struct dht_announce_bucket *b = bucket_of(a, key);
    uint32_t at = b ? lower_bound(b, key) : 0;
    return b && at < b->count && memcmp(b->entries[at].key, key, DHT_KEY_SIZE) == 0 ? &b->entries[at] : NULL;
}

struct dht_announced *dht_announce_from(struct dht_announce *a, uint64_t from)
{
    uint8_t key[DHT_KEY_SIZE] = {0};
    put_be64(key, from);
    for (uint32_t i = index_of(a, from); a->buckets && i < 1u << a->bits; i++) {
        uint32_t at = lower_bound(&a->buckets[i], key);
        if (at < a->buckets[i].count)
            return &a->buckets[i].entries[at];
    }
    return NULL;
}

void dht_announce_set_due(struct dht_announce *a, struct dht_announced *e, uint32_t due_s)
{
    struct dht_announce_bucket *b = bucket_of(a, e->key);
    bool was_first = e->due_s == a->next_due_s;
    e->due_s = due_s;
    bucket_due(b);
    if (due_s < a->next_due_s)
        a->next_due_s = due_s;
    else if (was_first)
        set_due(a);
}

struct dht_announced *dht_announce_due(struct dht_announce *a, uint32_t now_s)
{
    if (a->next_due_s == DHT_DUE_NEVER || a->next_due_s > now_s)
        return NULL;
    for (uint32_t i = 0; i < 1u << a->bits; i++) {
        const struct dht_announce_bucket *b = &a->buckets[i];
        for (uint32_t j = 0; b->due_s == a->next_due_s && j < b->count; j++)
            if (b->entries[j].due_s == a->next_due_s)
                return &b->entries[j];
    }
    core_assert(false);
    return NULL;
}

void dht_announce_check(const struct dht_announce *a)
{
    uint32_t count = 0, stored = 0, gone = 0, due = DHT_DUE_NEVER;
    for (uint32_t i = 0; a->buckets && i < 1u << a->bits; i++) {
        const struct dht_announce_bucket *b = &a->buckets[i];
        uint32_t first = DHT_DUE_NEVER;
        for (uint32_t j = 0; j < b->count; j++, count++) {
            const struct dht_announced *e = &b->entries[j];
            core_assert(index_of(a, get_be64(e->key)) == i);
            core_assert(j == 0 || memcmp(b->entries[j - 1].key, e->key, DHT_KEY_SIZE) < 0);
            core_assert((e->walk != 0) == (e->due_s == DHT_DUE_NEVER));
            stored += e->stored_before != 0;
            gone += e->gone;
            core_assert(!e->gone || !e->stored_before);
            first = e->due_s < first ? e->due_s : first;
        }
        core_assert(first == b->due_s);
        due = first < due ? first : due;
    }
    core_assert(count == a->count);
    core_assert(stored == a->stored_count);
    core_assert(gone == a->gone_count);
    core_assert(due == a->next_due_s);
}
