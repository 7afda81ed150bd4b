/* A chunk that is being fetched: which of its leaves are wanted, here, asked for, at the data plane. Free
 * leaves are wanted and none of the rest. */
#include "transfer/xfer_internal.h"

static uint64_t *map_of(const struct swarm *w, const struct partial *p, int map)
{
    return (uint64_t *)p->words + (size_t)map * w->partial_words;
}

static uint32_t first_leaf(const struct swarm *w, const struct partial *p)
{
    return p->chunk << w->geometry.chunk_leaves_log2;
}

static size_t partial_size(const struct swarm *w)
{
    return sizeof(struct partial) + (size_t)PARTIAL_MAPS * w->partial_words * sizeof(uint64_t);
}

static uint32_t chunk_leaves(const struct swarm *w, uint32_t chunk)
{
    uint32_t first = chunk << w->geometry.chunk_leaves_log2, full = 1u << w->geometry.chunk_leaves_log2;
    return w->geometry.leaf_count - first < full ? w->geometry.leaf_count - first : full;
}

struct partial *partial_get(const struct swarm *w, uint32_t chunk)
{
    if (!w->picking || picker_in(&w->picker, chunk))
        return NULL;
    uint32_t tag = picker_tag_of(&w->picker, chunk);
    return tag ? w->partials[tag - 1] : NULL;
}

static void partial_link(struct swarm *w, struct partial *p)
{
    if (p->free != 0 && !p->owner)
        list_append_once(&w->orphans, &p->in_orphans);
    else
        list_remove(&p->in_orphans);
}

void partial_recount(struct swarm *w, struct partial *p)
{
    const uint64_t *want = map_of(w, p, PARTIAL_WANT), *have = map_of(w, p, PARTIAL_HAVE);
    const uint64_t *asked = map_of(w, p, PARTIAL_ASKED), *verifying = map_of(w, p, PARTIAL_VERIFYING);
    p->free = p->missing = 0;
    for (uint32_t i = 0; i < w->partial_words; i++) {
        p->missing += (uint32_t)__builtin_popcountll(want[i] & ~have[i]);
        p->free += (uint32_t)__builtin_popcountll(want[i] & ~have[i] & ~asked[i] & ~verifying[i]);
    }
    partial_link(w, p);
}

static bool partial_slot(struct xfer *x, struct swarm *w, uint32_t *slot)
{
    uint32_t at = w->partial_hint;
    while (at < w->partial_cap && w->partials[at])
        at++;
    if (!xfer_grow(x, (void **)&w->partials, &w->partial_cap, at + 1, w->chunks < 4 ? 4 : w->chunks,
                   sizeof *w->partials))
        return false;
    w->partial_hint = at + 1;
    *slot = at;
    return true;
}

struct partial *partial_start(struct xfer *x, struct swarm *w, uint32_t chunk)
{
    uint32_t slot;
    core_assert(!partial_get(w, chunk));
    if (!partial_slot(x, w, &slot))
        return NULL;
    struct partial *p = xfer_alloc(x, partial_size(w));
    if (!p) {
        w->partial_hint = slot; /* it is still free */
        return NULL;
    }
    p->chunk = chunk;
    p->index = slot;
    list_init(&p->requests);
    w->partials[slot] = p;
    w->partial_count++;
    uint64_t *want = map_of(w, p, PARTIAL_WANT);
    uint32_t first = first_leaf(w, p), count = chunk_leaves(w, chunk);
    for (uint32_t i = 0; i < count; i++)
        if (!w->want || bit_get(w->want, first + i))
            want[i / 64] |= UINT64_C(1) << (i % 64);
    if (picker_in(&w->picker, chunk))
        picker_take(&w->picker, chunk, slot + 1);
    else
        picker_tag(&w->picker, chunk, slot + 1);
    partial_recount(w, p);
    return p;
}

void partial_free(struct xfer *x, struct swarm *w, struct partial *p)
{
    while (!list_empty(&p->requests))
        request_cancel(x, list_object(p->requests.next, struct request, in_partial));
    if (p->owner) {
        p->owner->current = NULL;
        p->owner = NULL;
    }
    list_remove(&p->in_orphans);
    picker_tag(&w->picker, p->chunk, 0);
    w->partials[p->index] = NULL;
    w->partial_count--;
    if (p->index < w->partial_hint)
        w->partial_hint = p->index;
    xfer_free_memory(x, p, partial_size(w));
}

void partial_release(struct xfer *x, struct swarm *w, struct partial *p)
{
    if (!list_empty(&p->requests))
        return;
    for (uint32_t i = 0; i < w->partial_words; i++)
        if (map_of(w, p, PARTIAL_HAVE)[i] | map_of(w, p, PARTIAL_ASKED)[i] |
            map_of(w, p, PARTIAL_VERIFYING)[i])
            return;
    uint32_t chunk = p->chunk;
    partial_free(x, w, p);
    picker_put(&w->picker, chunk);
}

bool partial_test(const struct swarm *w, const struct partial *p, int map, uint32_t leaf)
{
    uint32_t i = leaf - first_leaf(w, p);
    return (map_of(w, p, map)[i / 64] >> (i % 64)) & 1;
}

static void change(const struct swarm *w, struct partial *p, int map, uint32_t leaf, bool on)
{
    uint32_t i = leaf - first_leaf(w, p);
    uint64_t bit = UINT64_C(1) << (i % 64);
    uint64_t *word = &map_of(w, p, map)[i / 64];
    *word = on ? *word | bit : *word & ~bit;
}

void partial_want(struct swarm *w, struct partial *p, uint32_t leaf)
{
    change(w, p, PARTIAL_WANT, leaf, true);
    partial_recount(w, p);
}

void partial_asked(struct swarm *w, struct partial *p, uint32_t leaf, uint32_t count, uint64_t mask)
{
    for (uint32_t i = 0; i < count; i++)
        if (mask >> i & 1)
            change(w, p, PARTIAL_ASKED, leaf + i, true);
    partial_recount(w, p);
}

void partial_unasked(struct xfer *x, struct swarm *w, struct partial *p, uint32_t leaf, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        change(w, p, PARTIAL_ASKED, leaf + i, false);
    list_each(node, &p->requests)
    {
        struct request *r = list_object(node, struct request, in_partial);
        if (r->expired || r->leaf >= leaf + count || r->leaf + r->count <= leaf)
            continue;
        for (uint32_t i = 0; i < r->count; i++)
            if (r->mask >> i & 1)
                change(w, p, PARTIAL_ASKED, r->leaf + i, true);
    }
    uint32_t before = p->free;
    partial_recount(w, p);
    if (p->free > before)
        swarm_wake(x, w);
}

void partial_verifying(struct swarm *w, struct partial *p, uint32_t leaf)
{
    change(w, p, PARTIAL_ASKED, leaf, false);
    change(w, p, PARTIAL_VERIFYING, leaf, true);
}

void partial_verified(struct xfer *x, struct swarm *w, struct partial *p, uint32_t leaf, bool good)
{
    core_assert(partial_test(w, p, PARTIAL_VERIFYING, leaf));
    change(w, p, PARTIAL_VERIFYING, leaf, false);
    if (good)
        change(w, p, PARTIAL_HAVE, leaf, true);
    else
        swarm_wake(x, w);
}

uint32_t partial_next_run(const struct swarm *w, const struct partial *p, uint32_t from, uint32_t most,
                          uint32_t *count)
{
    const uint64_t *want = map_of(w, p, PARTIAL_WANT), *have = map_of(w, p, PARTIAL_HAVE);
    const uint64_t *asked = map_of(w, p, PARTIAL_ASKED), *verifying = map_of(w, p, PARTIAL_VERIFYING);
    uint32_t first = first_leaf(w, p), start = from > first ? from - first : 0;
    for (uint32_t i = start / 64; i < w->partial_words; i++) {
        uint64_t word = want[i] & ~have[i] & ~asked[i] & ~verifying[i];
        if (i == start / 64)
            word &= ~UINT64_C(0) << (start % 64);
        if (word == 0)
            continue;
        uint32_t bit = (uint32_t)__builtin_ctzll(word);
        uint64_t run = ~(word >> bit);
        uint32_t length = run ? (uint32_t)__builtin_ctzll(run) : 64 - bit;
        uint32_t limit = 64 - ((first + i * 64 + bit) & 63); /* within one span, whose proof it rests on */
        *count = length < most ? length : most;
        *count = *count < limit ? *count : limit;
        return first + i * 64 + bit;
    }
    return PICKER_NONE;
}
