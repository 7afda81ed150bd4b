/* Where a swarm's content may be had: addresses from the DHT, links, the local network and gossip; whom to
 * dial, when to try again. */
#include "transfer/xfer_internal.h"

#define DIALS_AT_ONCE 6u
#define BACKOFF       CORE_SECONDS(2) /* doubles with each failure */
#define BACKOFF_MAX   CORE_MINUTES(5)
#define FAILS_MAX     8
#define FULL_PAUSE    CORE_SECONDS(30)
#define SETTLE        CORE_MS(50) /* an incoming session's own opens come first, so that both do not open the same \
                                   */
#define GOSSIP_SHORTEST CORE_SECONDS(5)

struct candidate *candidates_find(struct swarm *w, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint32_t i = 0; i < w->candidate_count; i++)
        if (memcmp(w->candidates[i].key, key, NODE_KEY_SIZE) == 0)
            return &w->candidates[i];
    return NULL;
}

static struct candidate *candidates_worst(struct swarm *w)
{
    struct candidate *worst = NULL;
    for (uint32_t i = 0; i < w->candidate_count; i++)
        if (w->candidates[i].fails > 0 && (!worst || w->candidates[i].fails > worst->fails))
            worst = &w->candidates[i];
    return worst;
}

struct candidate *candidates_add(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE],
                                 const struct net_addr *addr, enum xfer_source source)
{
    struct candidate *c = candidates_find(w, key);
    if (c) { /* hearsay does not move a known address */
        if (addr->port != 0 && (c->addr.port == 0 || source != XFER_SOURCE_GOSSIP))
            c->addr = *addr;
        return c;
    }
    uint32_t max = x->config->candidates_per_swarm_max;
    if (w->candidate_count < max && xfer_grow(x, (void **)&w->candidates, &w->candidate_cap,
                                              w->candidate_count + 1, max, sizeof *w->candidates))
        c = &w->candidates[w->candidate_count++];
    else
        c = candidates_worst(w);
    if (!c)
        return NULL;
    memset(c, 0, sizeof *c);
    memcpy(c->key, key, NODE_KEY_SIZE);
    c->addr = *addr;
    c->source = (uint8_t)source;
    c->next = x->now;
    return c;
}

void xfer_swarm_peer(struct xfer *x, core_time now, uint32_t swarm, const uint8_t key[NODE_KEY_SIZE],
                     const struct net_addr *addr, enum xfer_source source, struct effects *out)
{
    xfer_enter(x, now, out);
    struct swarm *w = swarm_get(x, swarm);
    if (w && !w->complete && memcmp(key, x->me->key, NODE_KEY_SIZE) != 0 &&
        candidates_add(x, w, key, addr, source)) {
        w->connect_at = core_time_min(w->connect_at, x->now);
        candidates_connect(x, w);
        swarm_arm(x, w);
    }
    xfer_leave(x);
}

void candidates_failed(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE], core_time pause)
{
    if (w->complete || w->removed)
        return;
    struct candidate *c = candidates_find(w, key);
    struct net_addr nowhere = {{0}, 0};
    if (!c)
        c = candidates_add(x, w, key, &nowhere, XFER_SOURCE_INCOMING);
    if (!c)
        return;
    if (pause != CORE_SECONDS(1)) {
        c->fails++;
        core_time backoff = BACKOFF << (c->fails < 8 ? c->fails : 8);
        backoff = backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX;
        pause = pause > backoff ? pause : backoff;
    } else {
        c->fails = 0; /* it had been of use */
    }
    c->next = x->now + rng_jitter(&x->rng, pause, 20);
    if (c->fails > FAILS_MAX && c->source != XFER_SOURCE_LINK)
        *c = w->candidates[--w->candidate_count];
    swarm_sources_changed(x, w);
}

/* A tree's files are where the tree is. */
static void add_from_parent(struct xfer *x, struct swarm *w)
{
    struct swarm *parent = swarm_get(x, w->parent);
    if (!parent)
        return;
    list_each(node, &parent->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN && !channel_of(c->session, w))
            candidates_add(x, w, c->session->key, &c->session->dial_addr, XFER_SOURCE_LOCAL);
    }
}

void candidates_connect(struct xfer *x, struct swarm *w)
{
    if (!swarm_wants(w))
        return;
    add_from_parent(x, w);
    uint32_t dials = 0;
    core_time next = CORE_NEVER;
    for (int pass = 0; pass < 2; pass++) { /* sessions that exist, then addresses */
        for (uint32_t i = 0; i < w->candidate_count && w->channel_count < x->config->peers_per_swarm_max;
             i++) {
            struct candidate *c = &w->candidates[i];
            struct session *s = session_by_key(x, c->key);
            if ((s && channel_of(s, w)) || (!s && pass == 0) || (!s && c->addr.port == 0))
                continue;
            if (c->next > x->now) {
                next = core_time_min(next, c->next);
                continue;
            }
            if (!s && dials == DIALS_AT_ONCE) {
                next = x->now;
                break;
            }
            c->next = x->now + FULL_PAUSE; /* unless it goes well */
            if (!s) {
                s = session_dial(x, c->key, &c->addr, false);
                dials += s != NULL;
            }
            if (s)
                channel_open(x, s, w);
        }
    }
    w->connect_at = next;
}

void candidates_session_up(struct xfer *x, struct session *s)
{
    list_each(node, &x->fetching)
    {
        struct swarm *w = list_object(node, struct swarm, in_fetching);
        struct candidate *c = candidates_find(w, s->key);
        if (!c)
            continue;
        c->next = x->now;
        w->connect_at = core_time_min(w->connect_at, x->now + SETTLE);
        swarm_arm(x, w);
    }
}

/* ---- Gossip ---- */

static bool may_be_told(const struct session *whom, const struct session *about)
{
    if (about == whom || about->dial_addr.port == 0 || !about->listed || about->state != SESSION_OPEN)
        return false;
    /* An address that means something only here is told only to those who are here too. */
    return net_addr_scope(&about->dial_addr) == NET_SCOPE_GLOBAL ||
           net_addr_scope(&whom->addr) != NET_SCOPE_GLOBAL;
}

bool gossip_write(struct xfer *x, struct channel *c, struct pack *p)
{
    (void)x;
    struct swarm *w = c->swarm;
    struct message m = {.type = MESSAGE_PEERS, .channel = c->number};
    uint32_t at = 0, cursor = c->gossip_cursor;
    if (!w || c->state != CHANNEL_OPEN)
        return true;
    list_each(node, &w->channels)
    {
        if (at++ < cursor)
            continue;
        struct channel *o = list_object(node, struct channel, in_swarm);
        cursor = at;
        if (o->state != CHANNEL_OPEN || !may_be_told(c->session, o->session))
            continue;
        memcpy(m.peers[m.peer_count].key, o->session->key, NODE_KEY_SIZE);
        m.peers[m.peer_count].addr = o->session->dial_addr;
        if (++m.peer_count == MESSAGE_PEERS_MAX)
            break;
    }
    if (m.peer_count != 0 && !message_write(p, &m))
        return false;
    c->gossip_cursor = cursor >= w->channel_count ? 0 : cursor;
    return true;
}

void gossip_received(struct xfer *x, struct channel *c, const struct message *m)
{
    struct swarm *w = c->swarm;
    if (w->complete || (c->gossip_got != 0 && x->now < c->gossip_got + GOSSIP_SHORTEST))
        return;
    c->gossip_got = x->now;
    bool far = net_addr_scope(&c->session->addr) == NET_SCOPE_GLOBAL;
    for (uint32_t i = 0; i < m->peer_count; i++) {
        const struct message_peer *peer = &m->peers[i];
        enum net_scope scope = net_addr_scope(&peer->addr);
        if (scope == NET_SCOPE_INVALID || peer->addr.port == 0 ||
            memcmp(peer->key, x->me->key, NODE_KEY_SIZE) == 0)
            continue;
        if (far && scope != NET_SCOPE_GLOBAL && !x->config->accept_private_addresses)
            continue; /* a stranger's word must not make us dial into our own network */
        candidates_add(x, w, peer->key, &peer->addr, XFER_SOURCE_GOSSIP);
    }
    w->connect_at = core_time_min(w->connect_at, x->now + SETTLE);
    swarm_arm(x, w);
}
