/* A DHT node: life cycle, entry points, timers. What happens on an event is decided in the parts (dht/node_state.h). */
#include "dht/diversity.h"
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

_Static_assert(DHT_K_MAX + 2 + 8 + 4 <= DHT_EFFECTS_PER_CALL, "a find's notices fit one call");

void dht_config_default(struct dht_config *c)
{
    *c = (struct dht_config){
        .k = 16,
        .alpha = 5,
        .paths = 4,
        .replicas = {0, 16, 8, 8, 8},
        .pending_max = 32,
        .refresh = CORE_HOURS(1),
        .check = CORE_MINUTES(15),
        .provider_life = CORE_MINUTES(60),
        .provider_renew = CORE_MINUTES(25),
        .profile_life = CORE_HOURS(24 * 14),
        .profile_republish = CORE_HOURS(24),
        .keyword_life = CORE_HOURS(24),
        .timeout_min = CORE_MS(150),
        .timeout_max = CORE_SECONDS(4),
        .token_period = CORE_MINUTES(5),
        .records_max = 65536,
        .records_per_source_max = 16384,
        .records_per_key_max = 500,
        .upload_bytes_per_second = 128 * 1024,
        .ipv4 = true,
    };
}

/* --- memory: one block, laid out here and nowhere else --- */

struct layout {
    size_t tables[DHT_FAMILIES], slabs[DHT_FAMILIES], nexts[DHT_FAMILIES], total;
};

static size_t place(size_t *total, size_t size)
{
    size_t at = *total;
    *total = (at + size + 7) & ~(size_t)7;
    return at;
}

static struct layout layout_of(const struct dht_config *config)
{
    struct layout l = {.total = 0};
    place(&l.total, sizeof(struct dht_node));
    uint32_t slots = dht_table_slots(config);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        if (!(f == DHT_V4 ? config->ipv4 : config->ipv6))
            continue;
        l.tables[f] = place(&l.total, sizeof(struct dht_table));
        l.nexts[f] = place(&l.total, dht_table_links_size(config)); /* beside the state: what every call looks at lies together */
        l.slabs[f] = place(&l.total, slots * sizeof(struct dht_contact));
    }
    return l;
}

size_t dht_node_size(const struct dht_config *config)
{
    return layout_of(config).total;
}

/* --- small services --- */

uint64_t dht_position_of(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t position[HASH_SIZE];
    node_position(position, key, n->env->crypto);
    return get_be64(position);
}

uint32_t dht_short_hash(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    /* Where addresses cost something a prefix is one voter; elsewhere a key is. */
    uint8_t port[2], out[4];
    struct net_addr subject = *addr;
    bool by_prefix = key && dht_prefix_limited(addr, n->config->private_limits);
    if (by_prefix)
        subject = dht_prefix_owner(addr);
    put_be16(port, subject.port);
    const struct bytes parts[] = {bytes_of(subject.ip, sizeof subject.ip), bytes_of(port, sizeof port),
                                  bytes_of(key, key && !by_prefix ? NODE_KEY_SIZE : 0)};
    n->env->crypto->hash(out, sizeof out, n->secret, sizeof n->secret, parts, 3);
    return get_be32(out) | 1;
}

struct effect *dht_notify(struct dht_node *n, uint32_t kind, uint32_t op)
{
    core_assert(n->room > 0);
    n->room--;
    struct effect *x = effects_add(n->out, EFFECT_NOTICE);
    x->u.notice.kind = kind;
    x->u.notice.op = op;
    return x;
}

uint32_t dht_live(const struct dht_node *n)
{
    uint32_t live = 0;
    for (int f = 0; f < DHT_FAMILIES; f++)
        live += n->tables[f] ? dht_table_count(n->tables[f], true) : 0;
    return live;
}

uint32_t dht_network_size(const struct dht_node *n)
{
    uint32_t votes = dht_vote_size_median(&n->votes), known = 1;
    for (int f = 0; f < DHT_FAMILIES; f++)
        known += n->tables[f] ? dht_table_count(n->tables[f], false) : 0;
    return votes > known ? votes : known;
}

/* --- life cycle --- */

static void derive(uint8_t out[32], const struct core_crypto *crypto, const uint8_t seed[32], const char *label)
{
    struct bytes part = bytes_of(label, strlen(label));
    crypto->hash(out, 32, seed, 32, &part, 1);
}

void dht_init(struct dht_node *n, const struct dht_env *env, const struct node_identity *me, const struct network *network,
              const uint8_t seed[32], core_time now)
{
    const struct dht_config *config = env->config;
    core_assert(config->k >= 1 && config->k <= DHT_K_MAX);
    core_assert(config->alpha >= 1 && config->paths >= 1 && config->paths <= DHT_LOOKUP_PATHS);
    core_assert(config->ipv4 || config->ipv6);
    core_assert(env->lookups->object_size >= dht_lookup_size(config));
    core_assert(env->records->object_size >= dht_record_size());
    struct layout at = layout_of(config);
    uint8_t *base = (uint8_t *)n, derived[32];
    n->env = env;
    n->config = config;
    n->me = me;
    n->network = network;
    n->birth = n->now = n->upload_at = n->walk_at = now;
    derive(n->secret, env->crypto, seed, "dht secret");
    derive(derived, env->crypto, seed, "dht channel");
    datagram_channel_init(&n->channel, me, network, env->crypto, env->keys, derived, now);
    derive(derived, env->crypto, seed, "dht jitter");
    rng_init(&n->rng, get_be64(derived), 0);
    n->self = dht_position_of(n, me->key);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        if (!at.tables[f])
            continue;
        n->tables[f] = (struct dht_table *)(base + at.tables[f]);
        dht_table_init(n->tables[f], config, n->self, (struct dht_contact *)(base + at.slabs[f]), (uint16_t *)(base + at.nexts[f]));
    }
    dht_pendings_init(&n->pending, config, env->alloc);
    dht_storage_init(&n->storage, env, n->self, get_be64(derived + 8));
    dht_announce_init(&n->announce, env->alloc);
    n->upload_left = 4ll * config->upload_bytes_per_second;
    n->alone_wait_ms = 1000;
    for (int t = 0; t < DHT_TIMERS; t++)
        n->timers[t] = CORE_NEVER;
    n->deadline = CORE_NEVER;
}

void dht_fini(struct dht_node *n)
{
    while (n->lookups)
        dht_lookup_end(n, n->lookups);
    dht_pendings_fini(&n->pending);
    dht_storage_fini(&n->storage);
    dht_announce_fini(&n->announce);
    dht_calls_free(n);
    dht_handover_free(n);
    n->env->alloc->free(n->env->alloc->context, n->lost);
    n->lost = NULL;
    crypto_wipe(n->secret, sizeof n->secret);
}

/* --- entry and exit of every call --- */

void dht_enter(struct dht_node *n, core_time now, struct effects *out)
{
    core_assert(now >= n->now);
    core_assert(effects_room(out, DHT_EFFECTS_PER_CALL, DHT_EFFECT_BYTES_PER_CALL));
    core_assert(!n->out);
    n->now = now;
    n->out = out;
    n->room = DHT_EFFECTS_PER_CALL;
}

static void deadline_set(struct dht_node *n)
{
    n->deadline = n->pending.next;
    for (int t = 0; t < DHT_TIMERS; t++)
        n->deadline = core_time_min(n->deadline, n->timers[t]);
}

void dht_leave(struct dht_node *n)
{
    deadline_set(n);
    n->out = NULL;
    n->room = 0;
}

core_time dht_deadline(const struct dht_node *n)
{
    return n->deadline;
}

void dht_set_unix_ms(struct dht_node *n, core_time now, uint64_t unix_ms)
{
    dht_vote_clock_host(&n->votes, now, unix_ms);
}

void dht_set_stream_port(struct dht_node *n, uint16_t port)
{
    n->stream_port = port;
}

/* A key exchange beyond the budget is worth it for those we know or have asked. */
static bool sender_known(void *context, const uint8_t key[NODE_KEY_SIZE])
{
    const struct dht_node *n = context;
    if (dht_pending_has(&n->pending, key))
        return true;
    uint64_t position = dht_position_of(n, key);
    for (int f = 0; f < DHT_FAMILIES; f++)
        if (n->tables[f] && dht_table_find(n->tables[f], key, position))
            return true;
    return false;
}

static int receive(struct dht_node *n, const struct net_addr *from, const uint8_t *data, size_t size)
{
    uint8_t sender[NODE_KEY_SIZE], plain[DATAGRAM_MAX];
    size_t plain_size;
    struct dht_message m;
    n->datagrams_in++;
    n->bytes_in += size;
    if (!n->tables[dht_family_of(from)] || from->port == 0)
        return ERR_UNSUPPORTED;
    int status = datagram_open(&n->channel, n->now, data, size, sender, plain, &plain_size, sender_known, n);
    if (status == 0 && memcmp(sender, n->me->key, NODE_KEY_SIZE) == 0)
        status = ERR_REFUSED;
    if (status == 0)
        status = dht_message_read(&m, plain, plain_size);
    if (status) {
        n->malformed += status != ERR_QUOTA;
        n->over_quota += status == ERR_QUOTA;
        return status;
    }
    return m.reply ? dht_on_reply(n, sender, from, &m) : dht_on_request(n, sender, from, size, &m);
}

int dht_recv(struct dht_node *n, core_time now, const struct net_addr *from, const uint8_t *data, size_t size, struct effects *out)
{
    dht_enter(n, now, out);
    int status = receive(n, from, data, size);
    dht_progress(n, true);
    dht_leave(n);
    return status;
}

/* --- timers --- */

/* Nobody answers: ask again whom we were told of and whom we once knew, ever more slowly. */
static void alone_step(struct dht_node *n)
{
    n->timers[DHT_TIMER_ALONE] = CORE_NEVER;
    if (dht_live(n) > 0) {
        n->alone_wait_ms = 1000;
        return;
    }
    for (int i = 0; i < DHT_HINTS; i++)
        if (n->hints[i].addr.port && n->room > 16 && !dht_pending_has(&n->pending, n->hints[i].key))
            dht_ask_hint(n, n->hints[i].key, &n->hints[i].addr);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        const struct dht_contact *c[8];
        uint32_t count = n->tables[f] ? dht_table_closest(n->tables[f], rng_u64(&n->rng), true, c, 8) : 0;
        for (uint32_t i = 0; i < count && n->room > 16; i++)
            if (!dht_pending_has(&n->pending, c[i]->key))
                dht_ask_ping(n, c[i]->key, get_be64(c[i]->position), &c[i]->addr);
    }
    n->timers[DHT_TIMER_ALONE] = n->now + CORE_MS(rng_jitter(&n->rng, n->alone_wait_ms, 10));
    n->alone_wait_ms = n->alone_wait_ms < 30000 ? n->alone_wait_ms * 2 : 60000;
}

/* Pings only whom no look-up has met for a whole refresh period. One at a time, and slower still while nothing answers or only who failed
 * is left to ask: a dead uplink is no reason to shout. */
static void stale_step(struct dht_node *n)
{
    uint32_t age_s = (uint32_t)(n->config->refresh / 1000000u);
    core_time silent = n->last_heard + CORE_MINUTES(2) < n->now ? CORE_SECONDS(20) : CORE_SECONDS(1);
    core_time at = n->now + CORE_MINUTES(10);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        uint32_t next_s = UINT32_MAX;
        struct dht_contact *c = n->tables[f] ? dht_table_stale(n->tables[f], dht_now_s(n), age_s, &next_s) : NULL;
        at = core_time_min(at, dht_time_of(n, next_s));
        if (!c)
            continue;
        at = core_time_min(at, n->now + (dht_contact_fails(c) ? CORE_SECONDS(20) : silent));
        if (n->room > 8 && !dht_pending_has(&n->pending, c->key) && dht_ask_ping(n, c->key, get_be64(c->position), &c->addr))
            c->flags |= DHT_CONTACT_CHECKED;
    }
    n->timers[DHT_TIMER_STALE] = at < n->now + silent ? n->now + silent : at;
}

/* A random position in bucket `b`. */
static void bucket_target(struct dht_node *n, unsigned b, uint8_t out[DHT_KEY_SIZE])
{
    uint64_t flip = 1ull << (63 - b);
    for (int i = 0; i < DHT_KEY_SIZE; i += 8)
        put_be64(out + i, rng_u64(&n->rng));
    put_be64(out, ((n->self ^ flip) & ~(flip - 1)) | (get_be64(out) & (flip - 1)));
}

static bool refresh_bucket(struct dht_node *n, unsigned bucket, bool deepest)
{
    uint8_t target[DHT_KEY_SIZE];
    if (deepest)
        node_position(target, n->me->key, n->env->crypto);
    else
        bucket_target(n, bucket, target);
    /* The hourly look again needs no k answers: the nearest few each name k contacts. */
    uint16_t width = n->config->k > 16 ? n->config->k / 4 : n->config->k < 4 ? n->config->k : 4;
    if (deepest || n->fill_bucket)
        width = n->config->k;
    if (!dht_lookup_start(n, deepest ? DHT_MODE_SELF : DHT_MODE_REFRESH, target, width))
        return false;
    for (int f = 0; f < DHT_FAMILIES; f++)
        if (n->tables[f])
            n->tables[f]->buckets[bucket].touched_s = dht_now_s(n);
    return true;
}

/* After joining: every bucket, the nearest first. Later: the bucket longest without a look-up, when its hour is over. */
static void refresh_step(struct dht_node *n)
{
    n->timers[DHT_TIMER_REFRESH] = CORE_NEVER;
    if (!n->joined || n->refreshing >= 2)
        return; /* the end of a look-up calls again */
    bool filling = n->fill_bucket > 0;
    unsigned bucket = filling ? n->fill_bucket - 1u : 0;
    uint32_t due_s = filling ? 0 : UINT32_MAX, refresh_s = (uint32_t)(n->config->refresh / 1000000u), at_s;
    unsigned depth = 0;
    for (int f = 0; f < DHT_FAMILIES && !filling; f++) {
        unsigned candidate;
        if (!n->tables[f] || !dht_table_refresh_next(n->tables[f], refresh_s, &candidate, &at_s) || at_s >= due_s)
            continue;
        due_s = at_s;
        bucket = candidate;
        depth = dht_table_depth(n->tables[f]);
    }
    if (due_s > dht_now_s(n)) {
        core_time at = dht_time_of(n, due_s);
        n->timers[DHT_TIMER_REFRESH] = at == CORE_NEVER ? n->now + n->config->refresh : at + rng_u32(&n->rng) % 1000000u;
        return;
    }
    if (!refresh_bucket(n, bucket, !filling && bucket + 1 == depth)) {
        n->timers[DHT_TIMER_REFRESH] = n->now + CORE_SECONDS(5);
        return;
    }
    n->fill_bucket = (uint8_t)(filling ? bucket : 0);
    n->timers[DHT_TIMER_REFRESH] = n->refreshing < 2 ? n->now : CORE_NEVER;
}

static void expire_step(struct dht_node *n)
{
    dht_storage_expire(&n->storage, dht_now_s(n), 256);
    n->timers[DHT_TIMER_EXPIRE] = dht_time_of(n, dht_storage_expiry(&n->storage));
}

static void persist_step(struct dht_node *n)
{
    n->timers[DHT_TIMER_PERSIST] = n->now + CORE_MINUTES(30);
    if (n->joined && dht_live(n) > 0)
        dht_notify(n, DHT_NOTICE_PERSIST, 0);
}

static void again_step(struct dht_node *n)
{
    (void)n; /* dht_progress at the end of the wake is all it is for */
}

static const struct {
    void (*step)(struct dht_node *);
} timer_steps[DHT_TIMERS] = {
    [DHT_TIMER_ALONE] = {alone_step},       [DHT_TIMER_STALE] = {stale_step},         [DHT_TIMER_REFRESH] = {refresh_step},
    [DHT_TIMER_ANNOUNCE] = {dht_walk_start}, [DHT_TIMER_EXPIRE] = {expire_step},      [DHT_TIMER_REPUBLISH] = {dht_republish_step},
    [DHT_TIMER_PERSIST] = {persist_step},   [DHT_TIMER_LOST] = {dht_lost_step},      [DHT_TIMER_HANDOVER] = {dht_handover_step},
    [DHT_TIMER_AGAIN] = {again_step},
};

void dht_wake(struct dht_node *n, core_time now, struct effects *out)
{
    dht_enter(n, now, out);
    dht_time_out(n);
    for (int t = 0; t < DHT_TIMERS; t++) {
        if (n->timers[t] > now || n->room <= 12)
            continue;
        n->timers[t] = CORE_NEVER;
        timer_steps[t].step(n);
    }
    dht_progress(n, true);
    dht_leave(n);
}

/* --- operations of the owner --- */

void dht_hint(struct dht_node *n, core_time now, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr, struct effects *out)
{
    dht_enter(n, now, out);
    struct dht_table *t = n->tables[dht_family_of(addr)];
    if (t && addr->port && memcmp(key, n->me->key, NODE_KEY_SIZE) != 0 && net_addr_scope(addr) != NET_SCOPE_INVALID) {
        const struct dht_contact *known = dht_table_find(t, key, dht_position_of(n, key));
        bool told = known && net_addr_equal(&known->addr, addr);
        for (int i = 0; i < DHT_HINTS; i++)
            told = told || (memcmp(n->hints[i].key, key, NODE_KEY_SIZE) == 0 && net_addr_equal(&n->hints[i].addr, addr));
        if (!told) {
            memcpy(n->hints[n->hint_next].key, key, NODE_KEY_SIZE);
            n->hints[n->hint_next].addr = *addr;
            n->hint_next = (uint8_t)((n->hint_next + 1) % DHT_HINTS);
        }
        /* A node that came back on another port is asked there at once: its old address would time out three times first. `told` bounds it. */
        bool moved = known && !told;
        if (moved || (!known && !dht_pending_has(&n->pending, key)))
            dht_ask_hint(n, key, addr);
        if (dht_live(n) == 0)
            dht_timer_at_most(n, DHT_TIMER_ALONE, now + CORE_MS(n->alone_wait_ms));
    }
    dht_leave(n);
}

static int operation(struct dht_node *n, enum dht_mode mode, uint8_t kind, const uint8_t key[DHT_KEY_SIZE], uint32_t op,
                     struct dht_lookup **out)
{
    if (op == 0)
        return ERR_RANGE;
    /* A person waits for a search, and any holder knows all publishers of a word: the slowest of k answers is not worth it. */
    bool few = mode == DHT_MODE_GET && kind == DHT_KEYWORD && n->config->replicas[kind] < n->config->k;
    struct dht_lookup *l = dht_lookup_start(n, mode, key, few ? n->config->replicas[kind] : n->config->k);
    if (!l)
        return ERR_FULL;
    l->kind = kind;
    l->op = op;
    *out = l;
    return 0;
}

int dht_find(struct dht_node *n, core_time now, const uint8_t target[DHT_KEY_SIZE], uint32_t op, struct effects *out)
{
    struct dht_lookup *l;
    dht_enter(n, now, out);
    int status = operation(n, DHT_MODE_FIND, 0, target, op, &l);
    dht_progress(n, false);
    dht_leave(n);
    return status;
}

static bool kind_signed(enum dht_kind kind)
{
    return kind == DHT_PROFILE || kind == DHT_NICK || kind == DHT_KEYWORD;
}

int dht_get(struct dht_node *n, core_time now, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], uint32_t op, struct effects *out)
{
    struct dht_lookup *l;
    if (kind != DHT_PROVIDER && !kind_signed(kind))
        return ERR_RANGE;
    dht_enter(n, now, out);
    int status = operation(n, DHT_MODE_GET, (uint8_t)kind, key, op, &l);
    if (status == 0)
        dht_get_own(n, l);
    dht_progress(n, false);
    dht_leave(n);
    return status;
}

int dht_put(struct dht_node *n, core_time now, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], struct bytes record, uint32_t op,
            struct effects *out)
{
    struct dht_lookup *l;
    struct dht_record_view view;
    if (!kind_signed(kind) || dht_record_read(&view, record) != 0 || view.kind != kind ||
        dht_record_verify(&view, key, n->network, n->env->crypto) != 0)
        return ERR_RANGE;
    dht_enter(n, now, out);
    int status = operation(n, DHT_MODE_PUT, (uint8_t)kind, key, op, &l);
    if (status == 0) {
        l->record_size = (uint16_t)record.size;
        memcpy(l->record, record.data, record.size);
        /* A copy here too: we are a holder while we run. */
        uint32_t life_s = dht_record_life_s(n, view.kind, view.sequence, view.expiry_s);
        if (life_s)
            dht_storage_put_signed(&n->storage, dht_now_s(n), &view, record, key, NULL, life_s, dht_republish_at(n, view.kind));
        dht_timer_at_most(n, DHT_TIMER_EXPIRE, dht_time_of(n, dht_storage_expiry(&n->storage)));
        dht_timer_at_most(n, DHT_TIMER_REPUBLISH, now + n->config->profile_republish / 64);
    }
    dht_progress(n, false);
    dht_leave(n);
    return status;
}

void dht_cancel(struct dht_node *n, uint32_t op)
{
    for (struct dht_lookup *l = n->lookups, *next; l && op; l = next) {
        next = l->next;
        if (l->op != op)
            continue;
        l->op = 0;
        if (l->mode != DHT_MODE_ANNOUNCE)
            dht_lookup_end(n, l);
    }
    uint64_t at = 0;
    for (struct dht_announced *e; op && (e = dht_announce_from(&n->announce, at)); at = get_be64(e->key) + 1) {
        e->op = e->op == op ? 0 : e->op;
        if (get_be64(e->key) == UINT64_MAX)
            break;
    }
    deadline_set(n);
}

int dht_announce(struct dht_node *n, core_time now, const uint8_t key[DHT_KEY_SIZE], bool urgent, uint32_t op, struct effects *out)
{
    dht_enter(n, now, out);
    int status = dht_announce_add(&n->announce, key, urgent ? DHT_DUE_URGENT : dht_now_s(n), urgent ? op : 0);
    struct dht_announced *known = status == ERR_EXISTS && urgent && op ? dht_announce_find(&n->announce, key) : NULL;
    if (known) { /* somebody waits: announced once more, or told when the walk that carries it ends */
        known->op = op;
        if (!known->walk)
            dht_announce_set_due(&n->announce, known, DHT_DUE_URGENT);
    }
    dht_timer_at_most(n, DHT_TIMER_ANNOUNCE, now);
    dht_leave(n);
    return status == ERR_EXISTS ? 0 : status;
}

void dht_unannounce(struct dht_node *n, const uint8_t key[DHT_KEY_SIZE])
{
    /* Not at once: many keys given up together go in one walk, and what is shared again meanwhile need not be. */
    if (dht_announce_withdraw(&n->announce, key, dht_now_s(n) + 1))
        dht_timer_at_most(n, DHT_TIMER_ANNOUNCE, dht_time_of(n, n->announce.next_due_s));
    deadline_set(n);
}
