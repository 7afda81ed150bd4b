/* Control bytes are pulled: the session's state says what is to be told, nothing is queued as bytes. */
#include "transfer/xfer_internal.h"

#define AGENT "shoal/" SHOAL_VERSION

bool session_pending(const struct session *s)
{
    return !s->hello_sent || s->pong_due || s->ping_due || s->choke_told != s->choked ||
           s->interest_told != s->interested || !list_empty(&s->dirty) || !list_empty(&s->rejects) ||
           !list_empty(&s->cancels) || !list_empty(&s->unsent) || s->app_count != 0 || s->unsupported_due ||
           service_unsent(s);
}

static bool write_hello(struct xfer *x, struct session *s, struct pack *p)
{
    struct message m = {.type = MESSAGE_HELLO, .version = SESSION_VERSION, .port = x->stream_port};
    m.bytes = bytes_of(AGENT, sizeof AGENT - 1);
    m.has_addr = s->addr.port != 0;
    m.addr = s->addr;
    if (!message_write(p, &m))
        return false;
    s->hello_sent = true;
    return true;
}

/* In this order, so that what the peer needs first comes first. Each step returns false when there is no more
 * room. */
static bool write_session(struct xfer *x, struct session *s, struct pack *p)
{
    if (!s->hello_sent && !write_hello(x, s, p))
        return false;
    if (s->choke_told != s->choked) {
        bool finish = s->choked && s->finish_chunk != CHUNK_NONE;
        if (!message_write(p, &(struct message){.type = MESSAGE_CHOKE, .on = s->choked, .finish = finish}))
            return false;
        s->choke_told = s->choked;
    }
    if (s->pong_due) {
        if (!message_write(p, &(struct message){.type = MESSAGE_PONG, .id = s->pong_id}))
            return false;
        s->pong_due = false;
    }
    if (s->ping_due) {
        if (!message_write(p, &(struct message){.type = MESSAGE_PING, .id = ++s->ping_id}))
            return false;
        s->ping_due = false;
        s->ping_out = true;
        s->ping_sent = x->now;
    }
    if (s->interest_told != s->interested) {
        if (!message_write(p, &(struct message){.type = MESSAGE_INTEREST, .on = s->interested}))
            return false;
        s->interest_told = s->interested;
    }
    return true;
}

static bool write_open(struct xfer *x, struct channel *c, struct pack *p, enum message_type type)
{
    struct message m = {.type = type, .channel = c->number, .pack = c->pack};
    memcpy(m.key, c->swarm->provider_key, HASH_SIZE);
    channel_mac(x, c, c->swarm, type == MESSAGE_OPENED, m.mac);
    m.count = c->swarm->geometry.chunk_leaves_log2;
    m.all = c->swarm->complete;
    if (!message_write(p, &m))
        return false;
    c->todo &= (uint16_t) ~(type == MESSAGE_OPEN ? TODO_OPEN : TODO_OPENED);
    if (type == MESSAGE_OPENED && c->swarm->complete)
        c->todo &= (uint16_t)~TODO_MAP;
    return true;
}

/* The map goes in pieces; what completes meanwhile is told by the log, from where it stood when the map
 * began. */
static bool write_map(struct xfer *x, struct channel *c, struct pack *p)
{
    (void)x;
    struct swarm *w = c->swarm;
    if (w->complete) {
        if (!message_write(p, &(struct message){.type = MESSAGE_MAP, .channel = c->number, .all = true}))
            return false;
        c->todo &= (uint16_t)~TODO_MAP;
        return true;
    }
    while (c->map_next < w->chunks) {
        uint32_t bytes = bit_bytes(w->chunks - c->map_next);
        size_t room = p->cap - p->size;
        uint32_t most = room > 1200 ? MESSAGE_MAP_MAX : 256;
        if (bytes > most)
            bytes = most;
        struct message m = {.type = MESSAGE_MAP, .channel = c->number, .leaf = c->map_next};
        uint8_t bits[MESSAGE_MAP_MAX];
        memcpy(bits, w->have + c->map_next / 8, bytes);
        for (uint32_t i = 0; w->want && i < bytes * 8 && c->map_next + i < w->chunks; i++)
            if (bit_get(bits, i) && !swarm_tells(w, c->map_next + i))
                bit_clear(bits, i);
        m.bytes = bytes_of(bits, bytes);
        if (!message_write(p, &m))
            return false;
        c->map_next += bytes * 8;
    }
    c->todo &= (uint16_t)~TODO_MAP;
    return true;
}

static bool write_haves(struct channel *c, struct pack *p)
{
    struct swarm *w = c->swarm;
    if (c->state != CHANNEL_OPEN || c->todo & TODO_MAP || w->complete)
        return true;
    while (c->have_cursor < w->log_count) {
        struct message m = {.type = MESSAGE_HAVE, .channel = c->number};
        size_t fit = (p->cap - p->size) / 5;
        uint32_t most = fit > MESSAGE_HAVES_MAX + 3 ? MESSAGE_HAVES_MAX : 32;
        while (m.chunk_count < most && c->have_cursor + m.chunk_count < w->log_count) {
            m.chunks[m.chunk_count] = w->log[c->have_cursor + m.chunk_count];
            m.chunk_count++;
        }
        if (!message_write(p, &m))
            return false;
        c->have_cursor += m.chunk_count;
    }
    return true;
}

static bool write_channel(struct xfer *x, struct channel *c, struct pack *p)
{
    if (c->todo & TODO_OPEN && !write_open(x, c, p, MESSAGE_OPEN))
        return false;
    if (c->todo & TODO_OPENED && !write_open(x, c, p, MESSAGE_OPENED))
        return false;
    if (c->todo & TODO_REFUSED) {
        if (!message_write(p, &(struct message){.type = MESSAGE_REFUSED, .channel = c->number}))
            return false;
        c->todo &= (uint16_t)~TODO_REFUSED;
    }
    if (c->todo & TODO_MAP && !write_map(x, c, p))
        return false;
    if (c->swarm && (!write_haves(c, p) || !lent_write(c, p)))
        return false;
    if (c->todo & TODO_PEERS) {
        if (!gossip_write(x, c, p))
            return false;
        c->todo &= (uint16_t)~TODO_PEERS;
    }
    if (c->todo & TODO_CLOSE && c->serving == 0) {
        if (!message_write(p, &(struct message){.type = MESSAGE_CLOSE, .channel = c->number}))
            return false;
        c->todo &= (uint16_t)~TODO_CLOSE;
    }
    return true;
}

static bool write_channels(struct xfer *x, struct session *s, struct pack *p)
{
    while (!list_empty(&s->dirty)) {
        struct channel *c = list_object(s->dirty.next, struct channel, in_dirty);
        if (!write_channel(x, c, p))
            return false;
        list_remove(&c->in_dirty);
        channel_maybe_free(x, c);
    }
    return true;
}

static bool write_rejects(struct xfer *x, struct session *s, struct pack *p)
{
    while (!list_empty(&s->rejects)) {
        struct serve *r = list_object(s->rejects.next, struct serve, in_session);
        if (!message_write(p, &(struct message){.type = MESSAGE_REJECT,
                                                .channel = r->channel_number,
                                                .leaf = r->leaf,
                                                .count = r->count,
                                                .value = r->reason}))
            return false;
        list_remove(&r->in_session);
        s->reject_count--;
        pool_give(&x->serves, r);
    }
    return true;
}

static bool write_cancels(struct xfer *x, struct session *s, struct pack *p)
{
    while (!list_empty(&s->cancels)) {
        struct cancel *c = list_object(s->cancels.next, struct cancel, in_session);
        if (!message_write(
                p, &(struct message){
                       .type = MESSAGE_CANCEL, .channel = c->channel, .leaf = c->leaf, .count = c->count}))
            return false;
        list_remove(&c->in_session);
        s->cancel_count--;
        pool_give(&x->cancels, c);
    }
    return true;
}

static bool write_requests(struct xfer *x, struct session *s, struct pack *p)
{
    while (!list_empty(&s->unsent)) {
        struct request *r = list_object(s->unsent.next, struct request, in_session);
        core_assert(!(r->channel->todo & TODO_OPEN));
        struct message m = {.type = MESSAGE_REQUEST,
                            .channel = r->channel->number,
                            .leaf = r->leaf,
                            .count = r->count,
                            .proof = r->proof,
                            .urgent = r->urgent};
        if (!message_write(p, &m))
            return false;
        bool first = list_empty(&s->sent);
        list_remove(&r->in_session);
        list_append(&s->sent, &r->in_session);
        r->sent = true;
        r->sent_at = x->now;
        if (first)
            session_arm(x, s);
    }
    return true;
}

size_t xfer_session_write(struct xfer *x, core_time now, uint32_t session, uint8_t *buf, size_t cap)
{
    core_assert(cap >= 512);
    struct session *s = session_live(x, session);
    if (!s || s->state == SESSION_DIALLING || s->probe)
        return 0;
    if (now > x->now)
        x->now = now;
    struct pack p;
    pack_init(&p, buf, cap);
    /* Any step may run out of room; the next call goes on there. Requests come after the opens and maps they
     * rest on. */
    bool all = write_session(x, s, &p) && write_channels(x, s, &p) && write_rejects(x, s, &p) &&
               write_cancels(x, s, &p) && write_requests(x, s, &p) && service_write(x, s, &p);
    if (all && p.size == 0)
        s->ready_told = false;
    else
        core_assert(p.size > 0);
    return p.size;
}
