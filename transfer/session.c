/* A session's life: slots and numbers, dialling and accepting, one session per peer, time-outs, hanging up.
 */
#include "transfer/xfer_internal.h"

#define PING_BUSY       CORE_SECONDS(15) /* round trips are measured this often while payload flows */
#define PING_QUIET      CORE_SECONDS(60) /* keeps a quiet session with open channels honest */
#define PING_DEAD       CORE_SECONDS(30)
#define RTT_MIN_LIFE    CORE_SECONDS(60)
#define STALLED_HANGUPS 4 /* time-outs in a row without a byte before the stream is given up */

struct session *session_get(const struct xfer *x, uint32_t number)
{
    uint32_t slot = XFER_SESSION_SLOT(number);
    if (slot >= x->session_cap || !x->sessions[slot] || x->sessions[slot]->number != number)
        return NULL;
    return x->sessions[slot];
}

struct session *session_live(const struct xfer *x, uint32_t number)
{
    struct session *s = session_get(x, number);
    return s && s->state != SESSION_CLOSING ? s : NULL;
}

struct session *session_by_key(const struct xfer *x, const uint8_t key[NODE_KEY_SIZE])
{
    struct session *unconfirmed = NULL;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!s || s->state == SESSION_CLOSING || s->probe || memcmp(s->key, key, NODE_KEY_SIZE) != 0)
            continue;
        if (!s->incoming || s->confirmed)
            return s;
        unconfirmed = s;
    }
    return unconfirmed;
}

/* Makes room for later by hanging up on the session that has been of no use for longest. */
static void evict_idle(struct xfer *x)
{
    struct session *idle = NULL;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!s || s->state != SESSION_OPEN || s->channel_count != 0 || service_pending(s))
            continue;
        if (!idle || s->last_use < idle->last_use)
            idle = s;
    }
    if (idle)
        session_hangup(x, idle, ERR_FULL);
}

static bool reserve_slot(struct xfer *x, uint32_t *slot)
{
    uint32_t at = 0;
    while (at < x->session_cap && x->sessions[at])
        at++;
    uint32_t max = x->config->sessions_max;
    if (!xfer_grow(x, (void **)&x->sessions, &x->session_cap, at + 1, max, sizeof *x->sessions) ||
        !xfer_grow(x, (void **)&x->session_generations, &x->session_generation_cap, x->session_cap, max,
                   sizeof *x->session_generations) ||
        !timer_reserve(x, x->session_count + x->swarm_count + 4))
        return false;
    *slot = at;
    return true;
}

static struct session *session_new(struct xfer *x, const uint8_t key[NODE_KEY_SIZE],
                                   const struct net_addr *addr, bool incoming)
{
    uint32_t slot;
    if (x->session_count >= x->config->sessions_max) {
        evict_idle(x);
        return NULL;
    }
    if (!reserve_slot(x, &slot))
        return NULL;
    struct session *s = xfer_alloc(x, sizeof *s);
    if (!s)
        return NULL;
    if (++x->session_generations[slot] == 0)
        x->session_generations[slot] = 1;
    s->number = (uint32_t)x->session_generations[slot] << 16 | slot;
    s->incoming = incoming;
    s->addr = *addr;
    if (!incoming)
        s->dial_addr = *addr;
    memcpy(s->key, key, NODE_KEY_SIZE);
    s->since = s->last_in = s->last_use = x->now;
    s->window = WINDOW_START;
    s->finish_chunk = CHUNK_NONE;
    s->timeout = x->config->request_timeout_min;
    s->timer.kind = TIMER_SESSION;
    s->timer.owner = s;
    s->ping_due = true;
    s->ping_next = x->now + PING_BUSY;
    struct list *lists[] = {&s->dirty,   &s->fetch,  &s->unsent,  &s->sent,
                            &s->cancels, &s->serves, &s->rejects, &s->apps};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    x->sessions[slot] = s;
    x->session_count++;
    return s;
}

static bool same_host_limit(const struct xfer *x, const struct net_addr *addr)
{
    if (net_addr_scope(addr) != NET_SCOPE_GLOBAL)
        return false;
    uint32_t same = 0;
    for (uint32_t i = 0; i < x->session_cap; i++)
        same += x->sessions[i] && net_addr_same_ip(&x->sessions[i]->addr, addr);
    return same >= x->config->sessions_per_ip_max;
}

/* An incoming stream from a peer we have a session with. On a simultaneous dial the one dialled by the
 * smaller key wins; otherwise the peer lost the old session and means the new one. But a recorded first message, sent
 * again by anybody, looks the same: it is not even let in beside a session that was heard a moment ago, and no session is
 * given up before the new one is confirmed. */
#define REPLACE_QUIET CORE_SECONDS(5)
#define UNCONFIRMED_MAX 4 /* of one key: copies must neither fill the table nor keep the real one out */
static bool incoming_wins(const struct xfer *x, const struct session *old)
{
    bool simultaneous = !old->incoming && (old->state != SESSION_OPEN ||
                                           x->now < core_time_add(old->since, x->config->handshake_timeout));
    if (old->incoming && !old->confirmed)
        return true; /* it may be a copy itself: both wait for their proof */
    if (!simultaneous)
        return old->state != SESSION_OPEN || x->now >= core_time_add(old->last_in, REPLACE_QUIET);
    return memcmp(old->key, x->me->key, NODE_KEY_SIZE) < 0;
}

/* Makes room for one more stream that says it is of this key: the oldest of too many gives way. */
static void limit_unconfirmed(struct xfer *x, const uint8_t key[NODE_KEY_SIZE])
{
    struct session *oldest = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!s || s->state == SESSION_CLOSING || !s->incoming || s->confirmed ||
            memcmp(s->key, key, NODE_KEY_SIZE) != 0)
            continue;
        count++;
        if (!oldest || s->since < oldest->since)
            oldest = s;
    }
    if (count >= UNCONFIRMED_MAX)
        session_hangup(x, oldest, ERR_EXISTS);
}

static void session_opened(struct xfer *x, struct session *s)
{
    s->state = SESSION_OPEN;
    s->last_in = x->now;
    gossip_dial_ended(x, s, true);
    session_arm(x, s);
    session_wants_write(x, s);
}

uint32_t xfer_session_accept(struct xfer *x, core_time now, const struct net_addr *from,
                             const uint8_t key[NODE_KEY_SIZE], const uint8_t binding[HASH_SIZE],
                             struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = NULL, *old = session_by_key(x, key);
    bool refused = memcmp(key, x->me->key, NODE_KEY_SIZE) == 0 || bans_match(&x->bans, x->now, key, from) ||
                   (old && service_expects_probe(old)) || (old && !incoming_wins(x, old)) ||
                   (!old && same_host_limit(x, from));
    if (!refused) {
        limit_unconfirmed(x, key);
        s = session_new(x, key, from, true);
    }
    if (s) {
        memcpy(s->binding, binding, HASH_SIZE);
        candidates_session_up(x, s);
        session_opened(x, s);
    }
    uint32_t number = s ? s->number : 0;
    xfer_leave(x);
    return number;
}

void xfer_session_confirmed(struct xfer *x, core_time now, uint32_t session, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    if (s && s->incoming && !s->confirmed) {
        for (uint32_t i = 0; i < x->session_cap; i++) {
            struct session *old = x->sessions[i];
            if (old && old != s && !old->probe && memcmp(old->key, s->key, NODE_KEY_SIZE) == 0)
                session_hangup(x, old, ERR_EXISTS);
        }
        s->confirmed = true;
        candidates_session_up(x, s);
    }
    xfer_leave(x);
}

struct session *session_dial(struct xfer *x, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr,
                             bool probe)
{
    if (addr->port == 0 || net_addr_scope(addr) == NET_SCOPE_INVALID ||
        memcmp(key, x->me->key, NODE_KEY_SIZE) == 0 || bans_match(&x->bans, x->now, key, addr))
        return NULL;
    struct session *s = session_new(x, key, addr, false);
    if (!s)
        return NULL;
    s->probe = probe;
    struct effect *e = effects_add(x->out, EFFECT_DIAL);
    e->u.dial.session = s->number;
    e->u.dial.to = *addr;
    memcpy(e->u.dial.key, key, NODE_KEY_SIZE);
    session_arm(x, s);
    return s;
}

uint32_t xfer_session_dial(struct xfer *x, core_time now, const uint8_t key[NODE_KEY_SIZE],
                           const struct net_addr *addr, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_by_key(x, key);
    if (!s)
        s = session_dial(x, key, addr, false);
    if (s)
        s->last_use = x->now;
    uint32_t number = s ? s->number : 0;
    xfer_leave(x);
    return number;
}

void xfer_session_dialled(struct xfer *x, core_time now, uint32_t session, const uint8_t binding[HASH_SIZE],
                          struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    if (s && s->state == SESSION_DIALLING) {
        s->state = SESSION_HANDSHAKE;
        memcpy(s->binding, binding, HASH_SIZE);
        if (s->probe) { /* the port answers: that is all a dial-back asks */
            service_probe_done(x, s, 0);
            session_hangup(x, s, ERR_CLOSED);
        } else {
            session_fill(x, s); /* the first requests travel with the first handshake message */
        }
    }
    xfer_leave(x);
}

void xfer_session_established(struct xfer *x, core_time now, uint32_t session, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    if (s && s->state == SESSION_HANDSHAKE) {
        s->ready_told = false;
        session_rtt(x, s, x->now - s->since);
        session_opened(x, s);
        session_maybe_up(x, s);
    }
    xfer_leave(x);
}

void session_wants_write(struct xfer *x, struct session *s)
{
    if (s->state == SESSION_OPEN && !s->ready_told)
        list_append_once(&x->ready, &s->in_ready);
}

void session_rtt(struct xfer *x, struct session *s, core_time sample)
{
    if (sample == 0)
        sample = 1;
    if (sample > CORE_SECONDS(60))
        sample = CORE_SECONDS(60);
    s->rtt_us = (uint32_t)sample;
    if (s->rtt_min_us == 0 || sample <= s->rtt_min_us || x->now > s->rtt_min_at + RTT_MIN_LIFE) {
        s->rtt_min_us = (uint32_t)sample;
        s->rtt_min_at = x->now;
    }
}

/* ---- The end ---- */

static void drop_apps(struct xfer *x, struct session *s)
{
    while (!list_empty(&s->apps)) {
        struct app_message *m = list_object(s->apps.next, struct app_message, in_session);
        list_remove(&m->in_session);
        xfer_free_memory(x, m, sizeof *m + m->size);
    }
    s->app_count = 0;
}

/* Everything but the slot and the number goes. */
static void session_empty(struct xfer *x, struct session *s)
{
    for (uint32_t i = 0; i < s->channel_cap; i++)
        if (s->channels[i])
            channel_drop(x, s->channels[i]);
    xfer_free_memory(x, s->channels, s->channel_cap * sizeof *s->channels);
    s->channels = NULL;
    s->channel_cap = 0;
    requests_unsend_all(x, s);
    while (!list_empty(&s->cancels)) {
        struct cancel *c = list_object(s->cancels.next, struct cancel, in_session);
        list_remove(&c->in_session);
        pool_give(&x->cancels, c);
    }
    s->cancel_count = 0;
    serve_session_closed(x, s);
    choker_closed(x, s);
    drop_apps(x, s);
    list_remove(&s->in_ready);
    list_remove(&s->in_fill);
    timer_set(x, &s->timer, CORE_NEVER);
}

void session_forget(struct xfer *x, struct session *s)
{
    session_empty(x, s);
    list_remove(&s->in_hangup);
    x->sessions[XFER_SESSION_SLOT(s->number)] = NULL;
    x->session_count--;
    xfer_free_memory(x, s, sizeof *s);
}

/* Tells the swarms that hoped for this peer when to hope again. */
static void session_sources_lost(struct xfer *x, struct session *s)
{
    if (s->state < SESSION_OPEN)
        gossip_dial_ended(x, s, false);
    for (uint32_t i = 0; i < s->channel_cap; i++) {
        struct channel *c = s->channels[i];
        if (c && c->swarm)
            candidates_failed(x, c->swarm, s->key, c->fetched ? CORE_SECONDS(1) : 0);
    }
}

void session_hangup(struct xfer *x, struct session *s, int reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    session_sources_lost(x, s);
    s->state = SESSION_CLOSING;
    s->close_reason = reason;
    session_empty(x, s);
    list_append_once(&x->hangups, &s->in_hangup);
}

void xfer_session_closed(struct xfer *x, core_time now, uint32_t session, int reason, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_get(x, session);
    if (s) {
        if (s->state != SESSION_CLOSING) {
            s->close_reason = reason ? reason : ERR_CLOSED;
            session_sources_lost(x, s);
        }
        if (s->probe)
            service_probe_done(x, s, s->close_reason);
        service_closed(x, s);
        if (!s->probe) {
            struct effect *e = xfer_notice(x, XFER_NOTICE_SESSION_DOWN, s->number);
            e->u.notice.status = s->close_reason;
            memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
            e->u.notice.node.addr = s->dial_addr;
        }
        session_forget(x, s);
    }
    xfer_leave(x);
}

void session_strike(struct xfer *x, struct session *s, int reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    if (++s->strikes < STRIKES_BAN)
        return;
    core_time until = core_time_add(x->now, x->config->ban_time);
    if (bans_add(&x->bans, x->alloc, x->now, s->key, &s->addr, until)) {
        struct effect *e = xfer_notice(x, XFER_NOTICE_BANNED, s->number);
        e->u.notice.status = reason;
        e->u.notice.a = until;
        memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
        e->u.notice.node.addr = s->addr;
        x->bans_total++;
    }
    session_hangup(x, s, ERR_BANNED);
}

/* ---- Time ---- */

static bool session_idle(const struct session *s)
{
    return s->channel_count == 0 && !service_pending(s) && s->app_count == 0;
}

static core_time stall_at(const struct session *s)
{
    if (list_empty(&s->sent))
        return CORE_NEVER;
    const struct request *first = list_object(s->sent.next, struct request, in_session);
    core_time from = s->last_arrival > first->sent_at ? s->last_arrival : first->sent_at;
    return core_time_add(from, s->timeout);
}

void session_arm(struct xfer *x, struct session *s)
{
    core_time at = CORE_NEVER;
    if (s->state == SESSION_CLOSING)
        return;
    if (s->state != SESSION_OPEN || !s->hello_got) {
        at = s->since + x->config->handshake_timeout;
    } else if (session_idle(s)) {
        at = core_time_add(s->last_use, x->config->idle_timeout);
    } else {
        at = core_time_min(stall_at(s), service_deadline(s));
        at = core_time_min(at, s->ping_next);
        if (s->ping_out)
            at = core_time_min(at, s->ping_sent + PING_DEAD);
    }
    timer_set(x, &s->timer, at);
}

/* Nothing arrived in time: others may have its requests. They stay noted, because a slow answer is still an
 * answer. */
static void session_stalled(struct xfer *x, struct session *s)
{
    s->stalls++;
    if (s->stalls >= STALLED_HANGUPS) {
        session_hangup(x, s, ERR_TIMEOUT);
        return;
    }
    s->stalled = true;
    s->timeout = core_time_min(s->timeout * 2, CORE_SECONDS(60));
    s->last_arrival = x->now; /* the next time-out counts from here */
    s->window = WINDOW_MIN;
    requests_expire(x, s);
}

static void ping_timer(struct xfer *x, struct session *s)
{
    if (s->ping_out && x->now >= s->ping_sent + PING_DEAD && x->now >= s->last_in + PING_DEAD) {
        session_hangup(x, s, ERR_TIMEOUT);
        return;
    }
    if (s->ping_out && x->now >= s->ping_sent + PING_DEAD)
        s->ping_out = false;
    if (x->now < s->ping_next)
        return;
    bool busy = s->request_count != 0 || s->serve_count != 0;
    s->ping_next = x->now + (busy ? PING_BUSY : PING_QUIET);
    if (busy || x->now >= s->last_in + PING_BUSY) {
        s->ping_due = true;
        session_wants_write(x, s);
    }
}

void session_timer(struct xfer *x, struct session *s)
{
    core_assert(s->state != SESSION_CLOSING);
    if (s->state != SESSION_OPEN || !s->hello_got) {
        if (x->now >= s->since + x->config->handshake_timeout)
            session_hangup(x, s, ERR_TIMEOUT);
    } else if (session_idle(s) && x->now >= core_time_add(s->last_use, x->config->idle_timeout)) {
        session_hangup(x, s, ERR_CLOSED);
    } else {
        service_timer(x, s);
        if (x->now >= stall_at(s))
            session_stalled(x, s);
        if (s->state != SESSION_CLOSING)
            ping_timer(x, s);
    }
    if (s->state != SESSION_CLOSING)
        session_arm(x, s);
}

static void session_describe(const struct xfer *x, const struct session *s, core_time now,
                             struct xfer_session_info *out)
{
    (void)x;
    *out = (struct xfer_session_info){
        .session = s->number,
        .incoming = s->incoming,
        .established = s->state == SESSION_OPEN,
        .channels = s->channel_count,
        .bytes_down = s->bytes_down,
        .bytes_up = s->bytes_up,
        .rate_down = meter_rate(&s->down, now),
        .rate_up = meter_rate(&s->up, now),
        .rtt_us = s->rtt_min_us,
        .strikes = s->strikes,
        .since = s->since,
    };
    memcpy(out->peer.key, s->key, NODE_KEY_SIZE);
    out->peer.addr = s->dial_addr.port ? s->dial_addr : s->addr;
    memcpy(out->agent, s->agent, sizeof out->agent);
}

uint32_t xfer_sessions(const struct xfer *x, core_time now, struct xfer_session_info *out, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < x->session_cap && count < max; i++)
        if (x->sessions[i] && x->sessions[i]->state != SESSION_CLOSING)
            session_describe(x, x->sessions[i], now, &out[count++]);
    return count;
}

uint32_t xfer_swarm_sessions(const struct xfer *x, core_time now, uint32_t swarm,
                             struct xfer_session_info *out, uint32_t max)
{
    const struct swarm *w = swarm_get(x, swarm);
    uint32_t count = 0;
    if (!w)
        return 0;
    list_each(node, &w->channels)
    {
        const struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN && count < max)
            session_describe(x, c->session, now, &out[count++]);
    }
    return count;
}
