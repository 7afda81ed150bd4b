#include "tests/support/xfer_hand.h"

void hand_key(uint8_t key[NODE_KEY_SIZE], uint8_t name)
{
    memset(key, 0, NODE_KEY_SIZE);
    key[0] = name;
    key[31] = 1;
}

void hand_start(struct hand *h)
{
    static const uint8_t seed[32] = {77};
    h->env = (struct xfer_env){&h->config, &core_crypto_cheap, &core_alloc_libc};
    core_crypto_cheap.identity(&h->me, seed);
    h->now = CORE_SECONDS(100);
    effects_init(&h->out, h->items, 256, h->bytes, sizeof h->bytes);
    h->x = xfer_new(&h->env, &h->me, &h->network, seed, h->now);
    xfer_set_stream_port(h->x, 7000);
}

void hand_stop(struct hand *h)
{
    xfer_free(h->x);
    h->x = NULL;
}

static void serve_one(struct hand *h, const struct effect *e)
{
    xfer_served(h->x, h->now, e->u.serve.session, e->u.serve.channel, e->u.serve.leaf, e->u.serve.count,
                e->u.serve.count * TREE_LEAF_SIZE, 0, &h->out);
}

static void carry_out(struct hand *h, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_HANGUP:
        xfer_session_closed(h->x, h->now, e->u.hangup.session, e->u.hangup.reason, &h->out);
        break;
    case EFFECT_SERVE:
        if (h->hold_serves && h->held_count < 64)
            h->held[h->held_count++] = *e;
        else
            serve_one(h, e);
        break;
    case EFFECT_DIAL:
        h->dialled[h->dials % 256] = e->u.dial.to;
        h->dialled_session[h->dials++ % 256] = e->u.dial.session;
        break;
    case EFFECT_NOTICE:
        h->needs += e->u.notice.kind == XFER_NOTICE_NEED_PEERS;
        break;
    default: /* content is answered by hand_open, control bytes are taken by hand_told */
        break;
    }
}

void hand_drain(struct hand *h)
{
    while (h->out.count) {
        struct effect items[256];
        uint32_t count = h->out.count;
        memcpy(items, h->out.items, count * sizeof *items);
        effects_reset(&h->out);
        for (uint32_t i = 0; i < count; i++) {
            carry_out(h, &items[i]);
            if (h->out.count > 100) /* keep room for the next */
                hand_drain(h);
        }
    }
    effects_reset(&h->out);
    xfer_check(h->x);
}

void hand_serve(struct hand *h, uint32_t count)
{
    while (count-- && h->held_count) {
        struct effect e = h->held[0];
        memmove(h->held, h->held + 1, --h->held_count * sizeof *h->held);
        serve_one(h, &e);
        hand_drain(h);
    }
}

void hand_wait(struct hand *h, core_time time)
{
    core_time end = h->now + time;
    for (core_time at; (at = xfer_deadline(h->x)) <= end;) {
        if (at > h->now)
            h->now = at;
        xfer_wake(h->x, h->now, &h->out);
        hand_drain(h);
    }
    h->now = end;
}

static uint32_t add(struct hand *h, struct xfer_swarm_params p, uint8_t name, uint64_t size)
{
    p.ref = name;
    p.id.root[0] = name;
    p.id.size = size;
    content_provider_key(p.provider_key, &p.id, &h->network, &core_crypto_cheap);
    xfer_geometry_content(&p.geometry, size);
    uint32_t swarm = xfer_swarm_add(h->x, h->now, &p, &h->out);
    hand_drain(h);
    return swarm;
}

uint32_t hand_swarm(struct hand *h, uint8_t name, uint64_t size, bool complete, uint32_t parent)
{
    return add(h, (struct xfer_swarm_params){.complete = complete, .parent = parent}, name, size);
}

uint32_t hand_swarm_have(struct hand *h, uint8_t name, uint64_t size, const uint8_t *have)
{
    return add(h, (struct xfer_swarm_params){.have_chunks = have}, name, size);
}

struct session *hand_peer(struct hand *h, uint8_t name, const struct net_addr *addr)
{
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr from = *addr;
    hand_key(key, name);
    from.port = (uint16_t)(50000 + name);
    uint32_t number = xfer_session_accept(h->x, h->now, &from, key, key, &h->out);
    hand_drain(h);
    struct session *s = session_get(h->x, number);
    if (!s)
        return NULL;
    xfer_session_confirmed(h->x, h->now, number, &h->out);
    hand_drain(h);
    hand_say(h, s, &(struct message){.type = MESSAGE_HELLO, .version = 1, .port = addr->port});
    return s;
}

struct session *hand_peer_home(struct hand *h, uint8_t name)
{
    struct net_addr addr = net_addr_v4(10, 0, 0, name, 7000);
    return hand_peer(h, name, &addr);
}

int hand_say(struct hand *h, struct session *s, const struct message *m)
{
    uint8_t buffer[4096];
    struct pack p;
    pack_init(&p, buffer, sizeof buffer);
    core_assert(message_write(&p, m));
    int r = xfer_session_recv(h->x, h->now, s->number, buffer, p.size, &h->out);
    hand_drain(h);
    return r;
}

struct channel *hand_open(struct hand *h, struct session *s, uint32_t swarm, uint32_t number)
{
    const struct swarm *w = swarm_get(h->x, swarm);
    struct message m = {.type = MESSAGE_OPEN, .channel = number, .pack = w->pack};
    uint8_t role = 0, pack = w->pack;
    struct bytes parts[] = {bytes_of(&role, 1), bytes_of(s->binding, HASH_SIZE),
                            bytes_of(w->provider_key, HASH_SIZE), bytes_of(&pack, 1)};
    memcpy(m.key, w->provider_key, HASH_SIZE);
    core_crypto_cheap.hash(m.mac, HASH_SIZE, w->id.root, HASH_SIZE, parts, 4);
    hand_say(h, s, &m);
    xfer_content_answer(h->x, h->now, s->number, number, swarm, &h->out);
    hand_drain(h);
    struct channel *c = channel_get(s, number);
    core_assert(c && c->state == CHANNEL_OPEN);
    return c;
}

void hand_gone(struct hand *h, struct session *s)
{
    xfer_session_closed(h->x, h->now, s->number, ERR_CLOSED, &h->out);
    hand_drain(h);
}

bool hand_told(struct hand *h, struct session *s, uint32_t type, struct message *m)
{
    uint8_t buffer[4096];
    bool seen = false;
    for (size_t size; (size = xfer_session_write(h->x, h->now, s->number, buffer, sizeof buffer));) {
        struct wire w;
        struct message one;
        wire_init(&w, buffer, size);
        while (message_read(&w, &one)) {
            if (one.type == type && !seen)
                *m = one; /* its bytes are not kept */
            seen |= one.type == type;
        }
    }
    return seen;
}
