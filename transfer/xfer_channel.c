/* Channels: opening content on a session, both ways, and what each side tells the other about its chunks. A
 * link is a capability: both sides prove with a MAC that they know the root, and a wrong MAC looks exactly
 * like unknown content. */
#include "transfer/xfer_internal.h"

#define CHANNEL_NUMBER_MAX 1024u /* protocol: numbers are small, so that a number is an index */
#define REFUSED_PAUSE      CORE_SECONDS(60)

struct channel *channel_get(const struct session *s, uint32_t number)
{
    return number < s->channel_cap ? s->channels[number] : NULL;
}

struct channel *channel_of(const struct session *s, const struct swarm *w)
{
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->session == s)
            return c;
    }
    return NULL;
}

/* BLAKE2b-256 keyed with the root over (role, session binding, provider key, pack flag). */
static void mac_with_root(const struct xfer *x, const struct channel *c, const uint8_t root[HASH_SIZE],
                          const uint8_t provider_key[HASH_SIZE], bool answerer, uint8_t out[HASH_SIZE])
{
    uint8_t role = answerer, pack = c->pack;
    struct bytes parts[] = {bytes_of(&role, 1), bytes_of(c->session->binding, HASH_SIZE),
                            bytes_of(provider_key, HASH_SIZE), bytes_of(&pack, 1)};
    x->env->crypto->hash(out, HASH_SIZE, root, HASH_SIZE, parts, 4);
}

void channel_mac(const struct xfer *x, const struct channel *c, const struct swarm *w, bool answerer,
                 uint8_t out[HASH_SIZE])
{
    mac_with_root(x, c, w->id.root, w->provider_key, answerer, out);
}

static struct channel *channel_new(struct xfer *x, struct session *s, uint32_t number)
{
    if (!xfer_grow(x, (void **)&s->channels, &s->channel_cap, number + 1, CHANNEL_NUMBER_MAX,
                   sizeof *s->channels))
        return NULL;
    struct channel *c = xfer_alloc(x, sizeof *c);
    if (!c)
        return NULL;
    c->session = s;
    c->number = number;
    c->next_chunk = PICKER_NONE;
    s->channels[number] = c;
    s->channel_count++;
    s->last_use = x->now;
    return c;
}

static void attach(struct xfer *x, struct channel *c, struct swarm *w)
{
    c->swarm = w;
    c->pack = w->pack;
    c->leaf_bytes = w->geometry.leaf_bytes;
    list_append(&w->channels, &c->in_swarm);
    w->channel_count++;
    w->idle_at = CORE_NEVER;
    w->gossip_at = core_time_min(w->gossip_at, x->now + CORE_SECONDS(1));
    swarm_arm(x, w);
}

void channel_todo(struct xfer *x, struct channel *c, unsigned todo)
{
    c->todo = (uint16_t)(c->todo | todo);
    list_append_once(&c->session->dirty, &c->in_dirty);
    session_wants_write(x, c->session);
}

void channel_interest(struct xfer *x, struct channel *c)
{
    struct session *s = c->session;
    bool now = c->swarm && !c->swarm->complete &&
               (c->state == CHANNEL_OPENING || (c->state == CHANNEL_OPEN && c->useful > 0));
    if (now == c->interesting)
        return;
    c->interesting = now;
    s->interesting = now ? s->interesting + 1 : s->interesting - 1;
    bool interested = s->interesting > 0;
    if (interested != s->interested) {
        s->interested = interested;
        session_wants_write(x, s);
    }
}

void channel_may_fetch(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    if (!w || w->complete || w->paused || (c->state != CHANNEL_OPEN && c->state != CHANNEL_OPENING) ||
        (c->state == CHANNEL_OPEN && c->useful == 0))
        return;
    list_append_once(&c->session->fetch, &c->in_fetch);
    session_fill_later(x, c->session);
}

struct channel *channel_open(struct xfer *x, struct session *s, struct swarm *w)
{
    if (s->channel_count >= x->config->channels_per_session_max)
        return NULL;
    uint32_t number = s->incoming; /* the dialler's numbers are even */
    while (number < s->channel_cap && s->channels[number])
        number += 2;
    if (number >= CHANNEL_NUMBER_MAX)
        return NULL;
    struct channel *c = channel_new(x, s, number);
    if (!c)
        return NULL;
    c->ours = true;
    c->state = CHANNEL_OPENING;
    attach(x, c, w);
    channel_todo(x, c, TODO_OPEN);
    channel_interest(x, c);
    channel_may_fetch(x, c);
    session_arm(x, s);
    return c;
}

/* ---- The peer's chunks ---- */

bool channel_peer_has(const struct channel *c, uint32_t chunk)
{
    return c->peer_all || c->state == CHANNEL_OPENING || (c->map && bit_get(c->map, chunk));
}

static bool chunk_useful(const struct swarm *w, uint32_t chunk)
{
    return !w->complete && !bit_get(w->have, chunk) && bit_get(w->want_map, chunk);
}

void channel_map_free(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    for (uint32_t i = 0; c->map && w->picking && i < w->chunks; i++)
        if (bit_get(c->map, i))
            picker_less(&w->picker, i);
    xfer_free_memory(x, c->map, bit_bytes(w->chunks));
    c->map = NULL;
    c->map_count = 0;
    lent_forget(x, c);
}

static void peer_has_all(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    if (c->peer_all)
        return;
    channel_map_free(x, c);
    c->peer_all = true;
    w->seed_count++;
    c->useful = w->complete ? 0 : w->want_chunks - w->want_have;
    channel_interest(x, c);
    if (w->complete)
        channel_shut(x, c); /* two seeds have nothing to say to each other */
    else
        channel_may_fetch(x, c);
}

static void peer_has(struct channel *c, uint32_t chunk)
{
    struct swarm *w = c->swarm;
    if (c->peer_all || w->complete || !c->map || bit_get(c->map, chunk))
        return;
    bit_set(c->map, chunk);
    c->map_count++;
    picker_more(&w->picker, chunk);
    c->useful += chunk_useful(w, chunk);
}

static bool map_needed(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    if (w->complete || c->peer_all)
        return false;
    if (!c->map)
        c->map = xfer_alloc(x, bit_bytes(w->chunks));
    return c->map != NULL; /* no memory: the peer stays without a map, and of no use */
}

static void peer_map_changed(struct xfer *x, struct channel *c)
{
    if (!c->peer_all && c->map_count == c->swarm->chunks) {
        peer_has_all(x, c);
        return;
    }
    channel_interest(x, c);
    channel_may_fetch(x, c);
}

void channel_unhas(struct xfer *x, struct channel *c, uint32_t chunk)
{
    struct swarm *w = c->swarm;
    if (c->peer_all) {
        if (w->complete)
            return;
        c->map = xfer_alloc(x, bit_bytes(w->chunks));
        if (!c->map)
            return;
        c->peer_all = false;
        w->seed_count--;
        c->useful = 0;
        for (uint32_t i = 0; i < w->chunks; i++)
            peer_has(c, i);
    }
    if (!c->map || !bit_get(c->map, chunk))
        return;
    bit_clear(c->map, chunk);
    c->map_count--;
    picker_less(&w->picker, chunk);
    c->useful -= chunk_useful(w, chunk);
    channel_interest(x, c);
}

static bool map_message(struct xfer *x, struct channel *c, const struct message *m)
{
    struct swarm *w = c->swarm;
    if (m->all) {
        peer_has_all(x, c);
        return true;
    }
    if (m->leaf % 8 != 0 || m->leaf >= w->chunks || m->bytes.size > bit_bytes(w->chunks - m->leaf))
        return false;
    uint32_t bits = (uint32_t)m->bytes.size * 8;
    for (uint32_t i = w->chunks - m->leaf; i < bits; i++)
        if (bit_get(m->bytes.data, i))
            return false; /* chunks that do not exist */
    if (!map_needed(x, c))
        return true;
    for (uint32_t i = 0; i < bits; i++)
        if (bit_get(m->bytes.data, i))
            peer_has(c, m->leaf + i);
    peer_map_changed(x, c);
    return true;
}

static bool have_message(struct xfer *x, struct channel *c, const struct message *m)
{
    for (uint32_t i = 0; i < m->chunk_count; i++)
        if (m->chunks[i] >= c->swarm->chunks)
            return false;
    for (uint32_t i = 0; i < m->chunk_count; i++)
        lent_seen(x, c, m->chunks[i]);
    if (!map_needed(x, c))
        return true;
    for (uint32_t i = 0; i < m->chunk_count; i++)
        peer_has(c, m->chunks[i]);
    peer_map_changed(x, c);
    return true;
}

/* ---- The end of a channel ---- */

static void detach(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    uint32_t given = w && c->number == c->session->served_channel ? serve_chunk_under_way(c->session) : CHUNK_NONE;
    if (given != CHUNK_NONE)
        lent_back(x, c, given);
    requests_drop_channel(x, c);
    serve_drop_channel(x, c);
    list_remove(&c->in_fetch);
    list_remove(&c->in_content);
    if (!w)
        return;
    if (c->current) {
        c->current->owner = NULL;
        partial_recount(w, c->current);
        c->current = NULL;
    }
    channel_map_free(x, c);
    if (c->peer_all)
        w->seed_count--;
    c->peer_all = false;
    c->swarm = NULL;
    channel_interest(x, c);
    list_remove(&c->in_swarm);
    if (--w->channel_count == 0)
        lent_free(x, w);
    swarm_sources_changed(x, w);
}

void channel_drop(struct xfer *x, struct channel *c)
{
    struct session *s = c->session;
    detach(x, c);
    list_remove(&c->in_dirty);
    s->channels[c->number] = NULL;
    s->channel_count--;
    s->last_use = x->now;
    xfer_free_memory(x, c, sizeof *c);
    if (s->channel_count == 0)
        session_arm(x, s);
}

void channel_maybe_free(struct xfer *x, struct channel *c)
{
    if (c->state == CHANNEL_SHUT && c->peer_done && c->serving == 0 && c->todo == 0)
        channel_drop(x, c);
}

static void shut_with(struct xfer *x, struct channel *c, unsigned todo)
{
    detach(x, c);
    c->state = CHANNEL_SHUT;
    c->todo = 0;
    if (todo)
        channel_todo(x, c, todo);
    channel_interest(x, c);
}

void channel_shut(struct xfer *x, struct channel *c)
{
    core_assert(c->state != CHANNEL_SHUT);
    if (c->todo & TODO_OPEN) { /* the peer never heard of it */
        c->peer_done = true;
        shut_with(x, c, 0);
        channel_maybe_free(x, c);
        return;
    }
    bool unanswered = c->state == CHANNEL_ASKED || c->todo & TODO_OPENED;
    if (unanswered)
        c->peer_done = true;
    shut_with(x, c, unanswered ? TODO_REFUSED : TODO_CLOSE);
}

static void peer_closed(struct xfer *x, struct channel *c)
{
    c->peer_done = true;
    if (c->state != CHANNEL_SHUT)
        shut_with(x, c, TODO_CLOSE);
    else
        channel_maybe_free(x, c);
}

/* ---- Opening ---- */

static bool open_message(struct xfer *x, struct session *s, const struct message *m)
{
    if (m->channel >= CHANNEL_NUMBER_MAX || (m->channel & 1) != !s->incoming ||
        channel_get(s, m->channel))
        return false;
    struct channel *c = channel_new(x, s, m->channel);
    if (!c)
        return true; /* no memory: the peer's open stays unanswered */
    c->pack = m->pack;
    c->state = CHANNEL_ASKED;
    memcpy(c->provider_key, m->key, HASH_SIZE);
    memcpy(c->mac, m->mac, HASH_SIZE);
    if (s->channel_count > x->config->channels_per_session_max)
        channel_shut(x, c);
    else
        list_append(&x->contents, &c->in_content);
    session_arm(x, s);
    return true;
}

/* Both opened the same content: the dialler's channel wins. True when c may take the swarm. */
static bool settle_double(struct xfer *x, struct channel *c, struct swarm *w)
{
    struct channel *mine = channel_of(c->session, w);
    if (!mine)
        return true;
    if (!mine->ours || mine->state != CHANNEL_OPENING || !c->session->incoming)
        return false;
    if (mine->todo & TODO_OPEN)
        mine->peer_done = true;
    shut_with(x, mine, 0); /* the peer will refuse it */
    channel_maybe_free(x, mine);
    return true;
}

void xfer_content_answer(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t swarm,
                         struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct channel *c = s ? channel_get(s, channel) : NULL;
    if (c && c->state == CHANNEL_ASKED) {
        struct swarm *w = swarm_get(x, swarm);
        static const uint8_t nowhere[HASH_SIZE];
        uint8_t mac[HASH_SIZE];
        mac_with_root(x, c, w ? w->id.root : nowhere, c->provider_key, false,
                      mac); /* the same work either way */
        bool known = crypto_equal(mac, c->mac, HASH_SIZE);
        if (!w || !known || w->pack != c->pack || w->broken ||
            memcmp(w->provider_key, c->provider_key, HASH_SIZE) != 0 || !settle_double(x, c, w)) {
            channel_shut(x, c);
        } else {
            list_remove(&c->in_content);
            c->state = CHANNEL_OPEN;
            attach(x, c, w);
            c->have_cursor = w->log_count;
            channel_todo(x, c, TODO_OPENED | (w->have_count ? TODO_MAP : 0));
            channel_interest(x, c);
            serve_release(x, c);
        }
    }
    xfer_leave(x);
}

static void opened(struct xfer *x, struct channel *c, const struct message *m)
{
    if (!c->ours || c->state != CHANNEL_OPENING || c->todo & TODO_OPEN)
        return;
    struct swarm *w = c->swarm;
    uint8_t mac[HASH_SIZE];
    channel_mac(x, c, w, true, mac);
    if (!crypto_equal(mac, m->mac, HASH_SIZE) || m->count != w->geometry.chunk_leaves_log2) {
        candidates_failed(x, w, c->session->key,
                          REFUSED_PAUSE); /* a false provider: it does not know the root */
        channel_shut(x, c);
        return;
    }
    c->state = CHANNEL_OPEN;
    c->have_cursor = w->log_count;
    if (w->have_count)
        channel_todo(x, c, TODO_MAP);
    channel_interest(x, c);
    if (m->all)
        peer_has_all(x, c);
    if (c->swarm)
        swarm_sources_changed(x, w);
}

static void refused(struct xfer *x, struct channel *c)
{
    if (!c->ours || c->todo & TODO_OPEN)
        return;
    c->peer_done = true;
    if (c->state == CHANNEL_OPENING) {
        candidates_failed(x, c->swarm, c->session->key, REFUSED_PAUSE);
        shut_with(x, c, 0);
    }
    channel_maybe_free(x, c);
}

bool channel_message(struct xfer *x, struct session *s, const struct message *m)
{
    if (m->type == MESSAGE_OPEN)
        return open_message(x, s, m);
    struct channel *c = channel_get(s, m->channel);
    if (!c)
        return true; /* crossed with our close */
    switch (m->type) {
    case MESSAGE_OPENED:
        opened(x, c, m);
        return true;
    case MESSAGE_REFUSED:
        refused(x, c);
        return true;
    case MESSAGE_CLOSE:
        peer_closed(x, c);
        return true;
    case MESSAGE_REQUEST:
        if (m->count == 0)
            return false;
        if (c->state == CHANNEL_OPEN || c->state == CHANNEL_ASKED)
            return serve_request(x, c, m);
        return true;
    case MESSAGE_CANCEL:
        serve_cancel(x, c, m);
        return true;
    default:
        break;
    }
    if (!c->swarm || c->state == CHANNEL_ASKED)
        return true;
    switch (m->type) {
    case MESSAGE_REJECT:
        request_rejected(x, c, m);
        return true;
    case MESSAGE_MAP:
        return c->state != CHANNEL_OPEN || map_message(x, c, m);
    case MESSAGE_HAVE:
        return c->state != CHANNEL_OPEN || have_message(x, c, m);
    case MESSAGE_LENT:
        return c->state != CHANNEL_OPEN || lent_message(x, c, m);
    case MESSAGE_PEERS:
        gossip_received(x, c, m);
        return true;
    default:
        return true;
    }
}
