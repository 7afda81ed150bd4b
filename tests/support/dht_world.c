#include "tests/support/dht_world.h"
#include "node/base/assert.h"
#include <stdlib.h>
#include <string.h>

struct world_event {
    core_time at;
    uint64_t sequence;
    uint32_t node, generation;
    struct net_addr from;
    uint8_t *data; /* NULL: a deadline */
    size_t size;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u + b;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

static void trace(struct world *w, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++)
        w->trace = (w->trace ^ p[i]) * 0x100000001b3u;
}

/* --- the event heap --- */

static bool before(const struct world_event *a, const struct world_event *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct world *w, struct world_event e)
{
    e.sequence = w->sequence++;
    if (w->heap_count == w->heap_cap) {
        w->heap_cap = w->heap_cap ? w->heap_cap * 2 : 256;
        w->heap = realloc(w->heap, w->heap_cap * sizeof *w->heap);
    }
    uint32_t i = w->heap_count++;
    for (; i > 0 && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static struct world_event pop(struct world *w)
{
    struct world_event top = w->heap[0], last = w->heap[--w->heap_count];
    uint32_t i = 0, child;
    while ((child = 2 * i + 1) < w->heap_count) {
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* --- carrying effects out --- */

static uint32_t at_address(const struct world *w, const struct net_addr *a)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (net_addr_equal(&w->nodes[i].addr, a) || net_addr_equal(&w->nodes[i].addr6, a))
            return i;
    return UINT32_MAX;
}

/* The default addresses carry their index in the port; others are searched for. */
static uint32_t receiver_of(const struct world *w, const struct net_addr *a)
{
    uint32_t guess = a->port >= 10000 ? a->port - 10000u : 0;
    if (guess < w->count && (net_addr_equal(&w->nodes[guess].addr, a) || net_addr_equal(&w->nodes[guess].addr6, a)))
        return guess;
    return at_address(w, a);
}

static void carry_datagram(struct world *w, uint32_t i, const struct effect *x)
{
    struct world_node *n = &w->nodes[i];
    uint8_t data[DATAGRAM_MAX];
    size_t size = x->bytes_size;
    core_assert(size > 0 && size <= DATAGRAM_MAX);
    memcpy(data, w->out.bytes + x->bytes_off, size);
    n->sent++;
    n->sent_bytes += size;
    w->datagrams++;
    uint32_t to = receiver_of(w, &x->u.datagram.to);
    bool passed = !w->tap || w->tap(w, i, to, data, &size);
    if (!passed || to == UINT32_MAX || mix(w->seed ^ 7, w->datagrams) % 1000 < w->loss_permille) {
        w->lost++;
        return;
    }
    struct world_event e = {.node = to, .from = net_addr_is_v4(&x->u.datagram.to) ? n->addr : n->addr6, .size = size};
    uint32_t low = i < to ? i : to, high = i < to ? to : i;
    core_time base = w->latency_min + mix(w->seed ^ low, high) % (w->latency_max - w->latency_min + 1);
    e.at = w->now + base + mix(w->seed ^ 9, w->datagrams) % (base / 10 + 1);
    e.data = malloc(size);
    memcpy(e.data, data, size);
    push(w, e);
}

static void carry_notice(struct world *w, uint32_t i, const struct effect *x)
{
    if (w->notice_count == w->notice_cap) {
        w->notice_cap = w->notice_cap ? w->notice_cap * 2 : 256;
        w->notices = realloc(w->notices, w->notice_cap * sizeof *w->notices);
    }
    struct world_notice *notice = &w->notices[w->notice_count++];
    *notice = (struct world_notice){.node = i, .at = w->now, .x = *x};
    if (x->bytes_size) {
        notice->bytes = malloc(x->bytes_size);
        memcpy(notice->bytes, w->out.bytes + x->bytes_off, x->bytes_size);
    }
}

/* As node.c does it. */
static bool route_names(struct world *w, uint32_t i, uint32_t k)
{
    const struct effect x = w->out.items[k];
    struct naming *naming = w->nodes[i].naming;
    bool called = x.u.notice.kind == DHT_NOTICE_CALLED;
    if (!naming)
        return false;
    if (called || naming_is_op(x.u.notice.op))
        naming_notice(naming, w->now, &x, bytes_of(w->out.bytes + x.bytes_off, x.bytes_size), &w->out);
    else if (x.u.notice.kind == DHT_NOTICE_JOINED)
        naming_joined(naming, w->now);
    return called || naming_is_op(x.u.notice.op);
}

/* After each call into node i. */
static void carry(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    if (!w->with_names) {
        core_assert(w->out.count <= DHT_EFFECTS_PER_CALL);
        core_assert(w->out.bytes_used <= DHT_EFFECT_BYTES_PER_CALL);
    }
    if (w->out.count > w->effects_most)
        w->effects_most = w->out.count;
    for (uint32_t k = 0; k < w->out.count; k++) {
        if (w->out.items[k].kind == EFFECT_DATAGRAM)
            carry_datagram(w, i, &w->out.items[k]);
        else if (!route_names(w, i, k))
            carry_notice(w, i, &w->out.items[k]);
    }
    effects_reset(&w->out);
    if (w->checks)
        dht_check(n->dht);
    if (w->checks && n->naming)
        naming_check(n->naming);
    core_time deadline = dht_deadline(n->dht);
    if (n->naming)
        deadline = core_time_min(deadline, naming_deadline(n->naming));
    if (deadline == n->armed)
        return;
    n->armed = deadline;
    n->generation++;
    if (deadline != CORE_NEVER)
        push(w, (struct world_event){.at = deadline > w->now ? deadline : w->now, .node = i, .generation = n->generation});
}

/* --- life --- */

struct world *world_new(uint64_t seed, uint32_t count, const struct dht_config *config, const struct core_crypto *crypto)
{
    struct world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->count = count;
    w->now = CORE_SECONDS(1);
    w->unix_ms = 1790000000000u;
    w->trace = 0xcbf29ce484222325u;
    w->checks = true;
    w->latency_min = CORE_MS(1) / 10;
    w->latency_max = CORE_MS(1);
    if (config)
        w->config = *config;
    else
        dht_config_default(&w->config);
    pool_init(&w->lookups, &core_alloc_libc, dht_lookup_size(&w->config), 64 + 4 * count);
    pool_init(&w->records, &core_alloc_libc, dht_record_size(), 4000000);
    w->env = (struct dht_env){.config = &w->config, .crypto = crypto, .alloc = &core_alloc_libc, .lookups = &w->lookups, .records = &w->records,
                              .keys = key_pool_new(&core_alloc_libc, crypto, count * 64 + 4096)};
    memset(w->network.id, 7, sizeof w->network.id);
    w->nodes = calloc(count, sizeof *w->nodes);
    effects_init(&w->out, w->items, sizeof w->items / sizeof *w->items, w->bytes, sizeof w->bytes);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t node_seed[32];
        world_key(node_seed, seed, 1u << 31 | i);
        crypto->identity(&w->nodes[i].me, node_seed);
        if (w->config.ipv4)
            w->nodes[i].addr = net_addr_v4(127, 0, 0, 1, (uint16_t)(10000 + i));
        if (w->config.ipv6) {
            w->nodes[i].addr6 = (struct net_addr){.port = (uint16_t)(10000 + i)};
            w->nodes[i].addr6.ip[15] = 1;
        }
    }
    return w;
}

void world_start(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    uint8_t seed[32];
    core_assert(!n->dht);
    world_key(seed, w->seed ^ 0x5eed, (uint64_t)n->starts++ << 32 | i);
    n->dht = calloc(1, dht_node_size(&w->config));
    dht_init(n->dht, &w->env, &n->me, &w->network, seed, w->now);
    n->armed = CORE_NEVER;
    n->generation++;
    if (w->with_names) {
        struct naming_config c = {.dht = n->dht, .me = &n->me, .network = &w->network, .crypto = w->env.crypto, .alloc = &core_alloc_libc,
                                  .seed = w->seed ^ i, .cache_max = 64};
        n->naming = naming_new(&c);
    }
    if (!n->clock_unknown)
        dht_set_unix_ms(n->dht, w->now, (uint64_t)((int64_t)world_unix_ms(w) + n->clock_error_ms));
}

void world_stop(struct world *w, uint32_t i)
{
    naming_free(w->nodes[i].naming);
    w->nodes[i].naming = NULL;
    dht_fini(w->nodes[i].dht);
    free(w->nodes[i].dht);
    w->nodes[i].dht = NULL;
    w->nodes[i].generation++;
}

void world_hint(struct world *w, uint32_t i, uint32_t other)
{
    const struct world_node *o = &w->nodes[other];
    for (int f = 0; f < 2; f++) {
        const struct net_addr *a = f ? &o->addr6 : &o->addr;
        if (!a->port || !(f ? w->nodes[i].addr6.port : w->nodes[i].addr.port))
            continue;
        dht_hint(w->nodes[i].dht, w->now, o->me.key, a, &w->out);
        carry(w, i);
    }
}

void world_join_all(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        world_start(w, i);
    for (uint32_t i = 1; i < w->count; i++)
        world_hint(w, i, 0);
}

bool world_step(struct world *w, core_time until)
{
    if (w->heap_count == 0 || w->heap[0].at > until)
        return false;
    struct world_event e = pop(w);
    core_assert(e.at >= w->now);
    w->now = e.at;
    struct world_node *n = &w->nodes[e.node];
    if (e.data) {
        trace(w, &e.at, sizeof e.at);
        trace(w, &e.node, sizeof e.node);
        trace(w, e.data, e.size);
        if (n->dht) {
            n->received++;
            w->events++;
            dht_recv(n->dht, w->now, &e.from, e.data, e.size, &w->out);
            carry(w, e.node);
        }
        free(e.data);
    } else if (n->dht && e.generation == n->generation) {
        w->events++;
        n->armed = CORE_NEVER;
        spin_watch(&n->spin, w->now, e.node);
        dht_wake(n->dht, w->now, &w->out);
        if (n->naming && naming_deadline(n->naming) <= w->now)
            naming_wake(n->naming, w->now, &w->out);
        carry(w, e.node);
    }
    return true;
}

void world_run(struct world *w, core_time until)
{
    while (world_step(w, until))
        ;
    w->now = until > w->now ? until : w->now;
}

int world_inject(struct world *w, uint32_t to, const struct net_addr *from, const uint8_t *data, size_t size)
{
    int status = dht_recv(w->nodes[to].dht, w->now, from, data, size, &w->out);
    carry(w, to);
    return status;
}

void world_free(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].dht)
            world_stop(w, i);
    while (w->heap_count)
        free(pop(w).data);
    world_notices_clear(w);
    pool_fini(&w->lookups);
    pool_fini(&w->records);
    key_pool_free(w->env.keys);
    free(w->notices);
    free(w->heap);
    free(w->nodes);
    free(w);
}

/* --- operations --- */

void world_carry(struct world *w, uint32_t i)
{
    carry(w, i);
}

int world_find(struct world *w, uint32_t i, const uint8_t target[32], uint32_t op)
{
    int status = dht_find(w->nodes[i].dht, w->now, target, op, &w->out);
    carry(w, i);
    return status;
}

int world_get(struct world *w, uint32_t i, enum dht_kind kind, const uint8_t key[32], uint32_t op)
{
    int status = dht_get(w->nodes[i].dht, w->now, kind, key, op, &w->out);
    carry(w, i);
    return status;
}

int world_put(struct world *w, uint32_t i, enum dht_kind kind, const uint8_t key[32], struct bytes record, uint32_t op)
{
    int status = dht_put(w->nodes[i].dht, w->now, kind, key, record, op, &w->out);
    carry(w, i);
    return status;
}

int world_announce(struct world *w, uint32_t i, const uint8_t key[32], bool urgent, uint32_t op)
{
    int status = dht_announce(w->nodes[i].dht, w->now, key, urgent, op, &w->out);
    carry(w, i);
    return status;
}

void world_unannounce(struct world *w, uint32_t i, const uint8_t key[32])
{
    dht_unannounce(w->nodes[i].dht, key);
    carry(w, i);
}

const struct world_notice *world_notice_find(const struct world *w, uint32_t node, uint32_t op, uint32_t kind, uint32_t skip)
{
    for (uint32_t i = 0; i < w->notice_count; i++) {
        const struct world_notice *n = &w->notices[i];
        if (n->node == node && n->x.u.notice.op == op && n->x.u.notice.kind == kind && skip-- == 0)
            return n;
    }
    return NULL;
}

uint32_t world_notice_count(const struct world *w, uint32_t node, uint32_t op, uint32_t kind)
{
    uint32_t count = 0;
    while (world_notice_find(w, node, op, kind, count))
        count++;
    return count;
}

const struct world_notice *world_wait(struct world *w, uint32_t node, uint32_t op, core_time limit)
{
    core_time until = w->now + limit;
    for (;;) {
        const struct world_notice *n = world_notice_find(w, node, op, DHT_NOTICE_DONE, 0);
        if (!n)
            n = world_notice_find(w, node, op, DHT_NOTICE_ANNOUNCED, 0);
        if (n || !world_step(w, until))
            return n;
    }
}

void world_notices_clear(struct world *w)
{
    for (uint32_t i = 0; i < w->notice_count; i++)
        free(w->notices[i].bytes);
    w->notice_count = 0;
}

void world_key(uint8_t out[32], uint64_t seed, uint64_t number)
{
    for (int i = 0; i < 4; i++)
        put_be64(out + 8 * i, mix(seed + (uint64_t)i * 0x9e37, number));
}

uint64_t world_unix_ms(const struct world *w)
{
    return w->unix_ms + w->now / 1000;
}

uint32_t world_index(const struct world *w, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint32_t i = 0; i < w->count; i++)
        if (memcmp(w->nodes[i].me.key, key, NODE_KEY_SIZE) == 0)
            return i;
    return UINT32_MAX;
}

static uint64_t distance(const struct world *w, uint32_t i, const uint8_t key[32])
{
    uint8_t position[HASH_SIZE];
    node_position(position, w->nodes[i].me.key, w->env.crypto);
    return get_be64(position) ^ get_be64(key);
}

bool world_is_closest(const struct world *w, uint32_t i, const uint8_t key[32], uint32_t k)
{
    uint32_t nearer = 0;
    for (uint32_t j = 0; j < w->count; j++)
        nearer += j != i && w->nodes[j].dht && distance(w, j, key) < distance(w, i, key);
    return nearer < k;
}
