/* This node's profile: signed with a sequence that only grows, stored in the DHT, told at once to those who watch this node. */
#include "node/names/naming_internal.h"

#define PUBLISH_SOON   CORE_MS(20) /* several changes at once are one publication */
#define PUBLISH_AGAIN  CORE_SECONDS(5)
#define PUBLISH_SLOW   CORE_MINUTES(10)
#define PUSH_TRIES     3
#define RENEW_AFTER    CORE_HOURS(24)

void naming_set_sequence_floor(struct naming *n, uint64_t sequence)
{
    if (sequence > n->sequence_floor)
        n->sequence_floor = sequence;
}

/* The value's bytes are what is compared: a change that nobody can see is none. */
static bool same(const struct profile *a, const struct profile *b)
{
    uint8_t va[DHT_VALUE_MAX], vb[DHT_VALUE_MAX];
    size_t sa = profile_write(va, sizeof va, a), sb = profile_write(vb, sizeof vb, b);
    return sa == sb && memcmp(va, vb, sa) == 0;
}

void naming_set_profile(struct naming *n, core_time now, const struct profile *p)
{
    if (n->own_set && same(&n->own.profile, p))
        return;
    n->nick_dirty = n->nick_dirty || !n->own_set || strcmp(n->own.profile.nickname, p->nickname) != 0;
    n->own.profile = *p;
    n->own_set = n->own_dirty = true;
    n->publish_at = core_time_add(now, PUBLISH_SOON);
    n->publish_failures = 0;
    n->deadline = core_time_min(n->deadline, n->publish_at);
}

void naming_joined(struct naming *n, core_time now)
{
    if (!n->own_set)
        return;
    n->publish_at = now;
    n->nick_dirty = true;
    n->publish_failures = 0;
    n->deadline = now;
}

void naming_own(const struct naming *n, struct naming_own *out)
{
    *out = n->own;
    out->watchers = n->watcher_count;
    out->listed = n->list.count;
    out->words = n->list.word_count;
    out->words_stored = 0;
    for (uint32_t i = 0; i < n->list.word_count; i++)
        out->words_stored += n->list.words[i].stored;
}

/* ---- Signing and storing ---- */

static bool sign(struct naming *n, core_time now)
{
    uint8_t value[DHT_VALUE_MAX], key[DHT_KEY_SIZE];
    uint64_t unix_ms = naming_unix_ms(n, now), last = n->own.sequence > n->sequence_floor ? n->own.sequence : n->sequence_floor;
    if (unix_ms == 0)
        return false;
    uint64_t sequence = unix_ms > last ? unix_ms : last + 1;
    size_t size = profile_write(value, sizeof value, &n->own.profile);
    core_assert(size > 0);
    node_position(key, n->config.me->key, n->config.crypto);
    n->own_size = (uint16_t)dht_record_sign(n->own_record, sizeof n->own_record, DHT_PROFILE, key, sequence, unix_ms / 1000 + PROFILE_LIFE_S,
                                            bytes_of(value, size), n->config.me, n->config.network, n->config.crypto);
    core_assert(n->own_size > 0);
    n->own.sequence = sequence;
    n->own_dirty = false;
    return true;
}

static void own_put(struct naming *n, core_time now, struct effects *out)
{
    uint8_t key[DHT_KEY_SIZE];
    struct op *op = naming_op_take(n, OP_PUT_OWN);
    n->publish_at = core_time_add(now, RETRY);
    if (!op)
        return;
    node_position(key, n->config.me->key, n->config.crypto);
    int status = dht_put(n->config.dht, now, DHT_PROFILE, key, bytes_of(n->own_record, n->own_size), naming_op_number(n, op), out);
    if (status != 0) {
        naming_op_give(n, op);
        return;
    }
    n->own_putting = true;
    n->publish_at = CORE_NEVER;
}

static void nick_put(struct naming *n, core_time now, struct effects *out)
{
    uint8_t value[DHT_VALUE_MAX], key[DHT_KEY_SIZE], record[DHT_RECORD_WIRE_MAX];
    uint64_t unix_s = naming_unix_ms(n, now) / 1000;
    struct op *op = n->own.profile.nickname[0] && unix_s ? naming_op_take(n, OP_PUT_NICK) : NULL;
    n->nick_dirty = n->own.profile.nickname[0] && !op;
    if (!op)
        return;
    nick_key(key, n->own.profile.nickname, n->config.network, n->config.crypto);
    size_t size = nick_write(value, sizeof value, n->own.profile.nickname);
    size = dht_record_sign(record, sizeof record, DHT_NICK, key, n->own.sequence, unix_s + PROFILE_LIFE_S, bytes_of(value, size),
                           n->config.me, n->config.network, n->config.crypto);
    core_assert(size > 0);
    if (dht_put(n->config.dht, now, DHT_NICK, key, bytes_of(record, size), naming_op_number(n, op), out) == 0)
        return;
    n->nick_dirty = true;
    naming_op_give(n, op);
}

/* ---- Watchers ---- */

static struct watcher *watcher_find(struct naming *n, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint32_t i = 0; n->watchers && i < NAMING_WATCHERS_MAX; i++) {
        if (n->watchers[i].until && memcmp(n->watchers[i].node.key, key, NODE_KEY_SIZE) == 0)
            return &n->watchers[i];
    }
    return NULL;
}

static void watcher_drop(struct naming *n, struct watcher *w)
{
    w->until = 0;
    n->watcher_count--;
}

static void watcher_add(struct naming *n, core_time now, const struct node_addr *from, uint32_t seconds, uint64_t known)
{
    struct watcher *w = watcher_find(n, from->key);
    if (!n->watchers)
        n->watchers = naming_alloc(n, NAMING_WATCHERS_MAX * sizeof *n->watchers);
    for (uint32_t i = 0; n->watchers && !w && i < NAMING_WATCHERS_MAX; i++) {
        if (n->watchers[i].until > now)
            continue;
        n->watcher_count -= n->watchers[i].until != 0;
        w = &n->watchers[i];
        memset(w, 0, sizeof *w);
        n->watcher_count++;
    }
    if (!w)
        return; /* all taken: it will see the change when it asks again */
    w->node = *from;
    w->until = core_time_add(now, CORE_SECONDS(seconds < NAMING_WATCH_S ? seconds : NAMING_WATCH_S));
    w->told = known;
    w->tries = 0;
}

void naming_profile_asked(struct naming *n, core_time now, const struct node_addr *from, const struct ask_request *q, struct ask_answer *a)
{
    a->has_sequence = true;
    a->sequence = n->own_size ? n->own.sequence : 0;
    if (n->own_size && q->sequence < n->own.sequence)
        a->record = bytes_of(n->own_record, n->own_size);
    if (q->watch_s)
        watcher_add(n, now, from, q->watch_s, n->own_size ? n->own.sequence : q->sequence);
}

static void push(struct naming *n, core_time now, struct effects *out)
{
    uint8_t body[DHT_BODY_MAX];
    struct ask_request q = {.what = ASK_NEWS, .record = bytes_of(n->own_record, n->own_size)};
    size_t size = 0;
    for (uint32_t i = 0; n->watcher_count && i < NAMING_WATCHERS_MAX; i++) {
        struct watcher *w = &n->watchers[i];
        if (!w->until || w->calling || w->told >= n->own.sequence)
            continue;
        if (w->until < now || w->tries >= PUSH_TRIES) {
            watcher_drop(n, w);
            continue;
        }
        struct op *op = naming_op_count(n, OP_PUSH) < PUSHES_MAX && naming_room(n, out) ? naming_op_take(n, OP_PUSH) : NULL;
        if (!op)
            return;
        size = size ? size : ask_request_write(body, sizeof body, &q);
        op->ref = i;
        op->sequence = n->own.sequence;
        memcpy(op->key, w->node.key, NODE_KEY_SIZE);
        int status = dht_call(n->config.dht, now, &w->node, NAMING_SERVICE, bytes_of(body, size), naming_op_number(n, op), out);
        w->calling = status == 0;
        if (status == 0)
            continue;
        naming_op_give(n, op);
        if (!naming_later(n, status))
            watcher_drop(n, w);
    }
}

static void push_ended(struct naming *n, struct op *op, int status, struct bytes bytes)
{
    struct watcher *w = &n->watchers[op->ref];
    struct ask_answer a;
    bool same_node = w->until && memcmp(w->node.key, op->key, NODE_KEY_SIZE) == 0;
    uint64_t told = op->sequence;
    naming_op_give(n, op);
    if (!same_node)
        return;
    w->calling = false;
    if (status == ERR_TIMEOUT) {
        w->tries++;
    } else if (status != 0 || ask_answer_read(&a, bytes) != 0 || a.stop) {
        watcher_drop(n, w);
    } else {
        n->counters.pushed++;
        w->tries = 0;
        w->told = told;
    }
}

/* ---- Steps and ends ---- */

void naming_own_step(struct naming *n, core_time now, struct effects *out)
{
    if (!n->own_set)
        return;
    if (n->renew_at <= now) {
        n->own_dirty = n->nick_dirty = true;
        n->renew_at = CORE_NEVER;
        n->publish_at = now;
    }
    if (n->publish_at <= now && n->own_dirty && !sign(n, now)) {
        n->publish_at = core_time_add(now, PUBLISH_AGAIN); /* nobody knows the time yet */
        return;
    }
    if (n->publish_at <= now && !n->own_putting && naming_room(n, out))
        own_put(n, now, out);
    if (!n->own_size)
        return;
    if (n->nick_dirty && !n->own_dirty && naming_room(n, out))
        nick_put(n, now, out);
    push(n, now, out);
}

static void own_put_ended(struct naming *n, core_time now, const struct effect *x, struct effects *out)
{
    n->own_putting = false;
    n->own.stored = (uint32_t)x->u.notice.a;
    n->own.asked = (uint32_t)x->u.notice.b;
    struct effect *told = naming_notify(out, NAMING_NOTICE_PUBLISHED, 0);
    told->u.notice.status = x->u.notice.status;
    told->u.notice.a = x->u.notice.a;
    told->u.notice.b = x->u.notice.b;
    if (n->publish_at != CORE_NEVER)
        return; /* changed meanwhile: the next one follows */
    if (x->u.notice.a > 0) {
        n->publish_failures = 0;
        n->renew_at = core_time_add(now, rng_jitter(&n->rng, RENEW_AFTER, 10));
        return;
    }
    core_time wait = PUBLISH_AGAIN << (n->publish_failures < 7 ? n->publish_failures : 7);
    n->publish_failures++;
    n->publish_at = core_time_add(now, core_time_min(wait, PUBLISH_SLOW));
}

/* A holder has a newer profile of ours than we know: our clock went back, or the home came from a copy. Learn its sequence, go beyond it. */
static void overtaken(struct naming *n, core_time now, struct effects *out)
{
    uint8_t key[DHT_KEY_SIZE];
    if (naming_op_count(n, OP_GET_OWN) || !naming_room(n, out))
        return;
    struct op *op = naming_op_take(n, OP_GET_OWN);
    node_position(key, n->config.me->key, n->config.crypto);
    if (op && dht_get(n->config.dht, now, DHT_PROFILE, key, naming_op_number(n, op), out) != 0)
        naming_op_give(n, op);
}

void naming_own_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out)
{
    uint32_t kind = x->u.notice.kind;
    if (op->type == OP_PUSH && kind == DHT_NOTICE_ANSWER) {
        push_ended(n, op, x->u.notice.status, bytes);
    } else if (op->type == OP_PUT_OWN && kind == DHT_NOTICE_REFUSED && x->u.notice.status == ERR_STALE) {
        overtaken(n, now, out);
    } else if (op->type == OP_GET_OWN && kind == DHT_NOTICE_RECORD) {
        if (memcmp(x->u.notice.node.key, n->config.me->key, NODE_KEY_SIZE) == 0 && x->u.notice.a > n->own.sequence) {
            naming_set_sequence_floor(n, x->u.notice.a);
            n->own_dirty = n->nick_dirty = true;
            n->publish_at = now;
        }
    } else if (kind == DHT_NOTICE_DONE) {
        enum op_type type = op->type;
        naming_op_give(n, op);
        if (type == OP_PUT_OWN)
            own_put_ended(n, now, x, out);
    }
}
