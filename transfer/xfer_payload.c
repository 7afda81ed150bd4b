/* Payload that arrives: was it asked for, may it be checked, and what became of it. */
#include "transfer/xfer_internal.h"

/* Nobody asked for it: a late duplicate as a rule. What was cancelled is forgiven; a flood is not. */
static int unsolicited(struct xfer *x, struct session *s, struct swarm *w, uint32_t count, uint32_t bytes)
{
    x->unsolicited++;
    if (w)
        w->bytes_wasted += bytes;
    s->unsolicited += (int32_t)count;
    if (s->unsolicited > UNSOLICITED_GRACE) {
        s->unsolicited = 0;
        session_strike(x, s, ERR_UNSOLICITED);
    }
    return ERR_UNSOLICITED;
}

static int malformed(struct xfer *x, struct session *s)
{
    x->malformed++;
    session_hangup(x, s, ERR_MALFORMED);
    return ERR_MALFORMED;
}

static bool size_fits(const struct swarm *w, uint32_t leaf, uint32_t count, uint32_t bytes)
{
    if (count < 1 || count > 3 || leaf >= w->geometry.leaf_count || count > w->geometry.leaf_count - leaf)
        return false;
    if (w->pack)
        return count == 1 && bytes <= TREE_LEAF_SIZE;
    uint32_t expected = 0;
    for (uint32_t i = 0; i < count; i++)
        expected += swarm_leaf_bytes(w, leaf + i);
    return bytes == expected;
}

static bool checkable(const struct swarm *w, const struct request *r, uint32_t leaf)
{
    uint32_t span = leaf >> TREE_SPAN_LOG2;
    if (!swarm_needs_proofs(w) || bit_get(w->proven, span))
        return true;
    return bit_get(w->proof_seen, span) && !r->no_proof;
}

static void window_update(struct xfer *x, struct session *s, uint32_t bytes)
{
    if (s->stalled) {
        s->stalled = false;
        s->window = WINDOW_START;
    }
    s->stalls = 0;
    s->last_arrival = x->now;
    if (s->busy_since == 0) { /* the first bytes after idling time the round trip, not the rate */
        s->busy_since = x->now;
        flow_start(&s->flow, x->now);
        return;
    }
    core_time round = s->rtt_min_us;
    if (!flow_add(&s->flow, x->now, bytes, round))
        return;
    uint64_t window = s->flow.rate * (round + QUEUE_TARGET) / CORE_SECONDS(1);
    if (window < WINDOW_MIN)
        window = WINDOW_MIN;
    if (window > x->config->request_bytes_max)
        window = x->config->request_bytes_max;
    s->window = (uint32_t)window;
    core_time patience = 4 * (s->rtt_us + (core_time)RUN_BYTES * CORE_SECONDS(1) / s->flow.rate);
    core_time least = x->config->request_timeout_min;
    s->timeout = patience < least ? least : core_time_min(patience, CORE_SECONDS(60));
}

/* Others who were asked for this leaf need not send it any more. */
static void others_cancelled(struct xfer *x, struct partial *p, const struct request *r, uint32_t leaf)
{
    list_each_safe(node, &p->requests)
    {
        struct request *o = list_object(node, struct request, in_partial);
        if (o == r || leaf < o->leaf || leaf >= o->leaf + o->count || !(o->mask >> (leaf - o->leaf) & 1))
            continue;
        if (__builtin_popcountll(o->mask) == 1) {
            request_cancel(x, o);
            continue;
        }
        request_mask_clear(x, o, leaf);
        if (o->sent)
            o->channel->session->unsolicited--;
    }
}

/* Takes the leaves of one frame out of the request; how many of them are news. */
static uint32_t take_leaves(struct xfer *x, struct swarm *w, struct request *r, uint32_t leaf, uint32_t count)
{
    struct partial *p = r->partial;
    uint32_t news = 0;
    for (uint32_t i = leaf; i < leaf + count; i++) {
        if (i - r->leaf >= r->count || !(r->mask >> (i - r->leaf) & 1))
            continue;
        request_mask_clear(x, r, i);
        others_cancelled(x, p, r, i);
        if (partial_test(w, p, PARTIAL_HAVE, i) || partial_test(w, p, PARTIAL_VERIFYING, i))
            continue;
        partial_verifying(w, p, i);
        news++;
    }
    partial_recount(w, p);
    return news;
}

static int leaves_arrived(struct xfer *x, struct session *s, struct channel *c, uint32_t leaf, uint32_t count,
                          uint32_t bytes)
{
    struct swarm *w = c->swarm;
    if (!size_fits(w, leaf, count, bytes))
        return malformed(x, s);
    struct request *r = NULL;
    for (uint32_t i = 0; i < count && !r; i++)
        r = request_find(s, c, leaf + i);
    window_update(x, s, bytes);
    s->bytes_down += bytes;
    meter_add(&s->down, x->now, bytes);
    if (!r)
        return unsolicited(x, s, w, count, bytes);
    if (!checkable(w, r, leaf)) {   /* its proof did not come: the run is void */
        s->unsolicited += r->count; /* and the cancel below forgives nothing */
        request_cancel(x, r);
        return unsolicited(x, s, w, 0, bytes);
    }
    uint32_t news = take_leaves(x, w, r, leaf, count);
    if (r->mask == 0) {
        if (r->urgent)
            swarm_wake(x, w); /* the reader's next run */
        request_free(x, r);
    }
    session_fill_later(x, s);
    if (news == 0) {
        w->bytes_wasted += bytes;
        return ERR_UNSOLICITED;
    }
    if (news < count)
        w->bytes_wasted += bytes / count * (count - news);
    w->verifying++;
    x->inflight += (uint64_t)count * w->geometry.leaf_bytes;
    return 0;
}

static struct channel *payload_channel(struct session *s, uint32_t number)
{
    struct channel *c = s ? channel_get(s, number) : NULL;
    return c && c->swarm && !c->swarm->complete && (c->state == CHANNEL_OPEN || c->state == CHANNEL_OPENING)
               ? c
               : NULL;
}

int xfer_leaves_arrived(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t leaf,
                        uint32_t count, uint32_t bytes, uint32_t *swarm, uint32_t *ref, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct channel *c = payload_channel(s, channel);
    int result = ERR_UNSOLICITED;
    if (s)
        s->last_in = x->now;
    if (c) {
        *swarm = c->swarm->number;
        *ref = c->swarm->ref;
        result = leaves_arrived(x, s, c, leaf, count, bytes);
    } else if (s) {
        result = unsolicited(x, s, NULL, count, bytes);
    }
    xfer_leave(x);
    return result;
}

static struct request *proof_request(struct session *s, const struct channel *c, uint32_t span)
{
    list_each(node, &s->sent)
    {
        struct request *r = list_object(node, struct request, in_session);
        if (r->channel == c && r->proof && !r->proof_came && r->leaf >> TREE_SPAN_LOG2 == span)
            return r;
    }
    return NULL;
}

static int proof_arrived(struct xfer *x, struct session *s, struct channel *c, uint32_t span, uint32_t bytes)
{
    struct swarm *w = c->swarm;
    if (!swarm_needs_proofs(w) || span >= tree_span_count(w->id.size) ||
        bytes != HASH_SIZE * (tree_span_leaves(w->id.size, span) + tree_uncle_count(w->id.size)))
        return malformed(x, s);
    s->last_arrival = x->now;
    struct request *r = proof_request(s, c, span);
    if (!r)
        return unsolicited(x, s, w, 1, bytes);
    r->proof_came = true;
    if (bit_get(w->proven, span))
        return ERR_UNSOLICITED; /* another was quicker: nothing to check */
    bit_set(w->proof_seen, span);
    w->verifying++;
    return 0;
}

int xfer_proof_arrived(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t span,
                       uint32_t bytes, uint32_t *swarm, uint32_t *ref, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct channel *c = payload_channel(s, channel);
    int result = ERR_UNSOLICITED;
    if (s)
        s->last_in = x->now;
    if (c) {
        *swarm = c->swarm->number;
        *ref = c->swarm->ref;
        result = proof_arrived(x, s, c, span, bytes);
    } else if (s) {
        result = unsolicited(x, s, NULL, 1, bytes);
    }
    xfer_leave(x);
    return result;
}

/* ---- What became of it ---- */

static void our_fault(struct xfer *x, struct swarm *w, int status)
{
    if (w->trouble)
        return;
    w->trouble = true;
    w->paused = true;
    struct effect *e = xfer_notice(x, XFER_NOTICE_TROUBLE, w->number);
    e->u.notice.status = status;
    list_each(node, &w->channels) requests_drop_channel(x, list_object(node, struct channel, in_swarm));
}

static void leaf_good(struct xfer *x, struct swarm *w, struct session *s, struct channel *c, uint32_t leaf)
{
    uint32_t bytes = swarm_leaf_bytes(w, leaf);
    w->leaves_have++;
    w->bytes_down += bytes;
    x->bytes_down += bytes;
    meter_add(&w->down, x->now, bytes);
    meter_add(&x->down, x->now, bytes);
    if (s)
        s->got_period += bytes;
    if (c)
        c->fetched = true;
}

static void leaves_result(struct xfer *x, struct swarm *w, struct session *s, uint32_t leaf, uint32_t count,
                          uint32_t good)
{
    struct channel *c = s ? channel_of(s, w) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct partial *p = partial_get(w, swarm_chunk_of(w, leaf + i));
        if (!p || !partial_test(w, p, PARTIAL_VERIFYING, leaf + i))
            continue;
        bool ok = good >> i & 1;
        partial_verified(x, w, p, leaf + i, ok);
        if (ok)
            leaf_good(x, w, s, c, leaf + i);
        else
            w->bytes_wasted += swarm_leaf_bytes(w, leaf + i);
    }
    struct partial *p = partial_get(w, swarm_chunk_of(w, leaf));
    if (!p)
        return;
    partial_recount(w, p);
    if (p->missing == 0) {
        swarm_chunk_done(x, w, p->chunk);
    } else {
        partial_release(x, w, p);
    }
}

void xfer_leaves_result(struct xfer *x, core_time now, uint32_t swarm, uint32_t session, uint32_t leaf,
                        uint32_t count, uint32_t good, int status, struct effects *out)
{
    xfer_enter(x, now, out);
    struct swarm *w = swarm_any(x, swarm);
    if (w) {
        core_assert(w->verifying > 0);
        w->verifying--;
        uint64_t bytes = (uint64_t)count * w->geometry.leaf_bytes;
        core_assert(x->inflight >= bytes);
        x->inflight -= bytes;
        struct session *s = session_live(x, session);
        if (!w->removed && !w->complete)
            leaves_result(x, w, s, leaf, count, good);
        if (status == ERR_BAD_HASH) {
            x->bad_leaves++;
            if (s)
                session_strike(x, s, ERR_BAD_HASH);
        } else if (status != 0 && !w->removed && !w->complete) {
            our_fault(x, w, status);
        }
        swarm_maybe_free(x, w);
    }
    xfer_leave(x);
}

void xfer_proof_result(struct xfer *x, core_time now, uint32_t swarm, uint32_t session, uint32_t span,
                       int status, struct effects *out)
{
    xfer_enter(x, now, out);
    struct swarm *w = swarm_any(x, swarm);
    if (w) {
        core_assert(w->verifying > 0);
        w->verifying--;
        struct session *s = session_live(x, session);
        bool live = !w->removed && !w->complete;
        if (live)
            bit_clear(w->proof_seen, span);
        if (status == 0 && live)
            bit_set(w->proven, span);
        else if (status == ERR_BAD_HASH && s)
            session_strike(x, s, ERR_BAD_HASH);
        else if (status != 0 && status != ERR_BAD_HASH && live)
            our_fault(x, w, status);
        swarm_maybe_free(x, w);
    }
    xfer_leave(x);
}
