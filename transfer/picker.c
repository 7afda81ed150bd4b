#include "transfer/picker.h"
#include "node/base/assert.h"
#include <string.h>

static uint32_t bucket_of(const struct picker *p, uint32_t chunk)
{
    uint32_t a = p->available[chunk];
    return a < PICKER_BUCKETS ? a : PICKER_BUCKETS - 1;
}

static uint32_t bucket_start(const struct picker *p, uint32_t bucket)
{
    return bucket == 0 ? 0 : p->bucket_end[bucket - 1];
}

static void set(struct picker *p, uint32_t at, uint32_t chunk)
{
    p->order[at] = chunk;
    p->place[chunk] = at;
}

bool picker_init(struct picker *p, const struct core_alloc *alloc, uint32_t chunks)
{
    memset(p, 0, sizeof *p);
    core_assert(chunks > 0);
    p->chunks = chunks;
    p->available = alloc->alloc(alloc->context, chunks * sizeof *p->available);
    p->order = alloc->alloc(alloc->context, chunks * sizeof *p->order);
    p->place = alloc->alloc(alloc->context, chunks * sizeof *p->place);
    if (!p->available || !p->order || !p->place) {
        picker_fini(p, alloc);
        return false;
    }
    for (uint32_t i = 0; i < chunks; i++)
        p->place[i] = PICKER_OUT;
    return true;
}

void picker_fini(struct picker *p, const struct core_alloc *alloc)
{
    alloc->free(alloc->context, p->available);
    alloc->free(alloc->context, p->order);
    alloc->free(alloc->context, p->place);
    memset(p, 0, sizeof *p);
}

size_t picker_bytes(uint32_t chunks)
{
    return (size_t)chunks * (sizeof(uint16_t) + 2 * sizeof(uint32_t));
}

void picker_put(struct picker *p, uint32_t chunk)
{
    core_assert(!picker_in(p, chunk));
    uint32_t bucket = bucket_of(p, chunk);
    /* A hole opens at the end and is moved down, border by border, to the end of the chunk's bucket. */
    uint32_t hole = p->count++;
    for (uint32_t b = PICKER_BUCKETS - 1; b > bucket; b--) {
        uint32_t start = bucket_start(p, b);
        if (start != hole)
            set(p, hole, p->order[start]);
        hole = start;
        p->bucket_end[b]++;
    }
    p->bucket_end[bucket]++;
    set(p, hole, chunk);
}

void picker_take(struct picker *p, uint32_t chunk, uint32_t tag)
{
    core_assert(picker_in(p, chunk));
    uint32_t hole = p->place[chunk];
    for (uint32_t b = bucket_of(p, chunk); b < PICKER_BUCKETS; b++) {
        uint32_t last = p->bucket_end[b] - 1;
        if (last != hole)
            set(p, hole, p->order[last]);
        hole = last;
        p->bucket_end[b]--;
    }
    p->count--;
    p->place[chunk] = PICKER_OUT | tag;
}

void picker_tag(struct picker *p, uint32_t chunk, uint32_t tag)
{
    core_assert(!picker_in(p, chunk));
    core_assert(tag < PICKER_OUT);
    p->place[chunk] = PICKER_OUT | tag;
}

void picker_more(struct picker *p, uint32_t chunk)
{
    uint32_t from = bucket_of(p, chunk);
    p->available[chunk]++;
    core_assert(p->available[chunk] != 0);
    if (!picker_in(p, chunk) || bucket_of(p, chunk) == from)
        return;
    uint32_t last = --p->bucket_end[from];
    uint32_t at = p->place[chunk];
    if (last != at)
        set(p, at, p->order[last]);
    set(p, last, chunk);
}

void picker_less(struct picker *p, uint32_t chunk)
{
    uint32_t from = bucket_of(p, chunk);
    core_assert(p->available[chunk] > 0);
    p->available[chunk]--;
    if (!picker_in(p, chunk) || bucket_of(p, chunk) == from)
        return;
    uint32_t first = p->bucket_end[from - 1]++;
    uint32_t at = p->place[chunk];
    if (first != at)
        set(p, at, p->order[first]);
    set(p, first, chunk);
}

static bool has(const uint8_t *map, uint32_t chunk)
{
    return !map || ((map[chunk >> 3] >> (chunk & 7)) & 1);
}

/* Within [start, end) from a random place around. */
static uint32_t pick_within(const struct picker *p, struct rng *rng, const uint8_t *map, uint32_t start,
                            uint32_t end)
{
    if (start == end)
        return PICKER_NONE;
    uint32_t at = start + rng_below(rng, end - start);
    for (uint32_t i = start; i < end; i++) {
        if (has(map, p->order[at]))
            return p->order[at];
        at = at + 1 == end ? start : at + 1;
    }
    return PICKER_NONE;
}

uint32_t picker_pick(const struct picker *p, struct rng *rng, const uint8_t *map, bool anywhere)
{
    if (anywhere)
        return pick_within(p, rng, map, 0, p->count);
    for (uint32_t b = 0, start = 0; b < PICKER_BUCKETS && start < p->count; start = p->bucket_end[b++]) {
        uint32_t chunk = pick_within(p, rng, map, start, p->bucket_end[b]);
        if (chunk != PICKER_NONE)
            return chunk;
    }
    return PICKER_NONE;
}

void picker_check(const struct picker *p)
{
    uint32_t in = 0;
    for (uint32_t i = 0; i < p->chunks; i++)
        in += picker_in(p, i);
    core_assert(in == p->count);
    core_assert(p->bucket_end[PICKER_BUCKETS - 1] == p->count);
    uint32_t start = 0;
    for (uint32_t b = 0; b < PICKER_BUCKETS; b++) {
        core_assert(p->bucket_end[b] >= start);
        for (uint32_t i = start; i < p->bucket_end[b]; i++) {
            core_assert(p->place[p->order[i]] == i);
            core_assert(bucket_of(p, p->order[i]) == b);
        }
        start = p->bucket_end[b];
    }
}
