/* Where a swarm's content may be had: addresses from the DHT, links, the local network and gossip; whom to
 * dial, when to try again.
 *
 * Places are few and anybody can invent addresses, so they go by whose word it is: what peers tell holds at
 * most half of the places and never pushes out what a provider's own record, the local network or the user's
 * link named; each of these gives way to the one after it. */
#include "transfer/xfer_internal.h"

#define DIALS_AT_ONCE 6u
#define BACKOFF       CORE_SECONDS(2) /* doubles with each failure */
#define BACKOFF_MAX   CORE_MINUTES(5)
#define FAILS_MAX     8u
#define FAILS_HEARSAY 3u
#define FULL_PAUSE    CORE_SECONDS(30)
#define SETTLE                                                                                               \
    CORE_MS(50) /* an incoming session's own opens come first, so that both do not open the same             \
                 */
#define RANKS     4u
#define RANK_LINK 3u
#define RESERVED(x)                                                                                          \
    ((x)->config->peers_per_swarm_max / 4) /* channels a swarm may always open itself to what is no hearsay  \
                                            */

struct candidate *candidates_find(struct swarm *w, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint32_t i = 0; i < w->candidate_count; i++)
        if (memcmp(w->candidates[i].key, key, NODE_KEY_SIZE) == 0)
            return &w->candidates[i];
    return NULL;
}

static uint32_t rank_of(uint8_t source)
{
    switch (source) {
    case XFER_SOURCE_LINK:
        return RANK_LINK;
    case XFER_SOURCE_LOCAL:
        return 2;
    case XFER_SOURCE_DHT:
        return 1;
    default: /* a peer's word, or a peer that came itself and said that it takes streams */
        return 0;
    }
}

/* A place for a new one, or the one it may push out: of a lower rank, or of its own and failing. */
static struct candidate *place_for(struct xfer *x, struct swarm *w, uint32_t rank)
{
    uint32_t max = x->config->candidates_per_swarm_max, hearsay = 0;
    struct candidate *worst = NULL;
    for (uint32_t i = 0; i < w->candidate_count; i++) {
        struct candidate *c = &w->candidates[i];
        uint32_t own = rank_of(c->source);
        hearsay += own == 0;
        if (own > rank || (own == rank && c->fails == 0))
            continue;
        if (!worst || own < rank_of(worst->source) ||
            (own == rank_of(worst->source) && c->fails > worst->fails))
            worst = c;
    }
    bool room = w->candidate_count < max && (rank > 0 || hearsay < max / 2);
    if (room && xfer_grow(x, (void **)&w->candidates, &w->candidate_cap, w->candidate_count + 1, max,
                          sizeof *w->candidates))
        return &w->candidates[w->candidate_count++];
    return worst;
}

static struct candidate *add_one(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE],
                                 const struct net_addr *addr, enum xfer_source source)
{
    struct candidate *c = candidates_find(w, key);
    uint32_t rank = rank_of((uint8_t)source);
    if (c) { /* hearsay does not move a known address */
        if (addr->port != 0 && (c->addr.port == 0 || rank > 0))
            c->addr = *addr;
        if (rank > rank_of(c->source))
            c->source = (uint8_t)source;
        return c;
    }
    c = place_for(x, w, rank);
    if (!c)
        return NULL;
    memset(c, 0, sizeof *c);
    memcpy(c->key, key, NODE_KEY_SIZE);
    c->addr = *addr;
    c->source = (uint8_t)source;
    c->next = x->now;
    return c;
}

/* What a part of a tree learns the tree remembers, for the parts that come later. */
struct candidate *candidates_add(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE],
                                 const struct net_addr *addr, enum xfer_source source)
{
    struct swarm *parent = swarm_get(x, w->parent);
    if (parent && addr->port != 0)
        add_one(x, parent, key, addr, source);
    return add_one(x, w, key, addr, source);
}

void candidates_inherit(struct xfer *x, struct swarm *w)
{
    struct swarm *parent = swarm_get(x, w->parent);
    for (uint32_t i = 0; parent && i < parent->candidate_count; i++) {
        const struct candidate *c = &parent->candidates[i];
        if (c->fails == 0 && c->addr.port != 0)
            add_one(x, w, c->key, &c->addr, c->source);
    }
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
    struct swarm *parent = swarm_get(x, w->parent);
    struct candidate *known = parent ? candidates_find(parent, key) : NULL;
    if (known && pause <= CORE_SECONDS(1)) /* not reached, or of use: so it is for the tree's other parts */
        known->fails = pause == 0;
    if (pause != CORE_SECONDS(1)) {
        c->fails++;
        core_time backoff = BACKOFF << (c->fails < 8 ? c->fails : 8);
        backoff = backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX;
        pause = pause > backoff ? pause : backoff;
    } else {
        c->fails = 0; /* it had been of use */
    }
    c->next = x->now + rng_jitter(&x->rng, pause, 20);
    uint32_t most = rank_of(c->source) > 0 ? FAILS_MAX : FAILS_HEARSAY;
    if (c->fails > most && c->source != XFER_SOURCE_LINK)
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
        if (c->state != CHANNEL_OPEN || channel_of(c->session, w))
            continue;
        const struct candidate *known = candidates_find(parent, c->session->key);
        add_one(x, w, c->session->key, &c->session->dial_addr, known ? known->source : XFER_SOURCE_INCOMING);
    }
}

/* Whoever opens our content with us takes a channel too, so that strangers could take them all: a few are
 * kept for those we would ask ourselves. */
static bool channel_left(const struct xfer *x, const struct swarm *w, const struct candidate *c)
{
    if (w->channel_count < x->config->peers_per_swarm_max)
        return true;
    uint32_t ours = 0;
    list_each(node, &w->channels) ours += list_object(node, struct channel, in_swarm)->ours;
    return rank_of(c->source) > 0 && ours < RESERVED(x);
}

struct round {
    uint32_t dials;
    core_time next;
};

/* One candidate: opened over the session there is, or dialled. */
static void connect_one(struct xfer *x, struct swarm *w, struct candidate *c, struct session *s,
                        struct round *round)
{
    if (c->next > x->now) {
        round->next = core_time_min(round->next, c->next);
        return;
    }
    if (!s && round->dials == DIALS_AT_ONCE) {
        round->next = x->now;
        return;
    }
    bool hearsay = c->source == XFER_SOURCE_GOSSIP;
    core_time wait = !s && hearsay ? gossip_dial_wait(x, &c->addr) : 0;
    if (wait) {
        round->next = core_time_min(round->next, core_time_add(x->now, wait));
        return;
    }
    c->next = x->now + FULL_PAUSE; /* unless it goes well */
    if (!s) {
        s = session_dial(x, c->key, &c->addr, false);
        round->dials += s != NULL;
        if (s && hearsay)
            gossip_dialled(x, s);
    }
    if (s)
        channel_open(x, s, w);
}

void candidates_connect(struct xfer *x, struct swarm *w)
{
    if (!swarm_wants(w))
        return;
    add_from_parent(x, w);
    struct round round = {0, CORE_NEVER};
    for (uint32_t pass = 0; pass <= RANKS;
         pass++) { /* sessions that exist, then addresses, the best known first */
        for (uint32_t i = 0; i < w->candidate_count; i++) {
            struct candidate *c = &w->candidates[i];
            if (pass != 0 && rank_of(c->source) != RANKS - pass)
                continue;
            struct session *s = session_by_key(x, c->key);
            if ((s && channel_of(s, w)) || (!s && (pass == 0 || c->addr.port == 0)))
                continue;
            if (channel_left(x, w, c))
                connect_one(x, w, c, s, &round);
        }
    }
    w->connect_at = round.next;
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
