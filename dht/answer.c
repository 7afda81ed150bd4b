/* What others ask of this node: every request is answered from state at hand, in one datagram, or dropped. */
#include "dht/diversity.h"
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

#define UPLOAD_BURST_SECONDS 4

struct answer { /* buffers that the reply's spans point into */
    struct dht_message reply;
    size_t left; /* plaintext bytes that may still be used */
    uint8_t contacts[DHT_FAMILIES][DATAGRAM_MAX];
    uint8_t providers[DHT_FAMILIES][DATAGRAM_MAX];
    uint8_t records[DHT_REPLY_RECORDS_MAX][DHT_RECORD_WIRE_MAX];
    uint8_t results[DHT_PUT_KEYS_MAX + 4];
};

bool dht_scope_tellable(const struct net_addr *other, const struct net_addr *told)
{
    enum net_scope theirs = net_addr_scope(other), scope = net_addr_scope(told);
    if (scope == NET_SCOPE_GLOBAL)
        return true;
    return scope == NET_SCOPE_LOOPBACK ? theirs == NET_SCOPE_LOOPBACK : theirs != NET_SCOPE_GLOBAL;
}

/* Own reply bandwidth: a bucket of bytes that may be overdrawn by one reply. */
static bool upload_allowed(struct dht_node *n)
{
    int64_t rate = n->config->upload_bytes_per_second;
    if (rate == 0)
        return true;
    uint64_t elapsed = n->now - n->upload_at, full = UPLOAD_BURST_SECONDS * 1000000ull;
    n->upload_left += (int64_t)(elapsed > full ? full : elapsed) * rate / 1000000;
    n->upload_at = n->now;
    if (n->upload_left > UPLOAD_BURST_SECONDS * rate)
        n->upload_left = UPLOAD_BURST_SECONDS * rate;
    return n->upload_left > 0;
}

static void add_contacts(struct dht_node *n, struct answer *a, enum dht_family family, const uint8_t key[DHT_KEY_SIZE],
                         const uint8_t asker[NODE_KEY_SIZE], const struct net_addr *from, uint32_t max)
{
    const struct dht_contact *closest[DHT_K_MAX + 1];
    if (!n->tables[family])
        return;
    uint32_t want = n->config->k + 1u;
    uint32_t found = dht_table_closest(n->tables[family], get_be64(key), false, closest, want > DHT_K_MAX + 1 ? DHT_K_MAX + 1 : want);
    uint32_t count = 0, stride = DHT_NODE_WIRE(family);
    for (uint32_t i = 0; i < found && count < max && a->left >= stride + 4; i++) {
        if (memcmp(closest[i]->key, asker, NODE_KEY_SIZE) == 0 || !dht_scope_tellable(from, &closest[i]->addr))
            continue;
        dht_node_to_wire(a->contacts[family] + count++ * stride, family, closest[i]->key, &closest[i]->addr);
        a->left -= stride + (count == 1 ? 4 : 0);
    }
    a->reply.contacts[family] = bytes_of(a->contacts[family], count * stride);
}

static void add_contact_lists(struct dht_node *n, struct answer *a, const struct dht_message *m, const uint8_t asker[NODE_KEY_SIZE],
                              const struct net_addr *from, uint32_t max)
{
    enum dht_family own = dht_family_of(from);
    uint32_t want = m->want & (DHT_WANT(DHT_V4) | DHT_WANT(DHT_V6));
    if (want == 0)
        want = DHT_WANT(own);
    bool both = want == (DHT_WANT(DHT_V4) | DHT_WANT(DHT_V6));
    if (want & DHT_WANT(own))
        add_contacts(n, a, own, m->key, asker, from, both ? (max * 2 + 2) / 3 : max);
    if (want & DHT_WANT(1 - own))
        add_contacts(n, a, 1 - own, m->key, asker, from, max);
}

/* A random stretch of what is held, as much as fits: askers of many holders see them all. */
static void add_providers(struct dht_node *n, struct answer *a, const struct dht_message *m, const uint8_t asker[NODE_KEY_SIZE],
                          const struct net_addr *from)
{
    uint32_t held = 0, counts[DHT_FAMILIES] = {0};
    for (const struct dht_stored *r = dht_storage_first(&n->storage, DHT_PROVIDER, m->key); r; r = dht_storage_next(r))
        held++;
    size_t reserve = (size_t)n->config->k / 2 * DHT_NODE_WIRE(dht_family_of(from)) + 8;
    uint32_t skip = held ? rng_below(&n->rng, held) : 0, index = 0, all = 0;
    for (int round = 0; round < 2 && held; round++, index = 0)
        for (const struct dht_stored *r = dht_storage_first(&n->storage, DHT_PROVIDER, m->key); r; r = dht_storage_next(r), index++) {
            enum dht_family f = dht_family_of(&r->addr);
            size_t stride = DHT_NODE_WIRE(f);
            if ((round == 0) != (index >= skip) || a->left < stride + 4 + reserve || r->expires_s <= dht_now_s(n) ||
                memcmp(r->publisher, asker, NODE_KEY_SIZE) == 0 || !dht_scope_tellable(from, &r->addr))
                continue;
            dht_node_to_wire(a->providers[f] + counts[f]++ * stride, f, r->publisher, &r->addr);
            a->left -= stride + (counts[f] == 1 ? 4 : 0);
            all++;
        }
    for (int f = 0; f < DHT_FAMILIES; f++)
        a->reply.providers[f] = bytes_of(a->providers[f], counts[f] * DHT_NODE_WIRE(f));
    if (all < held)
        a->reply.held = held;
    const struct dht_announced *own = dht_announce_find(&n->announce, m->key);
    if (own && !own->gone) {
        a->reply.has_self = true;
        a->reply.self_port = n->stream_port;
    }
}

static void add_records(struct dht_node *n, struct answer *a, const struct dht_message *m)
{
    uint32_t held = 0;
    for (const struct dht_stored *r = dht_storage_first(&n->storage, (uint8_t)m->kind, m->key); r; r = dht_storage_next(r))
        held++;
    /* An asker who names a place pages through all; others get a random stretch, so that askers of many holders see them all. */
    uint32_t skip = m->first ? m->first - 1 : held ? rng_below(&n->rng, held) : 0, index = 0;
    for (int round = 0; round < (m->first ? 1 : 2) && held; round++, index = 0)
        for (const struct dht_stored *r = dht_storage_first(&n->storage, (uint8_t)m->kind, m->key); r; r = dht_storage_next(r), index++) {
            uint32_t i = a->reply.record_count;
            if ((round == 0) != (index >= skip) || i == DHT_REPLY_RECORDS_MAX || a->left < r->size + 8u || r->expires_s <= dht_now_s(n))
                continue;
            dht_stored_copy(r, a->records[i]);
            a->reply.records[i] = bytes_of(a->records[i], r->size);
            a->reply.record_count++;
            a->left -= r->size + 8u;
        }
    if (a->reply.record_count < held)
        a->reply.held = held;
}

static int put_signed(struct dht_node *n, const struct net_addr *from, const struct dht_message *m)
{
    struct dht_record_view view;
    int status = dht_record_read(&view, m->record);
    if (status)
        return status;
    if (view.kind != m->kind)
        return ERR_MALFORMED;
    uint32_t life_s = dht_record_life_s(n, view.kind, view.sequence, view.expiry_s);
    if (life_s == 0)
        return ERR_EXPIRED;
    /* The cheap refusals first: a signature costs 50 us. */
    const struct dht_stored *old = dht_storage_find(&n->storage, view.kind, m->key, view.publisher);
    if (old && old->sequence > view.sequence)
        return ERR_STALE;
    status = dht_record_verify(&view, m->key, n->network, n->env->crypto);
    if (status)
        return status;
    return dht_storage_put_signed(&n->storage, dht_now_s(n), &view, m->record, m->key, from, life_s, dht_republish_at(n, view.kind));
}

/* "Renew what you hold of mine between first and last, if it is exactly this." */
static int renew(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *addr, const struct dht_message *m,
                 uint32_t life_s)
{
    const uint8_t *w = m->renew.data;
    uint64_t first = get_be64(w), last = get_be64(w + 8);
    uint32_t count = 0;
    uint8_t sum[16] = {0};
    n->upload_left -= n->storage.count; /* a look at everything we hold is paid like as many bytes */
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < n->storage.count; i++) {
            struct dht_stored *r = n->storage.heap[i];
            uint64_t at = get_be64(r->key);
            if (r->kind != DHT_PROVIDER || at < first || at > last || memcmp(r->publisher, sender, NODE_KEY_SIZE) != 0 ||
                r->expires_s <= dht_now_s(n))
                continue;
            if (pass) { /* the heap is put right below, all at once */
                r->expires_s = dht_now_s(n) + life_s;
                r->addr = *addr;
                continue;
            }
            count++;
            for (int b = 0; b < 16; b++)
                sum[b] ^= r->key[b];
        }
        if (!pass && (count == 0 || count != get_be32(w + 16) || memcmp(sum, w + 20, 16) != 0))
            return ERR_NOT_FOUND;
    }
    dht_storage_reorder(&n->storage);
    return 0;
}

/* What a provider sends of its own keys. Returns the number of results. */
static size_t put_providers(struct dht_node *n, struct answer *a, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                            const struct dht_message *m)
{
    uint32_t life_s = (uint32_t)(n->config->provider_life / 1000000u);
    struct net_addr addr = *from;
    size_t count = 0;
    if (m->has_port && m->port)
        addr.port = m->port;
    if (m->renew.size) {
        a->results[count++] = (uint8_t)-renew(n, sender, &addr, m, life_s);
        return count;
    }
    for (; count * DHT_KEY_SIZE < m->keys.size && count < DHT_PUT_KEYS_MAX; count++)
        a->results[count] = (uint8_t)-dht_storage_put_provider(&n->storage, dht_now_s(n), m->keys.data + count * DHT_KEY_SIZE, sender, &addr,
                                                               from, life_s);
    if (count) /* never both in one put */
        return count;
    for (; count * DHT_KEY_SIZE < m->withdraw.size && count < DHT_PUT_KEYS_MAX; count++) {
        bool held = dht_storage_remove(&n->storage, DHT_PROVIDER, m->withdraw.data + count * DHT_KEY_SIZE, sender);
        a->results[count] = (uint8_t)-(held ? 0 : ERR_NOT_FOUND);
    }
    return count;
}

static void answer_put(struct dht_node *n, struct answer *a, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                       const struct dht_message *m, bool token_valid)
{
    size_t count = 0;
    if (!token_valid) {
        a->reply.status = ERR_AUTH;
        return;
    }
    if (m->kind == DHT_PROVIDER) {
        count = put_providers(n, a, sender, from, m);
    } else if (m->kind == DHT_PROFILE || m->kind == DHT_NICK || m->kind == DHT_KEYWORD) {
        if (m->key && m->record.size)
            a->results[count++] = (uint8_t)-put_signed(n, from, m);
    } else {
        a->reply.status = ERR_UNSUPPORTED;
        return;
    }
    if (count == 0)
        a->reply.status = ERR_MALFORMED;
    a->reply.results = bytes_of(a->results, count);
    dht_timer_at_most(n, DHT_TIMER_EXPIRE, dht_time_of(n, dht_storage_expiry(&n->storage)));
    dht_timer_at_most(n, DHT_TIMER_REPUBLISH, n->now + n->config->profile_republish / 64);
}

static void answer_get(struct dht_node *n, struct answer *a, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                       const struct dht_message *m)
{
    if (m->kind == DHT_PROVIDER)
        add_providers(n, a, m, sender, from);
    else if (m->kind == DHT_PROFILE || m->kind == DHT_NICK || m->kind == DHT_KEYWORD)
        add_records(n, a, m);
    else
        a->reply.status = ERR_UNSUPPORTED;
    add_contact_lists(n, a, m, sender, from, n->config->k);
}

#define CHALLENGED_FOR_S 60

/* A stranger that can be listed, or a contact that failed, is challenged at most once or twice a minute; only its answer makes it a contact. Not once for good: the
 * one ping may be lost, and in a network of a few nodes nobody else pushes it out of the list (simnet's fuzz, seed 312). */
void dht_consider(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, uint32_t flags)
{
    if (flags & DHT_FLAG_UNLISTED || n->room <= 8 || net_addr_scope(from) == NET_SCOPE_INVALID)
        return;
    uint64_t position = dht_position_of(n, sender);
    struct dht_table *t = n->tables[dht_family_of(from)];
    if (!dht_table_wants(t, sender, position, from) || dht_pending_has(&n->pending, sender))
        return;
    uint32_t hash = dht_short_hash(n, sender, from);
    if (dht_now_s(n) - n->challenged_s >= CHALLENGED_FOR_S) {
        memset(n->challenged, 0, sizeof n->challenged);
        n->challenged_s = dht_now_s(n);
    }
    for (int i = 0; i < DHT_CHALLENGED; i++)
        if (n->challenged[i] == hash)
            return;
    if (!dht_ask_ping(n, sender, position, from))
        return;
    n->challenged[n->challenged_next] = hash;
    n->challenged_next = (uint8_t)((n->challenged_next + 1) % DHT_CHALLENGED);
}

/* It did not answer in time, which says little of a node that is just starting: its next request is challenged anew. Costs no more than that
 * request did. */
void dht_challenge_forget(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    uint32_t hash = dht_short_hash(n, key, addr);
    for (int i = 0; i < DHT_CHALLENGED; i++)
        if (n->challenged[i] == hash)
            n->challenged[i] = 0;
}

static void note_unsolicited(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from)
{
    uint32_t h = dht_short_hash(n, NULL, from);
    bool contacted = true;
    for (int i = 0; i < 2; i++, h >>= 16)
        contacted = contacted && (n->contacted[(h & 0xffff) / 64 % DHT_CONTACTED_WORDS] >> (h & 63) & 1);
    if (!contacted && !dht_table_find(n->tables[dht_family_of(from)], sender, dht_position_of(n, sender)))
        n->unsolicited_seen = true;
}

void dht_reply_head(struct dht_node *n, struct dht_message *reply, uint8_t type, const uint8_t id[DHT_ID_SIZE], const uint8_t sender[NODE_KEY_SIZE],
                    const struct net_addr *from)
{
    memset(reply, 0, sizeof *reply);
    reply->type = type;
    reply->reply = true;
    memcpy(reply->id, id, DHT_ID_SIZE);
    reply->flags = n->config->unlisted ? DHT_FLAG_UNLISTED : 0;
    reply->has_token = true;
    dht_token_make(reply->token, n->env->crypto, n->secret, n->config->token_period, n->now, from, sender);
    reply->has_observed = true;
    reply->observed = *from;
    reply->unix_s = dht_vote_unix_ms(&n->votes, n->now) / 1000;
}

int dht_on_request(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, size_t size,
                   const struct dht_message *m)
{
    if (!n->unsolicited_seen)
        note_unsolicited(n, sender, from);
    if (!upload_allowed(n)) {
        n->over_quota++;
        return ERR_QUOTA;
    }
    struct answer a;
    bool token_valid = m->has_token && dht_token_valid(m->token, n->env->crypto, n->secret, n->config->token_period, n->now, from, sender);
    size_t limit = token_valid || 3 * size > DATAGRAM_MAX ? DATAGRAM_MAX : 3 * size;
    a.left = limit - DATAGRAM_OVERHEAD - DHT_REPLY_HEAD;
    if (limit < DATAGRAM_OVERHEAD + DHT_REPLY_HEAD)
        return ERR_MALFORMED; /* no request of ours is so short */
    if (m->type == DHT_CALL) {
        dht_consider(n, sender, from, m->flags);
        return dht_on_call(n, sender, from, limit, m);
    }
    dht_reply_head(n, &a.reply, m->type, m->id, sender, from);
    if ((m->type == DHT_FIND || m->type == DHT_GET) && !m->key)
        a.reply.status = ERR_MALFORMED;
    else if (m->type == DHT_FIND)
        add_contact_lists(n, &a, m, sender, from, n->config->k);
    else if (m->type == DHT_GET)
        answer_get(n, &a, sender, from, m);
    else if (m->type == DHT_PUT)
        answer_put(n, &a, sender, from, m, token_valid);
    else if (m->type != DHT_PING)
        a.reply.status = ERR_UNSUPPORTED;
    uint64_t before = n->bytes_out;
    dht_send(n, sender, from, &a.reply, 0);
    core_assert(n->bytes_out - before <= limit);
    n->upload_left -= (int64_t)(n->bytes_out - before);
    dht_consider(n, sender, from, m->flags);
    return 0;
}
