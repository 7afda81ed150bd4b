/* Peers tell each other who else has a content open. It is hearsay: a peer may name addresses of third
 * parties, so that many nodes knock there. Dials to what is only hearsay are therefore few in all, two at a
 * time to one address, and an address where nobody answered as promised is left alone for a while, whoever
 * names it and for whatever content. (Globally routable addresses only: at home many nodes share one.) */
#include "transfer/xfer_internal.h"

#define GOSSIP_SHORTEST CORE_SECONDS(5)
#define SETTLE          CORE_MS(50) /* as in candidates.c */
#define DIALS_WINDOW    CORE_SECONDS(2)
#define DIALS_MOST      8u /* in a window */
#define DIALS_PENDING   2u /* to one address */
#define COLD_PLACES     64u
#define COLD_FAILS      4u
#define COLD_TIME       CORE_MINUTES(10)

/* ---- Whom to believe ---- */

static struct cold *cold_find(const struct xfer *x, const struct net_addr *addr)
{
    for (uint32_t i = 0; x->cold && i < COLD_PLACES; i++)
        if (x->cold[i].until > x->now && net_addr_same_ip(&x->cold[i].addr, addr))
            return &x->cold[i];
    return NULL;
}

static bool cold(const struct xfer *x, const struct net_addr *addr)
{
    const struct cold *c = cold_find(x, addr);
    return c && c->fails >= COLD_FAILS;
}

/* A new one takes the place of what ends first: of those that failed less, if there are any. */
static struct cold *cold_place(const struct xfer *x)
{
    struct cold *best = &x->cold[0];
    for (uint32_t i = 1; i < COLD_PLACES; i++) {
        struct cold *c = &x->cold[i];
        uint32_t own = c->until > x->now ? c->fails : 0, least = best->until > x->now ? best->fails : 0;
        if (own < least || (own == least && c->until < best->until))
            best = c;
    }
    return best;
}

static void address_failed(struct xfer *x, const struct net_addr *addr)
{
    if (net_addr_scope(addr) != NET_SCOPE_GLOBAL)
        return;
    if (!x->cold && !(x->cold = xfer_alloc(x, COLD_PLACES * sizeof *x->cold)))
        return;
    struct cold *c = cold_find(x, addr);
    if (!c) {
        c = cold_place(x);
        *c = (struct cold){.addr = *addr};
    }
    c->fails += c->fails < COLD_FAILS;
    c->until = core_time_add(x->now, COLD_TIME);
}

void gossip_fini(struct xfer *x)
{
    xfer_free_memory(x, x->cold, COLD_PLACES * sizeof *x->cold);
    x->cold = NULL;
}

core_time gossip_dial_wait(const struct xfer *x, const struct net_addr *addr)
{
    core_time window = core_time_add(x->gossip_window, DIALS_WINDOW);
    if (x->gossip_dials >= DIALS_MOST && x->now < window)
        return window - x->now;
    if (net_addr_scope(addr) != NET_SCOPE_GLOBAL)
        return 0;
    if (cold(x, addr))
        return cold_find(x, addr)->until - x->now;
    uint32_t pending = 0;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        const struct session *s = x->sessions[i];
        pending += s && s->hearsay && s->state < SESSION_OPEN && net_addr_same_ip(&s->addr, addr);
    }
    return pending >= DIALS_PENDING ? DIALS_WINDOW : 0;
}

void gossip_dialled(struct xfer *x, struct session *s)
{
    s->hearsay = true;
    if (x->now >= core_time_add(x->gossip_window, DIALS_WINDOW)) {
        x->gossip_window = x->now;
        x->gossip_dials = 0;
    }
    x->gossip_dials++;
}

void gossip_dial_ended(struct xfer *x, struct session *s, bool good)
{
    if (!s->hearsay)
        return;
    for (uint32_t i = 0; i < x->session_cap; i++) { /* both dialled at once: the other stream stayed */
        const struct session *o = x->sessions[i];
        good |= o && o != s && o->state == SESSION_OPEN && memcmp(o->key, s->key, NODE_KEY_SIZE) == 0;
    }
    struct cold *c = cold_find(x, &s->addr);
    if (!good)
        address_failed(x, &s->addr);
    else if (c)
        memset(c, 0, sizeof *c);
}

/* ---- Telling and hearing ---- */

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
        if (cold(x, &peer->addr))
            continue;
        candidates_add(x, w, peer->key, &peer->addr, XFER_SOURCE_GOSSIP);
    }
    w->connect_at = core_time_min(w->connect_at, x->now + SETTLE);
    swarm_arm(x, w);
}
