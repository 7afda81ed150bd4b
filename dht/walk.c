/* Announcing by regions: one look-up finds the nodes around a stretch of the key space, then each of them gets, in few datagrams, the keys
 * of that stretch that it is closest to. A renewal first asks each holder whether what it has is exactly that (docs/protocol.md,
 * "Renewal"), so that ten thousand shares renew with some hundred datagrams. */
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

#define WALKS_PARALLEL        3
#define PUTS_PARALLEL         4
#define ROOM_RESERVE          8
#define WALK_BYTES_PER_SECOND (128 * 1024)
#define RENEW_LEAST           3 /* fewer keys are as cheap in full */
#define WITHDRAWALS_MAX       6 /* tries that reach nobody, in an hour: the records have expired by themselves */
#define GONE_PER_CALL         64

static void region_range(const struct dht_lookup *l, uint64_t *first, uint64_t *last)
{
    uint64_t mask = l->region_bits ? UINT64_MAX >> l->region_bits : UINT64_MAX;
    *first = l->target & ~mask;
    *last = l->target | mask;
}

/* As many leading bits as leave about half of k nodes in a region, so that its nodes and their neighbours fit one look-up. */
static uint8_t region_bits(uint32_t network_size, uint8_t k)
{
    uint8_t bits = 0;
    while (bits < 31 && network_size >> bits > k / 2u)
        bits++;
    return bits;
}

/* The next key of this walk from `*at` on; moves *at behind it. NULL at the end of the region. */
static struct dht_announced *walk_next(struct dht_node *n, const struct dht_lookup *l, uint64_t *at, bool *end)
{
    uint64_t first, last;
    region_range(l, &first, &last);
    while (!*end) {
        struct dht_announced *e = *at <= last ? dht_announce_from(&n->announce, *at) : NULL;
        uint64_t prefix = e ? get_be64(e->key) : UINT64_MAX;
        if (!e || prefix > last) {
            *end = true;
            return NULL;
        }
        *end = prefix == UINT64_MAX;
        *at = prefix + 1;
        if (e->walk == l->walk)
            return e;
    }
    return NULL;
}

static void walk_mark(struct dht_node *n, struct dht_lookup *l, bool urgent, uint32_t *count)
{
    uint64_t at, last;
    region_range(l, &at, &last);
    for (struct dht_announced *e; at <= last && (e = dht_announce_from(&n->announce, at));) {
        uint64_t prefix = get_be64(e->key);
        if (prefix > last)
            break;
        if (e->walk == 0 && e->gone == l->withdrawing && (!urgent || e->due_s == DHT_DUE_URGENT)) {
            e->walk = l->walk;
            e->stored = 0;
            l->renewing = l->renewing || e->stored_before;
            dht_announce_set_due(&n->announce, e, DHT_DUE_NEVER);
            (*count)++;
        }
        if (prefix == UINT64_MAX)
            break;
        at = prefix + 1;
    }
}

static uint32_t retry_s(const struct dht_announced *e)
{
    return e->failures < 5 ? 60u << e->failures : 1800;
}

static void gone_in_vain(struct dht_node *n, struct dht_announced *e)
{
    if (e->failures >= WITHDRAWALS_MAX) {
        dht_announce_remove(&n->announce, e->key);
        return;
    }
    uint32_t wait_s = retry_s(e);
    e->failures++;
    dht_announce_set_due(&n->announce, e, dht_now_s(n) + wait_s);
}

/* Nobody to tell: whoever waits for an urgent one is told so, the rest waits. False: enough for this call. */
static bool walk_alone(struct dht_node *n, struct dht_announced *e, uint32_t *gone)
{
    if (e->gone && ++*gone <= GONE_PER_CALL) {
        gone_in_vain(n, e);
        return true;
    }
    if (e->op == 0 || n->room <= ROOM_RESERVE) {
        n->timers[DHT_TIMER_ANNOUNCE] = n->now + (e->op ? 0 : e->gone ? CORE_SECONDS(1) : CORE_SECONDS(10));
        return false;
    }
    dht_notify(n, DHT_NOTICE_ANNOUNCED, e->op)->u.notice.status = ERR_NOT_FOUND;
    e->op = 0;
    dht_announce_set_due(&n->announce, e, dht_now_s(n) + 1);
    return true;
}

void dht_walk_start(struct dht_node *n)
{
    struct dht_announced *e;
    uint32_t gone = 0;
    n->timers[DHT_TIMER_ANNOUNCE] = CORE_NEVER;
    while (n->walking < WALKS_PARALLEL && (e = dht_announce_due(&n->announce, dht_now_s(n)))) {
        if (!n->joined || dht_live(n) == 0) {
            if (!walk_alone(n, e, &gone))
                return;
            continue;
        }
        struct dht_lookup *l = dht_lookup_start(n, DHT_MODE_ANNOUNCE, e->key, n->config->k);
        if (!l) {
            n->timers[DHT_TIMER_ANNOUNCE] = n->now + CORE_SECONDS(1);
            return;
        }
        n->walk_next = (uint16_t)(n->walk_next == UINT16_MAX ? 1 : n->walk_next + 1);
        l->kind = DHT_PROVIDER;
        l->walk = n->walk_next;
        l->op = e->op;
        l->withdrawing = e->gone;
        l->region_bits = region_bits(dht_network_size(n), n->config->k);
        uint64_t last;
        region_range(l, &l->region_cursor, &last);
        uint32_t count = 0;
        walk_mark(n, l, e->due_s == DHT_DUE_URGENT, &count);
        core_assert(count > 0);
        if (count > 1 || l->withdrawing)
            l->width = (uint16_t)(2 * n->config->k);
    }
    if (n->walking < WALKS_PARALLEL)
        dht_timer_at_most(n, DHT_TIMER_ANNOUNCE, dht_time_of(n, n->announce.next_due_s));
}

/* Is `c` one of those that should hold this key: among the closest that answered, or anybody in a region found too dense? A withdrawal goes
 * to twice as many: nodes that came since then have pushed holders outwards. */
static bool holds(const struct dht_node *n, const struct dht_lookup *l, const struct dht_candidate *c, const struct dht_announced *e)
{
    uint64_t key = get_be64(e->key), mine = c->position ^ key;
    uint32_t nearer = 0;
    if (l->radius && mine <= l->radius)
        return true;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct dht_candidate *other = &l->candidates[i];
        nearer += other->state == DHT_ANSWERED && other->family == c->family && (other->position ^ key) < mine;
    }
    return nearer < n->config->replicas[DHT_PROVIDER] * (l->withdrawing ? 2u : 1u);
}

/* Everything of this region that `c` should hold, as a count and a sum; the same sum is made by the holder. */
static uint32_t renew_sum(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, uint8_t out[DHT_RENEW_SIZE])
{
    uint64_t first, last, at;
    uint32_t count = 0;
    bool end = false;
    region_range(l, &first, &last);
    memset(out, 0, DHT_RENEW_SIZE);
    at = first;
    for (struct dht_announced *e; (e = walk_next(n, l, &at, &end));) {
        if (!holds(n, l, c, e))
            continue;
        count++;
        for (int i = 0; i < 16; i++)
            out[20 + i] ^= e->key[i];
    }
    put_be64(out, first);
    put_be64(out + 8, last);
    put_be32(out + 16, count);
    return count;
}

/* The keys of the next put to `c`. Returns how many; *next: where the one after begins; *end: there is none after. */
static uint32_t put_keys(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, uint8_t *out, uint64_t *next, bool *end)
{
    uint32_t count = 0;
    *next = c->cursor;
    *end = false;
    for (struct dht_announced *e; count < DHT_PUT_KEYS_MAX && (e = walk_next(n, l, next, end));)
        if (holds(n, l, c, e))
            memcpy(out + DHT_KEY_SIZE * count++, e->key, DHT_KEY_SIZE);
    return count;
}

static bool bandwidth(struct dht_node *n)
{
    core_time elapsed = core_time_min(n->now - n->walk_at, CORE_SECONDS(1));
    n->walk_left += (int64_t)elapsed * WALK_BYTES_PER_SECOND / 1000000;
    n->walk_at = n->now;
    if (n->walk_left > WALK_BYTES_PER_SECOND)
        n->walk_left = WALK_BYTES_PER_SECOND;
    if (n->walk_left > 0)
        return true;
    dht_timer_at_most(n, DHT_TIMER_AGAIN, n->now + CORE_MS(20));
    return false;
}

/* False: nothing could be sent now. */
static bool put_send(struct dht_node *n, struct dht_lookup *l, struct dht_candidate *c)
{
    uint8_t keys[DHT_PUT_KEYS_MAX * DHT_KEY_SIZE], renew[DHT_RENEW_SIZE];
    uint64_t next, first, last;
    bool end;
    struct dht_message m = {.type = DHT_PUT, .kind = DHT_PROVIDER, .has_token = true, .has_port = n->stream_port != 0, .port = n->stream_port};
    memcpy(m.token, c->token, DHT_TOKEN_SIZE);
    region_range(l, &first, &last);
    if (c->cursor < first)
        c->cursor = first;
    uint32_t count = 0;
    uint8_t renewal = DHT_RENEW_NONE;
    if (l->renewing && c->renew == DHT_RENEW_NONE && c->cursor == first) {
        count = renew_sum(n, l, c, renew);
        renewal = count >= RENEW_LEAST ? DHT_RENEW_SENT : DHT_RENEW_NONE;
        m.renew = bytes_of(renew, renewal ? sizeof renew : 0);
    }
    if (!renewal) {
        count = put_keys(n, l, c, keys, &next, &end);
        *(l->withdrawing ? &m.withdraw : &m.keys) = bytes_of(keys, count * DHT_KEY_SIZE);
    }
    if (count == 0) {
        c->store = DHT_STORE_STORED;
        return true;
    }
    uint64_t before = n->bytes_out;
    struct dht_pending *p = dht_ask(n, DHT_ASK_PUT, c->key, c->position, &c->addr, &m);
    if (!p)
        return false;
    n->walk_left -= (int64_t)(n->bytes_out - before);
    p->lookup = l;
    c->store = DHT_STORE_SENT;
    c->renew = renewal ? renewal : c->renew ? DHT_RENEW_DIFFERS : DHT_RENEW_NONE;
    c->put_count = (uint16_t)count;
    if (c->tries == 0 && c->cursor == first && c->renew != DHT_RENEW_DIFFERS)
        l->store_asked++;
    c->tries++;
    return true;
}

bool dht_walk_store(struct dht_node *n, struct dht_lookup *l)
{
    struct dht_candidate *c;
    uint32_t flying = 0;
    bool waiting = false;
    for (uint32_t i = 0; (c = dht_lookup_holder(l, i)); i++)
        flying += c->store == DHT_STORE_SENT;
    for (uint32_t i = 0; (c = dht_lookup_holder(l, i)); i++) {
        if (c->store != DHT_STORE_NONE || !c->has_token)
            continue;
        if (n->room <= ROOM_RESERVE) {
            n->timers[DHT_TIMER_AGAIN] = n->now;
            return false;
        }
        if (flying >= PUTS_PARALLEL || !bandwidth(n) || !put_send(n, l, c)) {
            waiting = true;
            break;
        }
        flying += c->store == DHT_STORE_SENT;
    }
    return flying == 0 && !waiting;
}

static void count_stored(struct dht_announced *e)
{
    if (e->stored < UINT8_MAX)
        e->stored++;
}

static void renew_reply(struct dht_node *n, struct dht_lookup *l, struct dht_candidate *c, int status)
{
    c->tries = 0;
    if (status) {
        c->renew = DHT_RENEW_DIFFERS;
        c->store = DHT_STORE_NONE;
        return;
    }
    uint64_t at, last;
    bool end = false;
    region_range(l, &at, &last);
    for (struct dht_announced *e; (e = walk_next(n, l, &at, &end));)
        if (holds(n, l, c, e))
            count_stored(e);
    c->store = DHT_STORE_STORED;
    l->stored++;
}

void dht_walk_reply(struct dht_node *n, struct dht_lookup *l, struct dht_candidate *c, const struct dht_message *m)
{
    if (c->renew == DHT_RENEW_SENT) {
        renew_reply(n, l, c, m->status ? m->status : m->results.size ? -(int)m->results.data[0] : ERR_MALFORMED);
        return;
    }
    if (m->status || m->results.size == 0) {
        c->store = DHT_STORE_REFUSED;
        dht_refused(n, l, c, m->status ? m->status : ERR_MALFORMED);
        return;
    }
    uint8_t keys[DHT_PUT_KEYS_MAX * DHT_KEY_SIZE];
    uint64_t next;
    bool end;
    int refusal = 0;
    uint32_t count = put_keys(n, l, c, keys, &next, &end);
    for (uint32_t i = 0; i < count && i < m->results.size && i < c->put_count; i++) {
        struct dht_announced *e = dht_announce_find(&n->announce, keys + i * DHT_KEY_SIZE);
        if (m->results.data[i] == 0 || (l->withdrawing && m->results.data[i] == -ERR_NOT_FOUND))
            count_stored(e);
        else if (!refusal)
            refusal = -(int)m->results.data[i];
    }
    if (refusal)
        dht_refused(n, l, c, refusal);
    c->cursor = next;
    c->tries = 0;
    c->store = end || count < DHT_PUT_KEYS_MAX ? DHT_STORE_STORED : DHT_STORE_NONE;
    if (c->store == DHT_STORE_STORED)
        l->stored++;
}

/* A walk ended that was not what its key wants now, or one that withdrew it. */
static void gone_finish(struct dht_node *n, struct dht_lookup *l, struct dht_announced *e)
{
    bool told = e->stored != 0;
    e->walk = 0;
    e->stored = 0;
    if (!l->withdrawing || !e->gone)
        dht_announce_set_due(&n->announce, e, dht_now_s(n));
    else if (told)
        dht_announce_remove(&n->announce, e->key);
    else
        gone_in_vain(n, e);
}

static void key_finish(struct dht_node *n, struct dht_lookup *l, struct dht_announced *e, uint32_t due_s, uint32_t holders)
{
    if (l->withdrawing || e->gone) {
        gone_finish(n, l, e);
        return;
    }
    n->announce.stored_count += (e->stored != 0) - (e->stored_before != 0);
    e->stored_before = e->stored;
    e->walk = 0;
    uint32_t wait_s = retry_s(e);
    e->failures = (uint8_t)(e->stored ? 0 : e->failures + (e->failures < UINT8_MAX));
    dht_announce_set_due(&n->announce, e, e->stored ? due_s : dht_now_s(n) + wait_s);
    if (!e->op)
        return;
    struct effect *x = dht_notify(n, DHT_NOTICE_ANNOUNCED, e->op);
    x->u.notice.status = e->stored ? 0 : l->status ? l->status : ERR_TIMEOUT;
    x->u.notice.a = e->stored;
    x->u.notice.b = holders;
    e->op = 0;
}

bool dht_walk_finish(struct dht_node *n, struct dht_lookup *l)
{
    uint32_t renew_s = (uint32_t)(n->config->provider_renew / 1000000u), holders = 0;
    uint32_t due_s = dht_now_s(n) + renew_s - rng_below(&n->rng, renew_s / 10 + 1);
    while (holders < n->config->replicas[DHT_PROVIDER] && dht_lookup_holder(l, holders))
        holders++;
    bool end = false;
    for (struct dht_announced *e; n->room > ROOM_RESERVE && (e = walk_next(n, l, &l->region_cursor, &end));)
        key_finish(n, l, e, due_s, holders);
    return end;
}
