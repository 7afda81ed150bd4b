/* A swarm's life: one content that this node serves or fetches. */
#include "transfer/xfer_internal.h"

#define CHUNKS_MAX    65536u
#define IDLE_AFTER    CORE_SECONDS(60)
#define NEED_SOURCES  4u              /* fewer sessions than this: more are looked for */
#define NEED_GAP      CORE_SECONDS(5) /* doubles each time */
#define NEED_GAP_MAX  CORE_MINUTES(10)
#define NEED_GAP_NONE CORE_MINUTES(1) /* the longest gap while there is no source at all */
#define GOSSIP_GAP    CORE_SECONDS(20)
#define PARENT_GRACE  CORE_SECONDS(3) /* what a tree's own sessions are given before the DHT is asked */

void xfer_geometry_content(struct xfer_geometry *out, uint64_t size)
{
    core_assert(size <= CONTENT_SIZE_MAX);
    out->leaf_count = tree_leaf_count(size);
    out->chunk_leaves_log2 = 4;
    while (((uint64_t)out->leaf_count + (1u << out->chunk_leaves_log2) - 1) >> out->chunk_leaves_log2 >
           CHUNKS_MAX)
        out->chunk_leaves_log2++;
    out->leaf_bytes = TREE_LEAF_SIZE;
    out->last_leaf_bytes = tree_leaf_bytes(size, out->leaf_count - 1);
}

uint32_t xfer_chunk_count(const struct xfer_geometry *g)
{
    return (uint32_t)(((uint64_t)g->leaf_count + (1u << g->chunk_leaves_log2) - 1) >> g->chunk_leaves_log2);
}

struct swarm *swarm_any(const struct xfer *x, uint32_t number)
{
    uint32_t slot = number & 0xffffu;
    return slot < x->swarm_cap && x->swarms[slot] && x->swarms[slot]->number == number ? x->swarms[slot]
                                                                                       : NULL;
}

struct swarm *swarm_get(const struct xfer *x, uint32_t number)
{
    struct swarm *w = swarm_any(x, number);
    return w && !w->removed ? w : NULL;
}

uint32_t swarm_chunk_of(const struct swarm *w, uint32_t leaf)
{
    return leaf >> w->geometry.chunk_leaves_log2;
}

uint32_t swarm_leaf_bytes(const struct swarm *w, uint32_t leaf)
{
    return leaf + 1 == w->geometry.leaf_count ? w->geometry.last_leaf_bytes : w->geometry.leaf_bytes;
}

bool swarm_wants(const struct swarm *w)
{
    return !w->removed && !w->complete && !w->trouble && (!w->paused || w->reader_count > 0);
}

bool swarm_has_leaf(const struct swarm *w, uint32_t leaf)
{
    if (leaf >= w->geometry.leaf_count || (w->want && !bit_get(w->want, leaf)))
        return false;
    if (swarm_has_chunk(w, swarm_chunk_of(w, leaf)))
        return true;
    struct partial *p = partial_get(w, swarm_chunk_of(w, leaf));
    return p && partial_test(w, p, PARTIAL_HAVE, leaf);
}

/* ---- Adding ---- */

static bool swarm_slot(struct xfer *x, uint32_t *slot)
{
    uint32_t at = x->swarm_hint, max = x->config->swarms_max;
    while (at < x->swarm_cap && x->swarms[at])
        at++;
    if (x->swarm_count >= max ||
        !xfer_grow(x, (void **)&x->swarms, &x->swarm_cap, at + 1, max, sizeof *x->swarms) ||
        !xfer_grow(x, (void **)&x->swarm_generations, &x->swarm_generation_cap, x->swarm_cap, max,
                   sizeof *x->swarm_generations) ||
        !timer_reserve(x, x->session_count + x->swarm_count + 4))
        return false;
    x->swarm_hint = at + 1;
    *slot = at;
    return true;
}

/* What only a fetching swarm needs. */
static void swarm_shrink(struct xfer *x, struct swarm *w)
{
    for (uint32_t i = 0; i < w->partial_cap; i++)
        if (w->partials[i])
            partial_free(x, w, w->partials[i]);
    xfer_free_memory(x, w->partials, w->partial_cap * sizeof *w->partials);
    w->partials = NULL;
    w->partial_cap = w->partial_hint = 0;
    if (w->picking) {
        picker_fini(&w->picker, x->alloc);
        x->memory -= picker_bytes(w->chunks);
        w->picking = false;
    }
    uint32_t spans = (w->geometry.leaf_count >> TREE_SPAN_LOG2) + 1;
    xfer_free_memory(x, w->have, bit_bytes(w->chunks));
    xfer_free_memory(x, w->want_map, bit_bytes(w->chunks));
    xfer_free_memory(x, w->log, w->chunks * sizeof *w->log);
    xfer_free_memory(x, w->proven, bit_bytes(spans));
    xfer_free_memory(x, w->proof_seen, bit_bytes(spans));
    xfer_free_memory(x, w->readers, XFER_READERS_MAX * sizeof *w->readers);
    w->have = w->want_map = w->proven = w->proof_seen = NULL;
    w->log = NULL;
    w->readers = NULL;
    w->reader_count = 0;
    w->log_count = 0;
    list_remove(&w->in_fetching);
    list_remove(&w->in_wake);
}

static void candidates_drop(struct xfer *x, struct swarm *w)
{
    xfer_free_memory(x, w->candidates, w->candidate_cap * sizeof *w->candidates);
    w->candidates = NULL;
    w->candidate_count = w->candidate_cap = 0;
}

static bool swarm_start_fetching(struct xfer *x, struct swarm *w)
{
    uint32_t spans = (w->geometry.leaf_count >> TREE_SPAN_LOG2) + 1;
    w->have = xfer_alloc(x, bit_bytes(w->chunks));
    w->want_map = xfer_alloc(x, bit_bytes(w->chunks));
    w->log = xfer_alloc(x, w->chunks * sizeof *w->log);
    w->proven = xfer_alloc(x, bit_bytes(spans));
    w->proof_seen = xfer_alloc(x, bit_bytes(spans));
    w->picking = picker_init(&w->picker, x->alloc, w->chunks);
    if (w->picking)
        x->memory += picker_bytes(w->chunks);
    return w->have && w->want_map && w->log && w->proven && w->proof_seen && w->picking;
}

static uint32_t wanted_in_chunk(const struct swarm *w, uint32_t chunk)
{
    uint32_t first = chunk << w->geometry.chunk_leaves_log2,
             end = first + (1u << w->geometry.chunk_leaves_log2), count = 0;
    if (end > w->geometry.leaf_count)
        end = w->geometry.leaf_count;
    if (!w->want)
        return end - first;
    for (uint32_t i = first; i < end; i++)
        count += bit_get(w->want, i);
    return count;
}

/* A pack's chunk of which some entries are not wanted is here when the others are, but nothing to tell: who asked for all of
 * it would be refused. */
bool swarm_tells(const struct swarm *w, uint32_t chunk)
{
    uint32_t first = chunk << w->geometry.chunk_leaves_log2, left = w->geometry.leaf_count - first;
    uint32_t full = 1u << w->geometry.chunk_leaves_log2;
    return !w->want || full == 1 || wanted_in_chunk(w, chunk) == (left < full ? left : full);
}

static void swarm_fill_maps(struct swarm *w, const uint8_t *have)
{
    for (uint32_t i = 0; i < w->chunks; i++) {
        uint32_t wanted = wanted_in_chunk(w, i);
        bool here = have && bit_get(have, i);
        w->leaves_want += wanted;
        if (wanted)
            bit_set(w->want_map, i);
        w->want_chunks += wanted != 0;
        if (here) {
            bit_set(w->have, i);
            w->have_count++;
            w->want_have += wanted != 0;
            w->leaves_have += wanted;
        } else if (wanted) {
            picker_put(&w->picker, i);
        }
    }
}

static bool swarm_set_up(struct xfer *x, struct swarm *w, const struct xfer_swarm_params *p)
{
    if (p->want_leaves) {
        w->want = xfer_alloc(x, bit_bytes(w->geometry.leaf_count));
        if (!w->want)
            return false;
        memcpy(w->want, p->want_leaves, bit_bytes(w->geometry.leaf_count));
    }
    if (w->complete) {
        w->have_count = w->want_chunks = w->want_have = w->chunks;
        for (uint32_t i = 0; w->want && i < w->geometry.leaf_count; i++)
            w->leaves_want += bit_get(w->want, i);
        if (!w->want)
            w->leaves_want = w->geometry.leaf_count;
        w->leaves_have = w->leaves_want;
        return true;
    }
    if (!swarm_start_fetching(x, w))
        return false;
    swarm_fill_maps(w, p->have_chunks);
    return true;
}

static void swarm_free(struct xfer *x, struct swarm *w)
{
    swarm_shrink(x, w);
    candidates_drop(x, w);
    timer_set(x, &w->timer, CORE_NEVER);
    xfer_free_memory(x, w->want, bit_bytes(w->geometry.leaf_count));
    uint32_t slot = w->number & 0xffffu;
    x->swarms[slot] = NULL;
    if (slot < x->swarm_hint)
        x->swarm_hint = slot;
    x->swarm_count--;
    xfer_free_memory(x, w, sizeof *w);
}

static void schedule_first(struct xfer *x, struct swarm *w)
{
    w->connect_at = w->gossip_at = w->recheck_at = w->need_at = w->idle_at = CORE_NEVER;
    if (w->complete) {
        w->idle_at = x->now + IDLE_AFTER;
    } else {
        list_append(&x->fetching, &w->in_fetching);
        candidates_inherit(x, w);
        w->connect_at = x->now;
        w->need_at = swarm_get(x, w->parent) ? x->now + PARENT_GRACE : x->now;
    }
}

uint32_t xfer_swarm_add(struct xfer *x, core_time now, const struct xfer_swarm_params *p, struct effects *out)
{
    uint32_t slot, number = 0;
    core_assert(p->ref != 0);
    core_assert(p->geometry.leaf_count > 0);
    core_assert(xfer_chunk_count(&p->geometry) <= CHUNKS_MAX);
    xfer_enter(x, now, out);
    struct swarm *w = swarm_slot(x, &slot) ? xfer_alloc(x, sizeof *w) : NULL;
    if (w) {
        if (++x->swarm_generations[slot] == 0)
            x->swarm_generations[slot] = 1;
        number = w->number = (uint32_t)x->swarm_generations[slot] << 16 | slot;
        x->swarms[slot] = w;
        x->swarm_count++;
        w->id = p->id;
        memcpy(w->provider_key, p->provider_key, HASH_SIZE);
        w->ref = p->ref;
        w->parent = p->parent;
        w->geometry = p->geometry;
        w->chunks = xfer_chunk_count(&p->geometry);
        w->partial_words = p->geometry.chunk_leaves_log2 > 6 ? 1u << (p->geometry.chunk_leaves_log2 - 6) : 1;
        w->pack = p->pack;
        w->complete = p->complete;
        w->paused = p->paused;
        w->timer.kind = TIMER_SWARM;
        w->timer.owner = w;
        list_init(&w->channels);
        list_init(&w->orphans);
        if (!swarm_set_up(x, w, p)) {
            swarm_free(x, w);
            number = 0;
        } else {
            schedule_first(x, w);
            if (!w->complete && w->want_have == w->want_chunks)
                swarm_complete(x, w);
            swarm_arm(x, w);
        }
    }
    xfer_leave(x);
    return number;
}

/* ---- Removing ---- */

void swarm_maybe_free(struct xfer *x, struct swarm *w)
{
    if (w->removed && w->verifying == 0)
        swarm_free(x, w);
}

void swarm_forget(struct xfer *x, struct swarm *w)
{
    core_assert(list_empty(&w->channels));
    swarm_free(x, w);
}

void xfer_swarm_remove(struct xfer *x, core_time now, uint32_t swarm, struct effects *out)
{
    xfer_enter(x, now, out);
    struct swarm *w = swarm_get(x, swarm);
    if (w) {
        while (!list_empty(&w->channels))
            channel_shut(x, list_object(w->channels.next, struct channel, in_swarm));
        swarm_shrink(x, w);
        candidates_drop(x, w);
        timer_set(x, &w->timer, CORE_NEVER);
        w->complete = true; /* nothing is fetched any more */
        w->removed = true;
        swarm_maybe_free(x, w);
    }
    xfer_leave(x);
}

void swarm_stop_serving(struct xfer *x, struct swarm *w)
{
    w->broken = true;
    while (!list_empty(&w->channels))
        channel_shut(x, list_object(w->channels.next, struct channel, in_swarm));
}

/* ---- Progress ---- */

void swarm_wake(struct xfer *x, struct swarm *w)
{
    if (!w->complete && !w->removed)
        list_append_once(&x->wakes, &w->in_wake);
}

void swarm_chunk_done(struct xfer *x, struct swarm *w, uint32_t chunk)
{
    struct partial *p = partial_get(w, chunk);
    partial_free(x, w, p);
    bit_set(w->have, chunk);
    w->have_count++;
    w->want_have++;
    core_assert(w->log_count < w->chunks);
    if (swarm_tells(w, chunk))
        w->log[w->log_count++] = chunk;
    xfer_notice(x, XFER_NOTICE_CHUNK, w->number)->u.notice.a = chunk;
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN && channel_peer_has(c, chunk)) {
            core_assert(c->useful > 0);
            c->useful--;
            channel_interest(x, c);
        }
        if (c->state == CHANNEL_OPEN)
            channel_todo(x, c, 0); /* the log has grown */
    }
    if (w->want_have == w->want_chunks)
        swarm_complete(x, w);
}

void swarm_complete(struct xfer *x, struct swarm *w)
{
    core_assert(!w->complete);
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        requests_drop_channel(x, c);
        channel_map_free(x, c);
        c->useful = 0;
        list_remove(&c->in_fetch);
    }
    swarm_shrink(x, w);
    if (w->parent != 0)
        candidates_drop(x, w); /* a tree's own are kept for its parts, until it is removed */
    w->complete = true;
    w->searching = false;
    w->connect_at = w->need_at = w->recheck_at = CORE_NEVER;
    xfer_notice(x, XFER_NOTICE_COMPLETE, w->number);
    list_each_safe(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        channel_interest(x, c);
        if (c->state == CHANNEL_OPENING || c->peer_all)
            channel_shut(x, c); /* seeds have nothing for us any more, nor we for them */
        else if (c->state == CHANNEL_OPEN)
            channel_todo(x, c, TODO_MAP);
    }
    if (w->channel_count == 0)
        w->idle_at = x->now + IDLE_AFTER;
    swarm_arm(x, w);
}

void swarm_want_leaf(struct xfer *x, struct swarm *w, uint32_t leaf)
{
    uint32_t chunk = swarm_chunk_of(w, leaf);
    if (!w->want || bit_get(w->want, leaf) || bit_get(w->have, chunk))
        return;
    bit_set(w->want, leaf);
    w->leaves_want++;
    struct partial *p = partial_get(w, chunk);
    if (p) {
        partial_want(w, p, leaf);
        return;
    }
    if (bit_get(w->want_map, chunk))
        return;
    bit_set(w->want_map, chunk);
    w->want_chunks++;
    picker_put(&w->picker, chunk);
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN && channel_peer_has(c, chunk)) {
            c->useful++;
            channel_interest(x, c);
        }
    }
}

void xfer_swarm_pause(struct xfer *x, core_time now, uint32_t swarm, bool paused, struct effects *out)
{
    xfer_enter(x, now, out);
    struct swarm *w = swarm_get(x, swarm);
    if (w && !w->complete) {
        w->paused = paused;
        if (!paused) {
            w->trouble = false;
            w->connect_at = w->need_at = x->now;
            w->need_gap = 0;
            swarm_wake(x, w);
        }
        swarm_arm(x, w);
    }
    xfer_leave(x);
}

/* ---- Time ---- */

void swarm_arm(struct xfer *x, struct swarm *w)
{
    core_time at = core_time_min(w->connect_at, w->need_at);
    at = core_time_min(at, core_time_min(w->gossip_at, w->recheck_at));
    at = core_time_min(at, w->idle_at);
    timer_set(x, &w->timer, w->removed ? CORE_NEVER : at);
}

void swarm_sources_changed(struct xfer *x, struct swarm *w)
{
    if (w->removed)
        return;
    w->gossip_dirty = true;
    if (w->complete) {
        w->idle_at = w->channel_count ? CORE_NEVER : x->now + IDLE_AFTER;
    } else {
        w->connect_at = core_time_min(w->connect_at, x->now);
        if (w->channel_count == 0) {
            w->need_gap = 0;
            w->need_at = core_time_min(w->need_at, x->now + CORE_SECONDS(1));
        }
        swarm_wake(x, w);
    }
    swarm_arm(x, w);
}

/* Sessions alone are no sources: peers who met before anybody had a thing would wait for each other for ever. */
static bool has_sources(const struct swarm *w)
{
    if (w->channel_count < NEED_SOURCES)
        return false;
    list_each(node, &w->channels)
    {
        if (list_object(node, struct channel, in_swarm)->useful > 0)
            return true;
    }
    return false;
}

static void need_peers(struct xfer *x, struct swarm *w)
{
    w->searching = w->channel_count == 0;
    core_time gap = NEED_GAP << (w->need_gap < 8 ? w->need_gap : 8);
    core_time most = w->searching ? NEED_GAP_NONE : NEED_GAP_MAX;
    w->need_at = x->now + rng_jitter(&x->rng, gap < most ? gap : most, 10);
    if (!swarm_wants(w)) {
        w->need_at = CORE_NEVER;
        return;
    }
    if (has_sources(w))
        return;
    w->need_gap++;
    struct effect *e = xfer_notice(x, XFER_NOTICE_NEED_PEERS, w->number);
    memcpy(effects_reserve(x->out, e, HASH_SIZE), w->provider_key, HASH_SIZE);
    effects_commit(x->out, e, HASH_SIZE);
}

static void gossip(struct xfer *x, struct swarm *w)
{
    w->gossip_at = w->channel_count >= 2 ? x->now + GOSSIP_GAP : CORE_NEVER;
    if (!w->gossip_dirty || w->channel_count < 2)
        return;
    w->gossip_dirty =
        w->channel_count > MESSAGE_PEERS_MAX + 1; /* more than one message holds: go on next time */
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN && !c->peer_all) /* a seed looks for nobody */
            channel_todo(x, c, TODO_PEERS);
    }
}

void swarm_timer(struct xfer *x, struct swarm *w)
{
    if (x->now >= w->connect_at) {
        w->connect_at = CORE_NEVER;
        candidates_connect(x, w);
    }
    if (x->now >= w->need_at)
        need_peers(x, w);
    if (x->now >= w->gossip_at)
        gossip(x, w);
    if (x->now >= w->recheck_at) {
        w->recheck_at = CORE_NEVER;
        swarm_wake(x, w);
    }
    if (x->now >= w->idle_at) {
        w->idle_at = CORE_NEVER;
        xfer_notice(x, XFER_NOTICE_IDLE, w->number);
    }
    swarm_arm(x, w);
}

/* ---- Looking ---- */

bool xfer_swarm_stats(const struct xfer *x, core_time now, uint32_t swarm, struct xfer_swarm_stats *out)
{
    const struct swarm *w = swarm_get(x, swarm);
    memset(out, 0, sizeof *out);
    if (!w)
        return false;
    *out = (struct xfer_swarm_stats){
        .chunks = w->chunks,
        .chunks_have = w->have_count,
        .leaves = w->leaves_want,
        .leaves_have = w->leaves_have,
        .candidates = w->candidate_count,
        .seeds = w->seed_count,
        .bytes_down = w->bytes_down,
        .bytes_up = w->bytes_up,
        .rate_down = meter_rate(&w->down, now),
        .rate_up = meter_rate(&w->up, now),
        .bytes_wasted = w->bytes_wasted,
        .complete = w->complete,
        .searching = w->searching,
    };
    list_each(node, &w->channels) out->sessions +=
        list_object(node, struct channel, in_swarm)->state == CHANNEL_OPEN;
    return true;
}

uint32_t xfer_swarm_find(const struct xfer *x, const struct content_id *id)
{
    for (uint32_t i = 0; i < x->swarm_cap; i++) {
        const struct swarm *w = x->swarms[i];
        if (w && !w->removed && !w->pack && content_id_equal(&w->id, id))
            return w->number;
    }
    return 0;
}

bool xfer_swarm_has_leaf(const struct xfer *x, uint32_t swarm, uint32_t leaf)
{
    const struct swarm *w = swarm_get(x, swarm);
    return w && swarm_has_leaf(w, leaf);
}

size_t xfer_swarm_have(const struct xfer *x, uint32_t swarm, uint8_t *out, size_t cap)
{
    const struct swarm *w = swarm_get(x, swarm);
    if (!w || cap < bit_bytes(w->chunks))
        return 0;
    memset(out, 0, bit_bytes(w->chunks));
    for (uint32_t i = 0; w->complete && i < w->chunks; i++)
        bit_set(out, i);
    if (!w->complete)
        memcpy(out, w->have, bit_bytes(w->chunks));
    return bit_bytes(w->chunks);
}
