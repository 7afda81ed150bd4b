/* Serving: a bounded queue of runs per session; the host gets them in units, round robin over the sessions,
 * under the upload cap. */
#include "transfer/xfer_internal.h"

#define NOMINAL                                                                                              \
    TREE_LEAF_SIZE /* [bytes] what a leaf counts against SERVE_OUTSTANDING_MAX, whatever its size */
#define FINISH_LONGEST CORE_SECONDS(30) /* that a choked peer may take to finish the chunk under way */

static void reject(struct xfer *x, struct channel *c, uint32_t leaf, uint32_t count,
                   enum reject_reason reason)
{
    struct session *s = c->session;
    if (s->reject_count >= SESSION_REJECTS_MAX) { /* asks and asks, and never reads the answers */
        session_hangup(x, s, ERR_QUOTA);
        return;
    }
    struct serve *r = pool_take(&x->serves);
    if (!r) {
        session_hangup(x, s, ERR_NO_MEMORY); /* an unanswered request would never end */
        return;
    }
    r->channel_number = c->number;
    r->leaf = leaf;
    r->count = count;
    r->reason = (uint8_t)reason;
    list_append(&s->rejects, &r->in_session);
    s->reject_count++;
    session_wants_write(x, s);
}

static void serve_free(struct xfer *x, struct session *s, struct serve *r)
{
    list_remove(&r->in_session);
    s->serve_count--;
    pool_give(&x->serves, r);
    if (s->serve_count == 0)
        list_remove(&s->in_serve);
}

static void link_serve(struct session *s, struct serve *r)
{
    struct list *at = &s->serves;
    if (r->urgent) {
        at = s->serves.next;
        while (at != &s->serves && list_object(at, struct serve, in_session)->urgent)
            at = at->next;
    }
    list_append(at, &r->in_session);
    s->serve_count++;
}

/* A quarter of a second's worth, so that a slow peer's cancel still finds something to cancel. */
static uint32_t host_share(const struct session *s)
{
    uint64_t share = s->serve_flow.rate / 4;
    if (s->serve_flow.rate == 0 || share > SERVE_OUTSTANDING_MAX)
        return SERVE_OUTSTANDING_MAX;
    return share < SERVE_OUTSTANDING_MIN ? SERVE_OUTSTANDING_MIN : (uint32_t)share;
}

void serve_resume(struct xfer *x, struct session *s)
{
    if (s->serve_count != 0 && s->state == SESSION_OPEN && s->serving_bytes < host_share(s))
        list_append_once(&x->serving, &s->in_serve);
}

uint32_t serve_chunk_under_way(const struct session *s)
{
    const struct channel *c = channel_get(s, s->served_channel);
    if (!c || !c->swarm || c->state != CHANNEL_OPEN || s->served_end == 0)
        return CHUNK_NONE;
    const struct swarm *w = c->swarm;
    uint32_t chunk = swarm_chunk_of(w, s->served_end - 1);
    bool ended = s->served_end == w->geometry.leaf_count || swarm_chunk_of(w, s->served_end) != chunk;
    return ended ? CHUNK_NONE : chunk;
}

/* Half a chunk is of no use to anybody: who had it half would fetch the rest from us once more, and so would others. */
static bool may_finish(const struct xfer *x, const struct session *s, const struct channel *c, uint32_t leaf)
{
    return s->finish_chunk != CHUNK_NONE && x->now < s->finish_until && c->number == s->served_channel && c->swarm &&
           swarm_chunk_of(c->swarm, leaf) == s->finish_chunk;
}

/* False: malformed. While the host still looks for the content, requests are held; their range is checked
 * when it is known. */
bool serve_request(struct xfer *x, struct channel *c, const struct message *m)
{
    struct session *s = c->session;
    struct swarm *w = c->swarm;
    if (w && (m->leaf >= w->geometry.leaf_count || m->count > w->geometry.leaf_count - m->leaf))
        return false;
    choker_interest(x, s, true);
    bool choked = s->choked && !may_finish(x, s, c, m->leaf);
    if (choked || s->serve_count >= SESSION_SERVES_MAX) {
        reject(x, c, m->leaf, m->count, choked ? REJECT_CHOKED : REJECT_FULL);
        return true;
    }
    struct serve *r = pool_take(&x->serves);
    if (!r) {
        reject(x, c, m->leaf, m->count, REJECT_FULL);
        return true;
    }
    r->channel = c;
    r->channel_number = c->number;
    r->leaf = m->leaf;
    r->count = m->count;
    r->proof = m->proof;
    r->urgent = m->urgent;
    link_serve(s, r);
    if (w)
        lent_note(x, c, swarm_chunk_of(w, m->leaf)); /* now, not when its turn comes: the others choose meanwhile */
    serve_resume(x, s);
    return true;
}

/* A run that will not be served, of a chunk of which nothing was. */
static void serve_forgotten(struct xfer *x, const struct serve *r)
{
    struct swarm *w = r->channel->swarm;
    if (w && r->leaf % (1u << w->geometry.chunk_leaves_log2) == 0)
        lent_back(x, r->channel, swarm_chunk_of(w, r->leaf));
}

void serve_cancel(struct xfer *x, struct channel *c, const struct message *m)
{
    struct session *s = c->session;
    list_each(node, &s->serves)
    {
        struct serve *r = list_object(node, struct serve, in_session);
        /* A run that is under way has moved on: what is left of it still ends where the request ended. */
        if (r->channel == c && r->leaf >= m->leaf && r->leaf + r->count == m->leaf + m->count) {
            serve_forgotten(x, r);
            serve_free(x, s, r);
            return;
        }
    }
}

void serve_drop_channel(struct xfer *x, struct channel *c)
{
    struct session *s = c->session;
    list_each_safe(node, &s->serves)
    {
        struct serve *r = list_object(node, struct serve, in_session);
        if (r->channel == c) {
            serve_forgotten(x, r);
            serve_free(x, s, r);
        }
    }
}

void serve_choked(struct xfer *x, struct session *s)
{
    const struct channel *under_way = channel_get(s, s->served_channel);
    /* A leech's chunks are at others too: there it is for those who give. */
    bool worth = (under_way && under_way->swarm && under_way->swarm->complete) || s->got_period + s->got_before != 0;
    s->finish_chunk = worth ? serve_chunk_under_way(s) : CHUNK_NONE;
    s->finish_until = core_time_add(x->now, FINISH_LONGEST);
    list_each_safe(node, &s->serves)
    {
        struct serve *r = list_object(node, struct serve, in_session);
        struct channel *c = r->channel;
        uint32_t leaf = r->leaf, count = r->count;
        if (may_finish(x, s, c, leaf))
            continue;
        serve_forgotten(x, r);
        serve_free(x, s, r);
        reject(x, c, leaf, count, REJECT_CHOKED);
        if (s->state == SESSION_CLOSING)
            return;
    }
}

void serve_release(struct xfer *x, struct channel *c)
{
    serve_resume(x, c->session);
}

void serve_session_closed(struct xfer *x, struct session *s)
{
    while (!list_empty(&s->serves))
        serve_free(x, s, list_object(s->serves.next, struct serve, in_session));
    while (!list_empty(&s->rejects)) {
        struct serve *r = list_object(s->rejects.next, struct serve, in_session);
        list_remove(&r->in_session);
        pool_give(&x->serves, r);
    }
    s->reject_count = 0;
    x->at_host -= s->serving_bytes;
    s->serving_bytes = 0;
    list_remove(&s->in_serve);
}

static uint32_t unit_leaves(const struct xfer *x, const struct channel *c)
{
    if (c->pack)
        return 1; /* what cannot be read of an entry says nothing about the next */
    if (x->upload.rate == 0)
        return SERVE_UNIT_LEAVES;
    uint64_t leaves =
        x->upload.rate / 10 / (c->leaf_bytes ? c->leaf_bytes : 1); /* small units under a small cap */
    return leaves < 1 ? 1 : leaves > SERVE_UNIT_LEAVES ? SERVE_UNIT_LEAVES : (uint32_t)leaves;
}

static bool run_here(const struct swarm *w, uint32_t leaf, uint32_t count)
{
    if (leaf >= w->geometry.leaf_count || count > w->geometry.leaf_count - leaf)
        return false;
    if (w->complete && !w->want)
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (!swarm_has_leaf(w, leaf + i))
            return false;
    return true;
}

/* The first run in the queue whose channel has been answered; the queue of one channel keeps its order. */
static struct serve *next_serve(struct session *s)
{
    list_each(node, &s->serves)
    {
        struct serve *r = list_object(node, struct serve, in_session);
        if (r->channel->state == CHANNEL_OPEN)
            return r;
    }
    return NULL;
}

static void serve_unit(struct xfer *x, struct session *s, struct serve *r)
{
    struct channel *c = r->channel;
    uint32_t most = unit_leaves(x, c), count = r->count < most ? r->count : most;
    uint32_t left = c->pack ? 1 : r->count; /* of a pack anything may be here */
    if (!run_here(c->swarm, r->leaf, left)) {
        uint32_t leaf = r->leaf;
        r->leaf += left;
        r->count -= left;
        if (r->count == 0)
            serve_free(x, s, r);
        reject(x, c, leaf, left, REJECT_NOT_HERE);
        return;
    }
    struct effect *e = effects_add(x->out, EFFECT_SERVE);
    e->u.serve.session = s->number;
    e->u.serve.channel = c->number;
    e->u.serve.ref = c->swarm->ref;
    e->u.serve.leaf = r->leaf;
    e->u.serve.count = count;
    e->u.serve.proof = r->proof;
    c->serving++;
    if (s->serving_bytes == 0)
        flow_start(&s->serve_flow, x->now);
    s->serving_bytes += count * NOMINAL;
    x->at_host += count * NOMINAL;
    bucket_spend(&x->upload, (int64_t)count * c->leaf_bytes);
    lent_note(x, c, swarm_chunk_of(c->swarm, r->leaf)); /* asked for before the channel was open */
    r->proof = false;
    r->leaf += count;
    r->count -= count;
    s->served_channel = c->number;
    s->served_end = r->leaf;
    if (s->choked && serve_chunk_under_way(s) != s->finish_chunk)
        s->finish_chunk = CHUNK_NONE; /* it is finished */
    if (r->count == 0)
        serve_free(x, s, r);
}

void serve_pump(struct xfer *x)
{
    while (!list_empty(&x->serving)) {
        struct session *s = list_object(x->serving.next, struct session, in_serve);
        struct serve *r = next_serve(s);
        if (!r || s->serving_bytes >= host_share(s)) {
            list_remove(&s->in_serve); /* xfer_served or the host's answer brings it back */
            continue;
        }
        if (!xfer_room(x)) {
            x->more = true;
            return;
        }
        if (!bucket_open(&x->upload, x->now)) {
            timer_sooner(x, &x->upload_timer, bucket_next(&x->upload, x->now));
            return;
        }
        list_remove(&s->in_serve);
        serve_unit(x, s, r);
        serve_resume(x, s);
    }
}

static void served_bytes(struct xfer *x, struct session *s, struct channel *c, uint32_t bytes)
{
    flow_add(&s->serve_flow, x->now, bytes, 0);
    s->bytes_up += bytes;
    x->bytes_up += bytes;
    meter_add(&s->up, x->now, bytes);
    meter_add(&x->up, x->now, bytes);
    if (c->swarm) {
        c->swarm->bytes_up += bytes;
        meter_add(&c->swarm->up, x->now, bytes);
    }
}

/* One file of a directory that changed says nothing about the others. */
static void serve_changed(struct xfer *x, struct swarm *w, uint32_t leaf, int status)
{
    struct effect *notice = xfer_notice(x, w->pack ? XFER_NOTICE_ENTRY : XFER_NOTICE_TROUBLE, w->number);
    notice->u.notice.a = leaf;
    notice->u.notice.status = status;
    if (!w->pack)
        swarm_stop_serving(x, w);
}

void xfer_served(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t leaf,
                 uint32_t count, uint32_t bytes, int status, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct channel *c = s ? channel_get(s, channel) : NULL;
    if (c) {
        core_assert(c->serving > 0);
        core_assert(s->serving_bytes >= count * NOMINAL);
        c->serving--;
        s->serving_bytes -= count * NOMINAL;
        x->at_host -= count * NOMINAL;
        s->last_use = x->now;
        bucket_spend(&x->upload, (int64_t)bytes - (int64_t)count * c->leaf_bytes);
        served_bytes(x, s, c, bytes);
        struct swarm *w = c->swarm;
        if (status != 0 && w)
            reject(x, c, leaf, count, REJECT_FAILED);
        if (w && (status == ERR_CHANGED || status == ERR_NOT_FOUND))
            serve_changed(x, w, leaf, status);
        if (s->state != SESSION_CLOSING) { /* else c is gone */
            if (c->state == CHANNEL_SHUT && c->serving == 0)
                channel_todo(x, c, 0); /* a close may be waiting for this */
            serve_resume(x, s);
        }
    }
    xfer_leave(x);
}
