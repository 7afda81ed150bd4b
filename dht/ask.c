/* What this node asks others: requests out, answers matched, time-outs. */
#include "dht/diversity.h"
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

/* A request is padded so that three times its size holds a full list: until our address has echoed a token, the
 * other side may not send more (docs/protocol.md, "Amplification"). */
size_t dht_find_padding(const struct dht_node *n, enum dht_type type)
{
    size_t reply = DATAGRAM_MAX;
    bool both = n->tables[DHT_V4] && n->tables[DHT_V6];
    if (type == DHT_FIND && !both) {
        enum dht_family family = n->tables[DHT_V4] ? DHT_V4 : DHT_V6;
        reply = DATAGRAM_OVERHEAD + DHT_REPLY_HEAD + 8 + (size_t)n->config->k * DHT_NODE_WIRE(family);
        reply = reply > DATAGRAM_MAX ? DATAGRAM_MAX : reply;
    }
    return (reply + 2) / 3 - DATAGRAM_OVERHEAD;
}

static void contacted_add(struct dht_node *n, const struct net_addr *to)
{
    uint32_t h = dht_short_hash(n, NULL, to);
    for (int i = 0; i < 2; i++, h >>= 16)
        n->contacted[(h & 0xffff) / 64 % DHT_CONTACTED_WORDS] |= 1ull << (h & 63);
}

bool dht_send(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *to, const struct dht_message *m, size_t pad_to)
{
    uint8_t plain[DATAGRAM_PLAIN_MAX], sealed[DATAGRAM_MAX];
    core_assert(n->room > 0);
    size_t size = dht_message_write(plain, sizeof plain, m, pad_to);
    core_assert(size > 0);
    size = datagram_seal(&n->channel, key, plain, size, sealed);
    if (size == 0)
        return false;
    contacted_add(n, to);
    struct effect *x = effects_add(n->out, EFFECT_DATAGRAM);
    x->u.datagram.to = *to;
    memcpy(effects_reserve(n->out, x, (uint32_t)size), sealed, size);
    effects_commit(n->out, x, (uint32_t)size);
    n->room--;
    n->datagrams_out++;
    n->bytes_out += size;
    return true;
}

struct dht_pending *dht_ask(struct dht_node *n, enum dht_purpose purpose, const uint8_t key[NODE_KEY_SIZE], uint64_t position,
                            const struct net_addr *addr, struct dht_message *m)
{
    enum dht_family family = dht_family_of(addr);
    if (!n->room || !n->tables[family])
        return NULL;
    const struct dht_contact *c = dht_table_find(n->tables[family], key, position);
    uint64_t rtt = c && net_addr_equal(&c->addr, addr) ? dht_rtt_unpack(c->rtt) : 0;
    struct dht_pending *p = dht_pending_add(&n->pending, n->config, n->env->crypto, n->secret, n->now, purpose, key, position, addr, rtt);
    if (!p)
        return NULL;
    memcpy(m->id, p->id, DHT_ID_SIZE);
    m->flags = n->config->unlisted ? DHT_FLAG_UNLISTED : 0;
    bool pads = m->type == DHT_FIND || m->type == DHT_GET || m->type == DHT_CALL;
    if (pads && m->type != DHT_CALL && n->tables[DHT_V4] && n->tables[DHT_V6])
        m->want = DHT_WANT(DHT_V4) | DHT_WANT(DHT_V6);
    if (dht_send(n, key, addr, m, pads ? dht_find_padding(n, m->type) : 0))
        return p;
    dht_pending_free(&n->pending, p);
    return NULL;
}

bool dht_ask_ping(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr)
{
    /* The other half of the slots is for lookups. */
    struct dht_message m = {.type = DHT_PING};
    return n->pending.used * 2 < n->pending.count && dht_ask(n, DHT_ASK_PING, key, position, addr, &m);
}

/* A hint is asked for ourselves at once: its answer is the challenge and brings our neighbours with it. */
bool dht_ask_hint(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    uint8_t target[DHT_KEY_SIZE];
    node_position(target, n->me->key, n->env->crypto);
    struct dht_message find = {.type = DHT_FIND, .key = target}, ping = {.type = DHT_PING};
    return dht_ask(n, DHT_ASK_HINT, key, dht_position_of(n, key), addr, n->joined ? &ping : &find) != NULL;
}

/* The first contact starts the look-up of ourselves; an answer to a hint is its first answer. */
static void join(struct dht_node *n, const struct dht_pending *p, uint64_t rtt_us, const struct dht_message *m)
{
    struct dht_lookup *l = n->lookups;
    while (l && l->mode != DHT_MODE_SELF)
        l = l->next;
    if (!l && !n->joined) {
        uint8_t position[DHT_KEY_SIZE];
        node_position(position, n->me->key, n->env->crypto);
        l = dht_lookup_start(n, DHT_MODE_SELF, position, n->config->k);
        if (!l)
            dht_timer_at_most(n, DHT_TIMER_ALONE, n->now + CORE_SECONDS(1));
    }
    if (!l || p->purpose != DHT_ASK_HINT)
        return;
    dht_lookup_add(l, n->config, p->key, p->position, &p->addr, 0, 0);
    struct dht_candidate *c = dht_lookup_find(l, p->key, &p->addr);
    if (!c || c->state != DHT_NEW)
        return;
    c->state = DHT_ASKED;
    l->asked++;
    dht_lookup_reply(n, l, p->key, &p->addr, rtt_us, m);
}

static void heed_votes(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, const struct dht_message *m)
{
    uint32_t voter = dht_short_hash(n, sender, from);
    if (m->has_observed && n->room && dht_vote_observed(&n->votes, voter, &m->observed))
        dht_notify(n, DHT_NOTICE_OBSERVED, 0)->u.notice.node.addr = n->votes.address;
    uint64_t median_ms;
    if (m->unix_s && n->room && dht_vote_clock(&n->votes, voter, n->now, m->unix_s, &median_ms))
        dht_notify(n, DHT_NOTICE_CLOCK, 0)->u.notice.a = median_ms;
}

/* A node that answered our challenge becomes a contact, unless it asked not to be listed. */
static void heed_contact(struct dht_node *n, const struct dht_pending *p, uint64_t rtt_us, const struct dht_message *m)
{
    struct dht_table *t = n->tables[dht_family_of(&p->addr)];
    if (m->flags & DHT_FLAG_UNLISTED)
        return;
    unsigned bucket = dht_table_bucket(t, p->position);
    enum dht_table_result r = dht_table_answered(t, p->key, p->position, &p->addr, rtt_us, dht_now_s(n));
    if (r == DHT_TABLE_ADDED) {
        dht_timer_at_most(n, DHT_TIMER_STALE, n->now + n->config->refresh); /* sooner, if somebody is stale sooner, it is set already */
        dht_challenge_forget(n, p->key, &p->addr); /* no stranger any more; it may have to be asked again when it fails */
        dht_handover_newcomer(n, dht_table_find(t, p->key, p->position));
    }
    if (r != DHT_TABLE_SPARED)
        return;
    /* Somebody waits for a place: is the longest silent one still there? */
    struct dht_contact *old = dht_table_oldest(t, bucket);
    if (old && n->room > 8 && dht_now_s(n) - old->answered_s >= n->config->check / 1000000u && dht_ask_ping(n, old->key, get_be64(old->position), &old->addr))
        old->flags |= DHT_CONTACT_CHECKED;
}

/* ---- Lost contacts ---- */

#define LOST_EVERY CORE_MINUTES(1)

static void lost_add(struct dht_node *n, const struct dht_pending *p)
{
    const struct core_alloc *alloc = n->env->alloc;
    if (!n->lost)
        n->lost = alloc->alloc(alloc->context, DHT_LOST * sizeof *n->lost);
    if (!n->lost)
        return; /* no memory: it is forgotten */
    for (int i = 0; i < DHT_LOST; i++)
        if (n->lost[i].addr.port && memcmp(n->lost[i].key, p->key, NODE_KEY_SIZE) == 0)
            return;
    struct node_addr *to = &n->lost[n->lost_next];
    memcpy(to->key, p->key, NODE_KEY_SIZE);
    to->addr = p->addr;
    n->lost_next = (uint8_t)((n->lost_next + 1) % DHT_LOST);
    dht_timer_at_most(n, DHT_TIMER_LOST, n->now + CORE_MS(rng_jitter(&n->rng, LOST_EVERY / 1000, 25)));
}

/* One a minute, in turn. Who was cut off with half of the network knows that half: without this, two halves that forgot each other stay apart. */
void dht_lost_step(struct dht_node *n)
{
    bool any = false;
    for (int tries = 0; n->lost && tries < DHT_LOST; tries++) {
        const struct node_addr *a = &n->lost[n->lost_asked];
        n->lost_asked = (uint8_t)((n->lost_asked + 1) % DHT_LOST);
        if (!a->addr.port)
            continue;
        any = true;
        if (!dht_pending_has(&n->pending, a->key))
            dht_ask_ping(n, a->key, dht_position_of(n, a->key), &a->addr);
        break;
    }
    n->timers[DHT_TIMER_LOST] = any ? n->now + CORE_MS(rng_jitter(&n->rng, LOST_EVERY / 1000, 25)) : CORE_NEVER;
}

/* It is back: its neighbours may be strangers to ours by now, so look for ourselves once more, and refresh every bucket in its turn. */
static void lost_answered(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE])
{
    for (int i = 0; n->lost && i < DHT_LOST; i++) {
        if (!n->lost[i].addr.port || memcmp(n->lost[i].key, key, NODE_KEY_SIZE) != 0)
            continue;
        memset(&n->lost[i], 0, sizeof n->lost[i]);
        uint8_t position[DHT_KEY_SIZE];
        node_position(position, n->me->key, n->env->crypto);
        if (n->joined && n->refreshing < 2)
            dht_lookup_start(n, DHT_MODE_SELF, position, n->config->k);
    }
}

int dht_on_reply(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, const struct dht_message *m)
{
    struct dht_pending *slot = dht_pending_match(&n->pending, m->id, sender, from);
    if (!slot) {
        n->unsolicited++;
        /* Too late is not never: a contact that was held up answers all at once, and would stay marked as failing. Strangers are no business
         * of this: who is always late would be asked for ever. */
        if (dht_table_find(n->tables[dht_family_of(from)], sender, dht_position_of(n, sender)))
            dht_consider(n, sender, from, m->flags);
        return ERR_UNSOLICITED;
    }
    struct dht_pending p = *slot;
    uint64_t rtt = dht_pending_answered(&n->pending, slot, n->now);
    n->last_heard = n->now;
    n->rtt_sum_us += rtt;
    n->rtt_count++;
    heed_contact(n, &p, rtt, m);
    lost_answered(n, sender);
    heed_votes(n, sender, from, m);
    if (p.lookup && p.purpose == DHT_ASK_LOOKUP)
        dht_lookup_reply(n, p.lookup, sender, from, rtt, m);
    else if (p.lookup && p.purpose == DHT_ASK_PUT)
        dht_put_reply(n, p.lookup, sender, from, m);
    else if (p.lookup && p.purpose == DHT_ASK_PAGE)
        dht_page_reply(n, p.lookup, &p, m);
    else if (p.purpose == DHT_ASK_CALL)
        dht_call_reply(n, &p, m);
    else if (p.purpose == DHT_ASK_HANDOVER)
        dht_handover_reply(n, m);
    if (!n->joined)
        join(n, &p, rtt, m);
    return 0;
}

static void contact_failed(struct dht_node *n, const struct dht_pending *p)
{
    struct dht_table *t = n->tables[dht_family_of(&p->addr)];
    bool link_alive = n->last_heard > p->sent;
    bool known = dht_table_find(t, p->key, p->position) != NULL;
    bool again = dht_table_failed(t, p->key, p->position, &p->addr, link_alive);
    struct dht_contact *c = dht_table_find(t, p->key, p->position);
    /* One that stays because nobody else answers either is asked by no look-up: the hourly refresh would be the first to find it again
     * (simnet's fuzz, seed 865). A hint that is silent, too: a node that starts while its network is cut in two would keep nobody of the
     * other half (seed 3081). */
    if (known ? !c || (!again && dht_contact_fails(c) >= DHT_FAILS_FLAKY) : p->purpose == DHT_ASK_HINT)
        lost_add(n, p);
    if (!known && p->purpose == DHT_ASK_PING)
        dht_challenge_forget(n, p->key, &p->addr);
    c = again && n->room > 8 ? c : NULL;
    if (c && !dht_pending_has(&n->pending, p->key) && dht_ask_ping(n, c->key, p->position, &c->addr))
        c->flags |= DHT_CONTACT_CHECKED;
    if (n->timers[DHT_TIMER_ALONE] == CORE_NEVER && dht_live(n) == 0) {
        n->alone_wait_ms = 1000;
        n->timers[DHT_TIMER_ALONE] = n->now + CORE_SECONDS(1);
    }
}

void dht_time_out(struct dht_node *n)
{
    for (struct dht_pending *slot; n->room > 8 && (slot = dht_pending_due(&n->pending, n->now));) {
        bool hard = n->now >= slot->hard;
        struct dht_pending p = *slot;
        if (hard)
            dht_pending_free(&n->pending, slot);
        if (p.lookup)
            dht_lookup_timeout(n, &p, hard);
        if (p.purpose == DHT_ASK_CALL)
            dht_call_timeout(n, &p);
        if (p.purpose == DHT_ASK_HANDOVER && hard)
            dht_handover_timeout(n);
        if (hard)
            contact_failed(n, &p);
    }
}
