/* What is asked of whom: windows from bandwidth times delay, rarest first, the rest of a chunk before a new
 * one, and at the end work taken over from slower sessions. */
#include "transfer/xfer_internal.h"

#define ORPHANS_LOOKED_AT 64u
#define ORPHANS_KEPT      64u /* chunks begun, beyond which they are finished wherever that goes */
#define RATE_UNKNOWN      (256u << 10) /* [bytes/s] assumed of a session that delivered nothing yet */
#define RTT_UNKNOWN       CORE_MS(100)
#define RECHECK           CORE_MS(100) /* how often an idle session looks for work to take over */
#define STEAL_MARGIN      CORE_MS(50)
#define LIES_MAX          64u
#define RUN_ALONE         64u /* chunks in a row from the only source */

uint32_t request_bytes(const struct request *r)
{
    return (uint32_t)__builtin_popcountll(r->mask) * r->channel->leaf_bytes;
}

bool session_may_request(const struct session *s)
{
    return (s->state == SESSION_OPEN || s->state == SESSION_HANDSHAKE) && !s->probe &&
           (!s->peer_choking || s->peer_finishes) && !s->stalled;
}

static void outstanding_add(struct session *s, const struct request *r)
{
    s->outstanding += request_bytes(r);
    if (r->urgent) {
        s->urgent_bytes += request_bytes(r);
        r->channel->urgent_bytes += request_bytes(r);
    }
}

static void outstanding_sub(struct session *s, const struct request *r)
{
    uint32_t bytes = request_bytes(r);
    core_assert(s->outstanding >= bytes);
    s->outstanding -= bytes;
    if (r->urgent) {
        core_assert(s->urgent_bytes >= bytes && r->channel->urgent_bytes >= bytes);
        s->urgent_bytes -= bytes;
        r->channel->urgent_bytes -= bytes;
    }
}

/* ---- Proofs: the first run into a span asks for it; what this session was asked before may be relied on,
 * its stream keeps order ---- */

static uint32_t span_of(uint32_t leaf)
{
    return leaf >> TREE_SPAN_LOG2;
}

bool swarm_needs_proofs(const struct swarm *w)
{
    return !w->pack && w->geometry.leaf_count > 1;
}

static bool proof_needed(struct channel *c, uint32_t leaf, bool urgent)
{
    struct swarm *w = c->swarm;
    uint32_t span = span_of(leaf);
    if (!swarm_needs_proofs(w) || bit_get(w->proven, span))
        return false;
    for (uint32_t i = 0; i < PROOF_RING; i++)
        if (!urgent && c->proof_spans[i] == span + 1)
            return false;
    if (!urgent) { /* an urgent run overtakes the others, so none may rely on its proof nor it on theirs */
        c->proof_spans[c->proof_at] = span + 1;
        c->proof_at = (c->proof_at + 1) % PROOF_RING;
    }
    return true;
}

/* The run that was to bring the proof is gone: what relied on it can no longer be checked when it arrives
 * first. */
static void proof_lost(struct request *r)
{
    struct channel *c = r->channel;
    uint32_t span = span_of(r->leaf);
    if (!r->proof || r->proof_came || r->urgent)
        return;
    for (uint32_t i = 0; i < PROOF_RING; i++)
        if (c->proof_spans[i] == span + 1)
            c->proof_spans[i] = 0;
    struct list *lists[] = {&c->session->unsent, &c->session->sent};
    for (int k = 0; k < 2; k++) {
        list_each(node, lists[k])
        {
            struct request *other = list_object(node, struct request, in_session);
            if (other != r && other->channel == c && !other->proof && span_of(other->leaf) == span)
                other->no_proof = true;
        }
    }
}

/* ---- One request's life ---- */

static void link_unsent(struct session *s, struct request *r)
{
    if (!r->urgent) {
        list_append(&s->unsent, &r->in_session);
        return;
    }
    struct list *at = s->unsent.next;
    while (at != &s->unsent && list_object(at, struct request, in_session)->urgent)
        at = at->next;
    list_append(at, &r->in_session);
}

struct request *request_make(struct xfer *x, struct channel *c, struct partial *p, uint32_t leaf,
                             uint32_t count, uint64_t mask, bool urgent)
{
    struct session *s = c->session;
    if (s->request_count >= SESSION_REQUESTS_MAX)
        return NULL;
    struct request *r = pool_take(&x->requests);
    if (!r)
        return NULL;
    core_assert(count >= 1);
    core_assert(count <= MESSAGE_RUN_MAX);
    core_assert(span_of(leaf) == span_of(leaf + count - 1));
    r->channel = c;
    r->partial = p;
    r->leaf = leaf;
    r->count = (uint8_t)count;
    r->mask = mask;
    r->urgent = urgent;
    r->proof = proof_needed(c, leaf, urgent);
    link_unsent(s, r);
    list_append(&p->requests, &r->in_partial);
    if (s->request_count++ == 0)
        s->busy_since = 0;
    outstanding_add(s, r);
    bucket_spend(&x->download, request_bytes(r));
    partial_asked(c->swarm, p, leaf, count, mask);
    session_wants_write(x, s);
    return r;
}

/* Unlinks and frees; what its leaves become is the caller's to say. */
static void request_unlink(struct xfer *x, struct request *r)
{
    struct session *s = r->channel->session;
    proof_lost(r);
    if (!r->expired)
        outstanding_sub(s, r);
    bucket_spend(&x->download, -(int64_t)request_bytes(r));
    list_remove(&r->in_session);
    list_remove(&r->in_partial);
    s->request_count--;
    pool_give(&x->requests, r);
}

void request_mask_clear(struct xfer *x, struct request *r, uint32_t leaf)
{
    (void)x;
    uint64_t bit = UINT64_C(1) << (leaf - r->leaf);
    core_assert(r->mask & bit);
    if (!r->expired)
        outstanding_sub(r->channel->session, r);
    r->mask &= ~bit;
    if (!r->expired)
        outstanding_add(r->channel->session, r);
}

void request_free(struct xfer *x, struct request *r)
{
    struct swarm *w = r->channel->swarm;
    struct partial *p = r->partial;
    uint32_t leaf = r->leaf, count = r->count;
    bool live = !r->expired && r->mask != 0;
    request_unlink(x, r);
    if (live)
        partial_unasked(x, w, p, leaf, count);
}

void request_cancel(struct xfer *x, struct request *r)
{
    struct session *s = r->channel->session;
    if (r->sent && r->mask != 0) {
        struct cancel *c = s->cancel_count < SESSION_REQUESTS_MAX ? pool_take(&x->cancels) : NULL;
        s->unsolicited -= r->count; /* what is on its way already is not the peer's fault */
        if (c) {
            c->channel = r->channel->number;
            c->leaf = r->leaf;
            c->count = r->count;
            list_append(&s->cancels, &c->in_session);
            s->cancel_count++;
            session_wants_write(x, s);
        }
    }
    request_free(x, r);
}

static void drop_where(struct xfer *x, struct session *s, const struct channel *c)
{
    struct list *lists[] = {&s->unsent, &s->sent};
    for (int k = 0; k < 2; k++) {
        list_each_safe(node, lists[k])
        {
            struct request *r = list_object(node, struct request, in_session);
            if (c && r->channel != c)
                continue;
            if (r->sent)
                s->unsolicited -= r->count;
            struct swarm *w = r->channel->swarm;
            struct partial *p = r->partial;
            request_free(x, r);
            partial_release(x, w, p);
        }
    }
}

void requests_drop_channel(struct xfer *x, struct channel *c)
{
    if (c->swarm)
        drop_where(x, c->session, c);
}

void requests_unsend_all(struct xfer *x, struct session *s)
{
    drop_where(x, s, NULL);
}

void requests_expire(struct xfer *x, struct session *s)
{
    while (!list_empty(&s->unsent))
        request_free(x, list_object(s->unsent.next, struct request, in_session));
    list_each(node, &s->sent)
    {
        struct request *r = list_object(node, struct request, in_session);
        if (r->expired)
            continue;
        outstanding_sub(s, r);
        r->expired = true;
        partial_unasked(x, r->channel->swarm, r->partial, r->leaf, r->count);
    }
}

struct request *request_find(struct session *s, const struct channel *c, uint32_t leaf)
{
    list_each(node, &s->sent)
    {
        struct request *r = list_object(node, struct request, in_session);
        if (r->channel == c && leaf >= r->leaf && leaf < r->leaf + r->count &&
            (r->mask >> (leaf - r->leaf) & 1))
            return r;
    }
    return NULL;
}

/* These leaves of a run will not come. The rest of it will, unless the proof it needs was to come with them. */
static void request_refused(struct xfer *x, struct request *r, uint32_t leaf, uint32_t count)
{
    struct swarm *w = r->channel->swarm;
    struct partial *p = r->partial;
    struct session *s = r->channel->session;
    uint64_t gone = (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << (leaf - r->leaf) & r->mask;
    uint32_t left = (uint32_t)__builtin_popcountll(r->mask & ~gone);
    if (left == 0 || (r->proof && !r->proof_came)) {
        s->unsolicited -= (int32_t)left; /* what does come was asked for */
        request_free(x, r);
    } else {
        uint32_t before = request_bytes(r);
        if (!r->expired)
            outstanding_sub(s, r);
        r->mask &= ~gone;
        if (!r->expired)
            outstanding_add(s, r);
        bucket_spend(&x->download, (int64_t)request_bytes(r) - (int64_t)before);
        if (!r->expired)
            partial_unasked(x, w, p, leaf, count);
    }
    partial_release(x, w, p);
}

void request_rejected(struct xfer *x, struct channel *c, const struct message *m)
{
    struct session *s = c->session;
    list_each(node, &s->sent)
    {
        struct request *r = list_object(node, struct request, in_session);
        if (r->channel != c || m->leaf < r->leaf || m->leaf + m->count > r->leaf + r->count)
            continue;
        struct swarm *w = c->swarm;
        uint32_t chunk = r->partial->chunk;
        request_refused(x, r, m->leaf, m->count);
        if (m->value == REJECT_NOT_HERE || m->value == REJECT_FAILED) {
            /* Many files of an honest peer's directory may have changed since it said that it has them. */
            bool lie = !(w->pack && m->value == REJECT_FAILED);
            if (lie && c->state == CHANNEL_OPEN && channel_peer_has(c, chunk) && ++s->lies > LIES_MAX) {
                bans_add(&x->bans, x->alloc, x->now, s->key, NULL, core_time_add(x->now, x->config->ban_time / 12));
                session_hangup(x, s, ERR_REFUSED);
                return;
            }
            if (c->state == CHANNEL_OPEN)
                channel_unhas(x, c, chunk);
        } else if (m->value == REJECT_FULL) {
            s->window = WINDOW_MIN;
        } else if (m->value == REJECT_CHOKED) {
            s->peer_finishes = false; /* enough, it means */
        }
        session_fill_later(x, s);
        return;
    }
}

/* ---- Choosing ---- */

uint64_t session_queue_us(const struct xfer *x, const struct session *s)
{
    uint64_t rate = s->flow.rate ? s->flow.rate : RATE_UNKNOWN;
    uint64_t queue = (uint64_t)s->outstanding * CORE_SECONDS(1) / rate;
    if (!list_empty(&s->sent)) { /* silence counts: a stalled session looks slower and slower */
        core_time from = list_object(s->sent.next, struct request, in_session)->sent_at;
        if (s->last_arrival > from)
            from = s->last_arrival;
        /* A peer serves its sessions in turn, a run each: that much silence is no sign of anything. */
        core_time round =
            (s->rtt_min_us ? s->rtt_min_us : RTT_UNKNOWN) + 2 * (uint64_t)RUN_BYTES * CORE_SECONDS(1) / rate;
        if (x->now > from + round)
            queue += 4 * (x->now - from - round);
    }
    return queue;
}

static uint32_t run_leaves(const struct channel *c)
{
    uint32_t leaves = RUN_BYTES / (c->leaf_bytes ? c->leaf_bytes : 1);
    uint32_t slow = c->session->window / 4 / (c->leaf_bytes ? c->leaf_bytes : 1);
    leaves = leaves < 16 ? 16 : leaves > MESSAGE_RUN_MAX ? MESSAGE_RUN_MAX : leaves;
    if (leaves > slow)
        leaves = slow < 2 ? 2 : slow;
    /* All entries of a pack's chunk at once: when the peer says of one that it changed, the others are still to come. */
    uint32_t chunk = c->swarm->pack ? 1u << c->swarm->geometry.chunk_leaves_log2 : 1;
    return leaves < chunk && chunk <= MESSAGE_RUN_MAX ? chunk : leaves;
}

static bool request_from(struct xfer *x, struct channel *c, struct partial *p)
{
    uint32_t count, leaf = partial_next_run(c->swarm, p, 0, run_leaves(c), &count);
    if (leaf == PICKER_NONE)
        return false;
    uint64_t mask = count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
    return request_make(x, c, p, leaf, count, mask, false) != NULL;
}

static void own(struct channel *c, struct partial *p)
{
    if (c->current == p)
        return;
    if (c->current) {
        c->current->owner = NULL;
        partial_recount(c->swarm, c->current);
    }
    c->current = p;
    if (p) {
        p->owner = c;
        partial_recount(c->swarm, p);
    }
}

/* The next chunk of the same span when none is rarer: its proof is there already,
 * and disks like it. */
static uint32_t pick_neighbour(struct channel *c)
{
    struct swarm *w = c->swarm;
    uint32_t next = c->next_chunk;
    if (next == PICKER_NONE || next >= w->chunks || !picker_in(&w->picker, next) ||
        !channel_peer_has(c, next))
        return PICKER_NONE;
    uint32_t per_span = TREE_SPAN_LOG2 > w->geometry.chunk_leaves_log2
                            ? 1u << (TREE_SPAN_LOG2 - w->geometry.chunk_leaves_log2)
                            : 1;
    uint32_t run = w->channel_count <= 1 ? RUN_ALONE : per_span;
    if (next % run == 0 || w->picker.available[next] > w->picker.available[w->picker.order[0]])
        return PICKER_NONE;
    return next;
}

/* A seed's time is for what nobody else has: the rest of a chunk that others have can come from them. */
static bool others_finish(const struct channel *c, const struct partial *p)
{
    const struct swarm *w = c->swarm;
    return c->peer_all && w->picker.count != 0 && w->partial_count <= ORPHANS_KEPT &&
           w->picker.available[p->chunk] > w->picker.available[w->picker.order[0]];
}

static struct partial *pick_orphan(struct channel *c)
{
    uint32_t looked = 0;
    list_each(node, &c->swarm->orphans)
    {
        struct partial *p = list_object(node, struct partial, in_orphans);
        if (channel_peer_has(c, p->chunk) && !others_finish(c, p))
            return p;
        if (++looked == ORPHANS_LOOKED_AT)
            break;
    }
    return NULL;
}

static struct partial *pick_new(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    uint32_t chunk = pick_neighbour(c);
    if (chunk == PICKER_NONE) {
        const uint8_t *map = c->peer_all || c->state == CHANNEL_OPENING ? NULL : c->map;
        if (w->picker.count == 0 || (!map && !channel_peer_has(c, 0)))
            return NULL;
        chunk = picker_pick(&w->picker, &x->rng, map, w->have_count == 0);
    }
    if (chunk == PICKER_NONE)
        return NULL;
    struct partial *p = partial_start(x, w, chunk);
    if (p)
        c->next_chunk = chunk + 1;
    return p;
}

/* A run of a slower session that this one would have sooner. What the other has not begun is taken over and
 * cancelled there, which wastes nothing; only what may be on its way is asked for twice. */
struct theft {
    struct request *r;
    uint64_t queue;
    bool begun;
};

bool request_asked_twice(const struct request *r)
{
    list_each(node, &r->partial->requests)
    {
        const struct request *o = list_object(node, struct request, in_partial);
        if (o != r && !o->expired && o->leaf < r->leaf + r->count && r->leaf < o->leaf + o->count)
            return true;
    }
    return false;
}

static void consider(struct xfer *x, struct channel *c, struct channel *other, struct theft *best)
{
    struct session *victim = other->session;
    uint64_t queue = session_queue_us(x, victim);
    if (victim == c->session || victim->request_count == 0 || queue <= best->queue)
        return;
    struct list *lists[] = {&victim->unsent, &victim->sent};
    uint64_t share = victim->flow.rate / 4 > SERVE_OUTSTANDING_MIN ? victim->flow.rate / 4 : SERVE_OUTSTANDING_MIN;
    uint64_t at_host = share + victim->flow.rate * victim->rtt_min_us / CORE_SECONDS(1);
    for (int k = 0; k < 2; k++) {
        uint32_t looked = 0, behind = victim->outstanding;
        for (struct list *node = lists[k]->prev; node != lists[k] && looked < 8;
             node = node->prev, looked++) {
            struct request *r = list_object(node, struct request, in_session);
            if (r->channel != other || r->expired || r->mask == 0 || r->urgent ||
                !channel_peer_has(c, r->partial->chunk))
                continue;
            /* What its host may hold already cannot be called back. */
            bool begun = r->sent && (lists[k]->next == node || behind < request_bytes(r) + at_host);
            behind -= behind < request_bytes(r) ? behind : request_bytes(r);
            /* Twice the same only at the very end: before it, everything will be wanted from somebody, and an idle uplink
             * filled with copies is lost to those who lack the chunk. */
            if (request_asked_twice(r) || (begun && other->swarm->picker.count != 0))
                continue;
            *best = (struct theft){r, queue, begun};
            return;
        }
    }
}

bool request_steal(struct xfer *x, struct channel *c)
{
    struct theft best = {NULL, 0, false};
    struct session *s = c->session;
    list_each(node, &c->swarm->channels) consider(x, c, list_object(node, struct channel, in_swarm), &best);
    if (!best.r)
        return false;
    uint64_t rate = s->flow.rate ? s->flow.rate : RATE_UNKNOWN;
    uint64_t mine = session_queue_us(x, s) + (s->rtt_min_us ? s->rtt_min_us : RTT_UNKNOWN) +
                    (uint64_t)request_bytes(best.r) * CORE_SECONDS(1) / rate;
    /* While there are chunks to begin, only from a session that is far behind: what it has in hand already comes in vain. */
    uint64_t margin = c->swarm->picker.count != 0 ? 20 * STEAL_MARGIN : best.begun ? 10 * STEAL_MARGIN : STEAL_MARGIN;
    if ((best.begun ? 4 : 2) * mine + margin >= best.queue)
        return false;
    struct partial *p = best.r->partial;
    uint32_t skip = (uint32_t)__builtin_ctzll(best.r->mask), leaf = best.r->leaf + skip;
    uint64_t mask = best.r->mask >> skip;
    uint32_t count = 64 - (uint32_t)__builtin_clzll(mask);
    if (!best.begun)
        request_cancel(x, best.r);
    return request_make(x, c, p, leaf, count, mask, false) != NULL;
}

/* What a slower session has not asked for yet of the chunk it goes on with. */
static struct partial *pick_shared(const struct xfer *x, const struct channel *c)
{
    struct partial *best = NULL;
    uint64_t longest = 0;
    list_each(node, &c->swarm->channels)
    {
        const struct channel *other = list_object(node, struct channel, in_swarm);
        struct partial *p = other->current;
        if (other == c || !p || p->free == 0 || !channel_peer_has(c, p->chunk))
            continue;
        uint64_t queue = session_queue_us(x, other->session) + 1;
        if (queue > longest) {
            longest = queue;
            best = p;
        }
    }
    return best;
}

/* One run from this channel's peer; false: nothing to ask for now. */
static bool request_next(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    if (!w || w->complete || w->paused || w->trouble || (c->state == CHANNEL_OPEN && c->useful == 0))
        return false;
    if (c->current && c->current->free == 0)
        own(c, NULL);
    struct partial *p = c->current;
    if (!p && c->session->peer_choking)
        return false; /* it lets us finish what it began, no more */
    if (!p)
        p = pick_orphan(c);
    if (!p)
        p = pick_new(x, c);
    if (!p && (p = pick_shared(x, c)) != NULL)
        return request_from(x, c, p);
    if (!p) {
        bool found = w->partial_count != 0 && request_steal(x, c);
        if (!found && (w->partial_count != 0 || w->picker.count != 0)) { /* the latter: no memory to begin one */
            w->recheck_at = core_time_min(w->recheck_at, x->now + RECHECK);
            swarm_arm(x, w);
        }
        return found;
    }
    own(c, p);
    bool made = request_from(x, c, p);
    if (p->free == 0)
        own(c, NULL);
    return made;
}

void session_fill(struct xfer *x, struct session *s)
{
    while (session_may_request(s) && !list_empty(&s->fetch) && s->outstanding < s->window &&
           s->request_count < SESSION_REQUESTS_MAX) {
        if (!bucket_open(&x->download, x->now)) {
            timer_sooner(x, &x->download_timer, bucket_next(&x->download, x->now));
            return;
        }
        struct channel *c = list_object(s->fetch.next, struct channel, in_fetch);
        list_remove(&c->in_fetch);
        if (request_next(x, c))
            list_append(&s->fetch, &c->in_fetch); /* round robin among the contents this peer has */
    }
}

/* Not for every leaf: when there is room for a run, or the queue is half empty. */
void session_fill_later(struct xfer *x, struct session *s)
{
    if (!session_may_request(s) || list_empty(&s->fetch))
        return;
    if (s->outstanding + RUN_BYTES <= s->window || s->outstanding * 2 <= s->window)
        list_append_once(&x->fills, &s->in_fill);
}
