/* Profiles of other nodes: kept at the highest sequence ever seen, looked for, watched, and, of pinned nodes, kept alive in the DHT. */
#include "node/names/naming_internal.h"

#define LOOK_PINNED  CORE_HOURS(1)
#define LOOK_WATCHED CORE_SECONDS(NAMING_WATCH_S - 20) /* before the watch at the other side ends */
#define LOOK_SLOWEST CORE_MINUTES(15)
#define PUT_EVERY    CORE_HOURS(24)

static uint32_t chain_of(const uint8_t key[NODE_KEY_SIZE])
{
    return key[0] % CHAINS;
}

struct peer *naming_peer_find(const struct naming *n, const uint8_t key[NODE_KEY_SIZE])
{
    struct peer *p = n->chains[chain_of(key)];
    while (p && memcmp(p->key, key, NODE_KEY_SIZE) != 0)
        p = p->next;
    return p;
}

static bool busy(const struct peer *p)
{
    return p->gets || p->calls || p->get_wanted || p->call_wanted;
}

static void peer_free(struct naming *n, struct peer *p)
{
    struct peer **at = &n->chains[chain_of(p->key)];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    n->peer_count--;
    n->pinned_count -= p->pinned;
    n->wanting -= p->get_wanted || p->call_wanted;
    naming_give(n, p->record);
    naming_give(n, p->profile);
    naming_give(n, p);
}

void naming_peers_free(struct naming *n)
{
    for (uint32_t i = 0; i < CHAINS; i++) {
        while (n->chains[i])
            peer_free(n, n->chains[i]);
    }
}

/* The one not used for the longest, among those nobody pinned and nothing is under way for. */
static void evict(struct naming *n)
{
    struct peer *oldest = NULL;
    for (uint32_t i = 0; i < CHAINS; i++) {
        for (struct peer *p = n->chains[i]; p; p = p->next) {
            if (!p->pinned && !busy(p) && (!oldest || p->used < oldest->used))
                oldest = p;
        }
    }
    if (oldest)
        peer_free(n, oldest);
}

static struct peer *peer_get(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE])
{
    struct peer *p = naming_peer_find(n, key);
    if (!p) {
        if (n->peer_count - n->pinned_count >= n->config.cache_max)
            evict(n);
        if (n->peer_count - n->pinned_count >= n->config.cache_max + NAMING_OPS_MAX / 2)
            return NULL; /* all of them are being looked for */
        p = naming_alloc(n, sizeof *p);
        if (!p)
            return NULL;
        memcpy(p->key, key, NODE_KEY_SIZE);
        p->look_at = p->put_at = CORE_NEVER;
        p->next = n->chains[chain_of(key)];
        n->chains[chain_of(key)] = p;
        n->peer_count++;
    }
    p->used = now;
    return p;
}

bool naming_peer(struct naming *n, const uint8_t key[NODE_KEY_SIZE], struct naming_peer *out)
{
    const struct peer *p = naming_peer_find(n, key);
    memset(out, 0, sizeof *out);
    if (!p)
        return false;
    *out = (struct naming_peer){.key = p->key, .pinned = p->pinned, .has_profile = p->profile != NULL, .looking = busy(p),
                                .sequence = p->sequence, .expiry_s = p->expiry_s, .confirmed = p->confirmed, .looked_for = p->looked_for, .profile = p->profile};
    return true;
}

static void wake_at(struct naming *n, core_time at)
{
    n->peers_at = core_time_min(n->peers_at, at);
    n->deadline = core_time_min(n->deadline, n->peers_at);
}

int naming_pin(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool pinned)
{
    struct peer *p = naming_peer_find(n, key);
    if (!p && !pinned)
        return 0;
    p = peer_get(n, now, key);
    if (!p)
        return ERR_NO_MEMORY;
    if (p->pinned == pinned)
        return 0;
    p->pinned = pinned;
    n->pinned_count += pinned ? 1u : UINT32_MAX;
    p->look_at = pinned ? core_time_add(now, rng_below(&n->rng, 5000000)) : CORE_NEVER;
    p->put_at = pinned ? core_time_add(now, rng_jitter(&n->rng, PUT_EVERY, 20)) : CORE_NEVER;
    if (pinned)
        wake_at(n, p->look_at);
    return 0;
}

/* ---- Taking a record ---- */

static void confirm(struct peer *p, core_time now)
{
    p->confirmed = now;
    p->failures = 0;
}

/* Everything but the keeping. *fresh: newer than what we have. */
static int judge(struct naming *n, core_time now, const struct peer *p, const uint8_t key[NODE_KEY_SIZE], struct bytes record, bool expired_too,
                 struct dht_record_view *view, struct profile *profile, bool *fresh)
{
    uint8_t position[DHT_KEY_SIZE];
    uint64_t unix_s = naming_unix_ms(n, now) / 1000;
    int status = dht_record_read(view, record);
    if (status != 0)
        return status;
    if (view->kind != DHT_PROFILE || memcmp(view->publisher, key, NODE_KEY_SIZE) != 0)
        return ERR_AUTH;
    uint64_t known = p ? p->sequence : 0;
    *fresh = view->sequence > known;
    if (view->sequence < known)
        return ERR_STALE;
    if (!*fresh && p->record && !bytes_equal(bytes_of(p->record, p->record_size), record))
        return ERR_STALE;
    if (!*fresh && p->record)
        return 0;
    *fresh = true;
    if (!expired_too && unix_s && view->expiry_s <= unix_s)
        return ERR_EXPIRED;
    node_position(position, key, n->config.crypto);
    status = dht_record_verify(view, position, n->config.network, n->config.crypto);
    return status ? status : profile_read(profile, view->value);
}

static void count(struct naming *n, int status)
{
    n->counters.taken += status == 0;
    n->counters.malformed += status == ERR_MALFORMED;
    n->counters.forged += status == ERR_AUTH;
    n->counters.expired += status == ERR_EXPIRED;
    n->counters.stale += status == ERR_STALE;
}

static int keep(struct naming *n, struct peer *p, const struct dht_record_view *view, struct bytes record, const struct profile *profile)
{
    uint8_t *copy = naming_alloc(n, record.size);
    struct profile *parsed = p->profile ? p->profile : naming_alloc(n, sizeof *parsed);
    if (!copy || !parsed) {
        naming_give(n, copy);
        if (!p->profile)
            naming_give(n, parsed);
        return ERR_NO_MEMORY;
    }
    memcpy(copy, record.data, record.size);
    naming_give(n, p->record);
    p->record = copy;
    p->record_size = (uint16_t)record.size;
    p->profile = parsed;
    *p->profile = *profile;
    p->sequence = view->sequence;
    p->expiry_s = view->expiry_s;
    p->tried = 0;
    return 0;
}

static int take(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], struct bytes record, bool restoring, struct effects *out)
{
    struct peer *p = naming_peer_find(n, key);
    struct dht_record_view view;
    struct profile profile;
    bool fresh = false;
    int status = judge(n, now, p, key, record, restoring, &view, &profile, &fresh);
    count(n, status);
    if (status != 0)
        return status;
    p = peer_get(n, now, key);
    if (!p)
        return ERR_NO_MEMORY;
    if (fresh) {
        status = keep(n, p, &view, record, &profile);
        if (status != 0)
            return status;
    }
    if (restoring)
        return 0;
    confirm(p, now);
    if (!fresh)
        return 0;
    struct effect *x = naming_notify(out, NAMING_NOTICE_PROFILE, 0);
    memcpy(x->u.notice.node.key, key, NODE_KEY_SIZE);
    x->u.notice.a = view.sequence;
    naming_notify_bytes(out, x, record.data, record.size);
    return 0;
}

int naming_take(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], struct bytes record, struct effects *out)
{
    return take(n, now, key, record, false, out);
}

int naming_restore(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool pinned, struct bytes record)
{
    int status = record.size ? take(n, now, key, record, true, NULL) : 0;
    return pinned ? naming_pin(n, now, key, true) : status;
}

void naming_news(struct naming *n, core_time now, const uint8_t from[NODE_KEY_SIZE], struct bytes record, struct ask_answer *a, struct effects *out)
{
    struct peer *p = naming_peer_find(n, from);
    a->stop = !p || (!p->watch && !p->pinned);
    if (a->stop)
        return; /* nobody here asked for it */
    take(n, now, from, record, false, out);
    a->has_sequence = true;
    a->sequence = p->sequence;
}

/* ---- Looking ---- */

static void want(struct naming *n, struct peer *p, bool get, bool call)
{
    n->wanting -= p->get_wanted || p->call_wanted;
    p->get_wanted = get;
    p->call_wanted = call;
    n->wanting += get || call;
}

/* Where to call it: where it is a contact of ours, then what its profile says. */
static bool next_address(const struct naming *n, struct peer *p, struct net_addr *out)
{
    for (; p->tried < CALL_ADDRESSES; p->tried++) {
        uint32_t i = p->tried;
        if (i == 0) {
            if (!dht_contact_find(n->config.dht, p->key, out))
                continue;
        } else if (!p->profile || i > p->profile->address_count) {
            continue;
        } else {
            *out = p->profile->addresses[i - 1];
        }
        if (naming_address_ok(n, out))
            return true;
    }
    return false;
}

/* A profile that is known: its node is asked, and only when that fails the DHT. One that is not: both at once. */
static void look(struct naming *n, core_time now, struct peer *p)
{
    struct net_addr addr;
    p->tried = 0;
    p->looked_for = now;
    p->looked = true;
    p->told = false;
    p->look_status = ERR_NOT_FOUND;
    bool callable = next_address(n, p, &addr);
    want(n, p, !p->profile || !callable, callable);
    n->deadline = now;
}

int naming_look(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool watch, struct effects *out)
{
    if (memcmp(key, n->config.me->key, NODE_KEY_SIZE) == 0)
        return ERR_RANGE;
    struct peer *p = peer_get(n, now, key);
    if (!p || n->wanting >= NAMING_OPS_MAX)
        return ERR_FULL;
    p->watch = p->watch || watch;
    if (!busy(p))
        look(n, now, p);
    naming_wake(n, now, out);
    return 0;
}

static void get_start(struct naming *n, core_time now, struct peer *p, struct effects *out)
{
    uint8_t key[DHT_KEY_SIZE];
    struct op *op = naming_op_count(n, OP_GET_PROFILE) < LOOKS_MAX ? naming_op_take(n, OP_GET_PROFILE) : NULL;
    if (!op)
        return;
    memcpy(op->key, p->key, NODE_KEY_SIZE);
    node_position(key, p->key, n->config.crypto);
    int status = dht_get(n->config.dht, now, DHT_PROFILE, key, naming_op_number(n, op), out);
    if (status != 0) {
        naming_op_give(n, op);
        if (naming_later(n, status))
            return;
    } else {
        p->gets++;
    }
    want(n, p, false, p->call_wanted);
}

static void call_start(struct naming *n, core_time now, struct peer *p, struct effects *out)
{
    struct node_addr to;
    uint8_t body[64];
    struct op *op = naming_op_take(n, OP_CALL_PROFILE);
    if (!op)
        return;
    if (!next_address(n, p, &to.addr)) {
        naming_op_give(n, op);
        want(n, p, p->get_wanted, false);
        return;
    }
    memcpy(to.key, p->key, NODE_KEY_SIZE);
    memcpy(op->key, p->key, NODE_KEY_SIZE);
    bool watch = p->watch || (p->pinned && p->profile && p->profile->has_site);
    struct ask_request q = {.what = ASK_PROFILE, .sequence = p->sequence, .watch_s = watch ? NAMING_WATCH_S : 0};
    size_t size = ask_request_write(body, sizeof body, &q);
    int status = dht_call(n->config.dht, now, &to, NAMING_SERVICE, bytes_of(body, size), naming_op_number(n, op), out);
    if (status != 0) {
        naming_op_give(n, op);
        if (naming_later(n, status))
            return;
        p->tried++; /* an address of a family that we do not speak: the next one */
        n->again = true;
        return;
    }
    p->calls++;
    want(n, p, p->get_wanted, false);
}

static core_time next_look(struct naming *n, const struct peer *p, core_time now)
{
    bool site = p->pinned && p->profile && p->profile->has_site;
    if (!p->pinned)
        return CORE_NEVER;
    if (p->failures)
        return core_time_add(now, core_time_min(LOOK_WATCHED << (p->failures < 4 ? p->failures - 1 : 4), LOOK_SLOWEST));
    return core_time_add(now, site ? LOOK_WATCHED : rng_jitter(&n->rng, LOOK_PINNED, 10));
}

/* Nothing is under way for it any more. */
static void look_ended(struct naming *n, core_time now, struct peer *p, struct effects *out)
{
    if (!p->looked || busy(p))
        return;
    p->looked = false;
    p->failures = (uint8_t)(p->look_status == 0 ? 0 : p->failures < 100 ? p->failures + 1 : 100);
    p->look_at = next_look(n, p, now);
    wake_at(n, p->look_at);
    if (p->told)
        return;
    struct effect *x = naming_notify(out, NAMING_NOTICE_LOOKED, 0);
    x->u.notice.status = p->look_status;
    memcpy(x->u.notice.node.key, p->key, NODE_KEY_SIZE);
}

static void call_ended(struct naming *n, core_time now, struct peer *p, const struct effect *x, struct bytes bytes, struct effects *out)
{
    struct ask_answer a;
    int status = x->u.notice.status;
    if (status == 0 && ask_answer_read(&a, bytes) != 0)
        status = ERR_MALFORMED;
    if (status == 0 && a.record.size)
        status = take(n, now, p->key, a.record, false, out);
    else if (status == 0 && (!a.has_sequence || a.sequence < p->sequence))
        status = ERR_STALE; /* it has no profile, or forgot a newer one of its own */
    if (status == 0) {
        confirm(p, now);
        p->look_status = 0; /* the node's own word: the DHT need not be asked, and if it is, not waited for */
        want(n, p, false, false);
        return;
    }
    p->tried++;
    struct net_addr addr;
    bool more = next_address(n, p, &addr);
    if (!more && p->look_status != 0)
        p->look_status = status == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_NOT_FOUND;
    want(n, p, p->get_wanted || (!more && p->gets == 0 && p->look_status != 0), more);
}

void naming_peer_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out)
{
    struct peer *p = naming_peer_find(n, op->key);
    uint32_t kind = x->u.notice.kind;
    enum op_type type = op->type;
    if (kind == DHT_NOTICE_RECORD && p && type == OP_GET_PROFILE) {
        if (take(n, now, p->key, bytes, false, out) == 0)
            p->look_status = 0;
        return;
    }
    if (kind != DHT_NOTICE_DONE && kind != DHT_NOTICE_ANSWER)
        return;
    naming_op_give(n, op);
    if (!p || type == OP_PUT_PEER)
        return;
    if (type == OP_CALL_PROFILE) {
        p->calls--;
        call_ended(n, now, p, x, bytes, out);
    } else {
        struct net_addr addr;
        p->gets--;
        if (p->look_status != 0 && x->u.notice.status == ERR_TIMEOUT)
            p->look_status = ERR_TIMEOUT;
        /* Found for the first time, and somebody wants to see its changes: now it can be asked to tell of them. */
        if (p->look_status == 0 && p->watch && p->calls == 0 && p->tried == 0 && next_address(n, p, &addr))
            want(n, p, p->get_wanted, true);
    }
    look_ended(n, now, p, out);
}

/* ---- Steps ---- */

static void put_again(struct naming *n, core_time now, struct peer *p, struct effects *out)
{
    uint8_t key[DHT_KEY_SIZE];
    p->put_at = core_time_add(now, rng_jitter(&n->rng, PUT_EVERY, 20));
    if (!p->record || p->expiry_s <= naming_unix_ms(n, now) / 1000)
        return;
    struct op *op = naming_op_take(n, OP_PUT_PEER);
    if (!op)
        return;
    memcpy(op->key, p->key, NODE_KEY_SIZE);
    node_position(key, p->key, n->config.crypto);
    if (dht_put(n->config.dht, now, DHT_PROFILE, key, bytes_of(p->record, p->record_size), naming_op_number(n, op), out) != 0)
        naming_op_give(n, op);
}

static void due(struct naming *n, core_time now, struct effects *out)
{
    core_time next = CORE_NEVER;
    for (uint32_t i = 0; i < CHAINS; i++) {
        for (struct peer *p = n->chains[i]; p; p = p->next) {
            if (p->look_at <= now && !busy(p) && n->wanting < LOOKS_MAX)
                look(n, now, p);
            if (p->look_at <= now)
                p->look_at = core_time_add(now, CORE_SECONDS(10)); /* unless its end says otherwise */
            if (p->put_at <= now && naming_room(n, out))
                put_again(n, now, p, out);
            next = core_time_min(next, core_time_min(p->look_at, p->put_at));
        }
    }
    n->peers_at = next;
}

void naming_peers_step(struct naming *n, core_time now, struct effects *out)
{
    if (n->peers_at <= now)
        due(n, now, out);
    for (uint32_t i = 0; n->wanting && i < CHAINS; i++) {
        for (struct peer *p = n->chains[i]; p; p = p->next) {
            if (p->call_wanted && naming_room(n, out))
                call_start(n, now, p, out);
            if (p->get_wanted && naming_room(n, out))
                get_start(n, now, p, out);
            look_ended(n, now, p, out);
        }
    }
}
