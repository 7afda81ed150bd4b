/* Readers: leaves that somebody waits for. Earliest deadline first, from the session that will have them
 * soonest, ahead of everything else in its queue; a late one is asked for once more elsewhere (FIELD.md,
 * "Streaming"). */
#include "transfer/xfer_internal.h"

#define RUN_MAX      16u
#define LOOK_MAX     4096u      /* leaves looked at in one go */
#define URGENT_FIRST (256u << 10) /* and each content on it: a new reader does not wait a round trip for others' read-ahead */
#define URGENT_MIN   (1u << 20) /* urgent bytes a session may always have outstanding */
#define LATE         CORE_MS(200)
#define RECHECK      CORE_MS(100)
#define RATE_UNKNOWN (256u << 10)
#define RTT_UNKNOWN  CORE_MS(100)

static struct reader *reader_find(struct swarm *w, uint32_t number)
{
    for (uint32_t i = 0; w->readers && i < XFER_READERS_MAX; i++)
        if (w->readers[i].used && w->readers[i].number == number)
            return &w->readers[i];
    return NULL;
}

static struct reader *reader_new(struct xfer *x, struct swarm *w)
{
    if (!w->readers)
        w->readers = xfer_alloc(x, XFER_READERS_MAX * sizeof *w->readers);
    for (uint32_t i = 0; w->readers && i < XFER_READERS_MAX; i++) {
        if (!w->readers[i].used) {
            w->readers[i].used = true;
            w->reader_count++;
            return &w->readers[i];
        }
    }
    return NULL;
}

int xfer_reader_set(struct xfer *x, core_time now, uint32_t swarm, uint32_t reader, uint32_t first,
                    uint32_t count, core_time due, struct effects *out)
{
    xfer_enter(x, now, out);
    int result = 0;
    struct swarm *w = swarm_get(x, swarm);
    if (!w) {
        result = ERR_NOT_FOUND;
    } else if (!w->complete) {
        struct reader *r = reader_find(w, reader);
        if (!r)
            r = reader_new(x, w);
        if (!r) {
            result = w->readers ? ERR_FULL : ERR_NO_MEMORY;
        } else {
            r->number = reader;
            r->first = first < w->geometry.leaf_count ? first : w->geometry.leaf_count;
            r->count = count < w->geometry.leaf_count - r->first ? count : w->geometry.leaf_count - r->first;
            r->due = due;
            for (uint32_t i = 0; w->want && i < r->count; i++)
                swarm_want_leaf(x, w, r->first + i);
            w->connect_at = core_time_min(w->connect_at, x->now);
            if (w->channel_count == 0)
                w->need_at = core_time_min(w->need_at, x->now);
            swarm_wake(x, w);
            swarm_arm(x, w);
        }
    }
    xfer_leave(x);
    return result;
}

void xfer_reader_clear(struct xfer *x, core_time now, uint32_t swarm, uint32_t reader)
{
    struct swarm *w = swarm_get(x, swarm);
    struct reader *r = w ? reader_find(w, reader) : NULL;
    if (now > x->now)
        x->now = now;
    if (!r)
        return;
    memset(r, 0, sizeof *r);
    w->reader_count--;
}

static uint64_t urgent_wait(const struct session *s)
{
    uint64_t rate = s->flow.rate ? s->flow.rate : RATE_UNKNOWN;
    return (uint64_t)s->urgent_bytes * CORE_SECONDS(1) / rate + (s->rtt_min_us ? s->rtt_min_us : RTT_UNKNOWN);
}

/* The session that will have this chunk's leaves soonest; not `but`. */
static struct channel *quickest(struct swarm *w, uint32_t chunk, const struct session *but)
{
    struct channel *best = NULL;
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        struct session *s = c->session;
        uint32_t room = s->window > URGENT_MIN ? s->window : URGENT_MIN;
        if (s == but || (c->state != CHANNEL_OPEN && c->state != CHANNEL_OPENING) ||
            !channel_peer_has(c, chunk) || !session_may_request(s) ||
            (s->urgent_bytes >= room && c->urgent_bytes >= URGENT_FIRST) ||
            s->request_count >= SESSION_REQUESTS_MAX)
            continue;
        if (!best || urgent_wait(s) < urgent_wait(best->session))
            best = c;
    }
    return best;
}

static struct request *covering(const struct partial *p, uint32_t leaf)
{
    list_each(node, &p->requests)
    {
        struct request *r = list_object(node, struct request, in_partial);
        if (!r->expired && leaf >= r->leaf && leaf < r->leaf + r->count && (r->mask >> (leaf - r->leaf) & 1))
            return r;
    }
    return NULL;
}

/* A leaf that was asked for already: what stands in somebody's queue too long is taken out; what is late is
 * asked for twice. */
static void hurry(struct xfer *x, struct swarm *w, struct partial *p, uint32_t leaf, core_time due)
{
    struct request *r = covering(p, leaf);
    if (!r)
        return;
    struct session *s = r->channel->session;
    if (!r->urgent) {
        bool begun = r->sent && s->sent.next == &r->in_session;
        if (!begun && core_time_add(x->now, session_queue_us(x, s)) > due)
            request_cancel(x, r);
        return;
    }
    if (request_asked_twice(r) || !r->sent || x->now < r->sent_at + 2 * urgent_wait(s) + LATE)
        return;
    struct channel *c = quickest(w, p->chunk, s);
    if (!c)
        return;
    uint32_t skip = leaf - r->leaf;
    uint64_t mask = r->mask >> skip;
    uint32_t count = 64 - (uint32_t)__builtin_clzll(mask);
    request_make(x, c, p, leaf, count, mask, true);
}

/* False: no session can take more. */
static bool read_ahead(struct xfer *x, struct swarm *w, const struct reader *reader, uint32_t *looked)
{
    uint32_t end = reader->first + reader->count, leaf = reader->first;
    while (leaf < end && *looked < LOOK_MAX) {
        uint32_t chunk = swarm_chunk_of(w, leaf), next = (chunk + 1) << w->geometry.chunk_leaves_log2;
        if (next > end || next == 0)
            next = end;
        *looked += 1;
        if (bit_get(w->have, chunk)) {
            leaf = next;
            continue;
        }
        struct partial *p = partial_get(w, chunk);
        if (p && (partial_test(w, p, PARTIAL_HAVE, leaf) || partial_test(w, p, PARTIAL_VERIFYING, leaf))) {
            leaf++;
            continue;
        }
        if (p && partial_test(w, p, PARTIAL_ASKED, leaf))
            hurry(x, w, p, leaf, reader->due);
        if (p && partial_test(w, p, PARTIAL_ASKED, leaf)) {
            leaf++;
            continue;
        }
        struct channel *c = quickest(w, chunk, NULL);
        if (!c) { /* nobody has it, or all who have it are busy with what is due sooner */
            leaf = next;
            continue;
        }
        if (!p)
            p = partial_start(x, w, chunk);
        uint32_t count, most = next - leaf < RUN_MAX ? next - leaf : RUN_MAX;
        uint32_t run = p ? partial_next_run(w, p, leaf, most, &count) : PICKER_NONE;
        if (run != leaf) { /* no memory, or a leaf that does not exist in this pack */
            leaf++;
            continue;
        }
        uint64_t mask = (UINT64_C(1) << count) - 1;
        if (!request_make(x, c, p, run, count, mask, true))
            return false;
        leaf += count;
    }
    return true;
}

void readers_pump(struct xfer *x, struct swarm *w)
{
    uint64_t done = 0;
    uint32_t looked = 0;
    _Static_assert(XFER_READERS_MAX <= 64, "one bit each");
    if (w->reader_count == 0 || w->complete || w->trouble)
        return;
    for (uint32_t n = 0; n < w->reader_count; n++) {
        uint32_t first = XFER_READERS_MAX;
        for (uint32_t i = 0; i < XFER_READERS_MAX; i++)
            if (w->readers[i].used && !(done >> i & 1) &&
                (first == XFER_READERS_MAX || w->readers[i].due < w->readers[first].due))
                first = i;
        if (first == XFER_READERS_MAX || !read_ahead(x, w, &w->readers[first], &looked))
            break;
        done |= UINT64_C(1) << first;
    }
    w->recheck_at = core_time_min(w->recheck_at, x->now + RECHECK);
    swarm_arm(x, w);
}
