/* Entries lie in one array that doubles up to the cap; they are chained by number, most recently used first. A table of twice as
 * many places finds them: open addressing, linear probing, deletion by shifting back. Numbers, not addresses, so that every run is
 * the same. */
#include "node/channel/key_pool.h"
#include "node/base/assert.h"

#define NONE  UINT32_MAX
#define FIRST 64 /* entries allocated at the start */

struct entry {
    struct key_pair pair;
    uint32_t place; /* full hash */
    uint32_t newer, older;
};

struct key_pool {
    const struct core_alloc *alloc;
    const struct core_crypto *crypto;
    uint32_t cap;         /* most entries ever */
    uint32_t size;        /* entries allocated */
    uint32_t used;
    uint32_t newest, oldest;
    uint32_t table_mask;  /* places - 1 */
    struct entry *entries;
    uint32_t *table;      /* entry number + 1; 0 = empty, as allocators give zeroes */
};

static uint32_t table_places(uint32_t entries)
{
    uint32_t n = 2;
    while (n < entries * 2)
        n *= 2;
    return n;
}

static void table_insert(struct key_pool *p, uint32_t number)
{
    uint32_t at = p->entries[number].place & p->table_mask;
    while (p->table[at])
        at = (at + 1) & p->table_mask;
    p->table[at] = number + 1;
}

static void table_remove(struct key_pool *p, uint32_t number)
{
    uint32_t hole = p->entries[number].place & p->table_mask;
    while (p->table[hole] != number + 1)
        hole = (hole + 1) & p->table_mask;
    for (uint32_t at = (hole + 1) & p->table_mask; p->table[at]; at = (at + 1) & p->table_mask) {
        uint32_t home = p->entries[p->table[at] - 1].place & p->table_mask;
        /* may move when its home is not cyclically inside (hole, at] */
        if (((at - home) & p->table_mask) >= ((at - hole) & p->table_mask)) {
            p->table[hole] = p->table[at];
            hole = at;
        }
    }
    p->table[hole] = 0;
}

static void unlink_entry(struct key_pool *p, uint32_t number)
{
    struct entry *e = &p->entries[number];
    *(e->newer == NONE ? &p->newest : &p->entries[e->newer].older) = e->older;
    *(e->older == NONE ? &p->oldest : &p->entries[e->older].newer) = e->newer;
}

static void link_newest(struct key_pool *p, uint32_t number)
{
    struct entry *e = &p->entries[number];
    e->newer = NONE;
    e->older = p->newest;
    *(p->newest == NONE ? &p->oldest : &p->entries[p->newest].newer) = number;
    p->newest = number;
}

static void *take(struct key_pool *p, size_t size)
{
    return p->alloc->alloc(p->alloc->context, size);
}

static void give(struct key_pool *p, void *memory, size_t size)
{
    if (memory)
        crypto_wipe(memory, size);
    p->alloc->free(p->alloc->context, memory);
}

/* False: memory was refused and nothing changed. */
static bool resize(struct key_pool *p, uint32_t size)
{
    uint32_t places = table_places(size);
    struct entry *entries = take(p, size * sizeof *entries);
    uint32_t *table = entries ? take(p, places * sizeof *table) : NULL;
    if (!table) {
        p->alloc->free(p->alloc->context, entries);
        return false;
    }
    if (p->used)
        memcpy(entries, p->entries, p->used * sizeof *entries);
    give(p, p->entries, p->size * sizeof *entries);
    p->alloc->free(p->alloc->context, p->table);
    p->entries = entries;
    p->table = table;
    p->size = size;
    p->table_mask = places - 1;
    for (uint32_t i = 0; i < p->used; i++)
        table_insert(p, i);
    return true;
}

struct key_pool *key_pool_new(const struct core_alloc *alloc, const struct core_crypto *crypto, uint32_t cap)
{
    core_assert(cap <= UINT32_MAX / 8);
    struct key_pool *p = alloc->alloc(alloc->context, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct key_pool){.alloc = alloc, .crypto = crypto, .cap = cap, .newest = NONE, .oldest = NONE};
    if (cap && !resize(p, cap < FIRST ? cap : FIRST)) {
        alloc->free(alloc->context, p);
        return NULL;
    }
    return p;
}

void key_pool_free(struct key_pool *p)
{
    if (!p)
        return;
    const struct core_alloc *alloc = p->alloc;
    give(p, p->entries, p->size * sizeof *p->entries);
    alloc->free(alloc->context, p->table);
    alloc->free(alloc->context, p);
}

bool key_pool_keeps(const struct key_pool *p)
{
    return p->cap > 0;
}

size_t key_pool_bytes(const struct key_pool *p)
{
    return sizeof *p + p->size * sizeof *p->entries + (p->cap ? (p->table_mask + 1) * sizeof *p->table : 0);
}

uint32_t key_pool_count(const struct key_pool *p)
{
    return p->used;
}

uint32_t key_pool_place(const struct key_pool *p, const uint8_t secret[16], const uint8_t peer[NODE_KEY_SIZE])
{
    uint8_t out[4];
    struct bytes part = bytes_of(peer, NODE_KEY_SIZE);
    p->crypto->hash(out, sizeof out, secret, 16, &part, 1);
    return get_be32(out);
}

const struct key_pair *key_pool_find(struct key_pool *p, uint32_t place, const uint8_t ours[NODE_KEY_SIZE],
                                     const uint8_t peer[NODE_KEY_SIZE])
{
    for (uint32_t at = place & p->table_mask; p->table[at]; at = (at + 1) & p->table_mask) {
        uint32_t number = p->table[at] - 1;
        struct entry *e = &p->entries[number];
        if (e->place == place && memcmp(e->pair.peer, peer, NODE_KEY_SIZE) == 0 &&
            memcmp(e->pair.ours, ours, NODE_KEY_SIZE) == 0) {
            if (p->newest != number) {
                unlink_entry(p, number);
                link_newest(p, number);
            }
            return &e->pair;
        }
    }
    return NULL;
}

const struct key_pair *key_pool_insert(struct key_pool *p, uint32_t place, const struct key_pair *pair)
{
    uint32_t number = p->used;
    if (number == p->size && p->size < p->cap)
        resize(p, p->size > p->cap / 2 ? p->cap : p->size * 2);
    if (number == p->size) {
        number = p->oldest;
        table_remove(p, number);
        unlink_entry(p, number);
    } else {
        p->used++;
    }
    p->entries[number].pair = *pair;
    p->entries[number].place = place;
    table_insert(p, number);
    link_newest(p, number);
    return &p->entries[number].pair;
}

void key_pool_check(const struct key_pool *p)
{
    uint32_t count = 0, newer = NONE, filled = 0;
    core_assert(p->used <= p->size && p->size <= p->cap);
    if (!p->cap)
        return;
    for (uint32_t i = p->newest; i != NONE; newer = i, i = p->entries[i].older) {
        core_assert(i < p->used && p->entries[i].newer == newer);
        core_assert(++count <= p->used);
    }
    core_assert(count == p->used && p->oldest == newer);
    for (uint32_t at = 0; at <= p->table_mask; at++) {
        if (!p->table[at])
            continue;
        filled++;
        core_assert(p->table[at] - 1 < p->used);
        /* nothing empty between an entry's home and its place */
        for (uint32_t back = p->entries[p->table[at] - 1].place & p->table_mask; back != at;
             back = (back + 1) & p->table_mask)
            core_assert(p->table[back]);
    }
    core_assert(filled == p->used);
}
