/* Joins the DHT, the naming core and the swarm core: makes and ends them, routes notices between them, wakes
 * what is due. What the node asks on behalf of a part is in node_ops.c, what concerns all contacts in
 * node_contacts.c. */
#include "node/node_int.h"

#define REACH_FIRST CORE_SECONDS(3) /* after the join */
#define ALONE_AFTER CORE_SECONDS(8)

struct node *node_new(const struct node_config *config, core_time now)
{
    const struct core_alloc *alloc = config->dht.alloc;
    struct node *n = alloc->alloc(alloc->context, sizeof *n);
    if (!n)
        return NULL;
    n->me = config->me;
    n->network = config->network;
    n->alloc = alloc;
    n->crypto = config->dht.crypto;
    n->dht_env = config->dht;
    n->xfer_env = config->xfer;
    n->stream_port = config->stream_port;
    n->restore_at = n->reach_at = CORE_NEVER;
    n->alone_at = core_time_add(now, ALONE_AFTER);
    n->last_now = now;
    rng_init(&n->rng, get_be64(config->seed), 1);

    uint8_t seeds[2][32];
    struct core_drbg drbg;
    core_drbg_init(&drbg, config->seed);
    core_drbg_fill(&drbg, seeds[0], sizeof seeds);
    n->dht = alloc->alloc(alloc->context, dht_node_size(config->dht.config));
    n->xfer = n->dht ? xfer_new(&n->xfer_env, n->me, n->network, seeds[1], now) : NULL;
    struct naming_config names = {.dht = n->dht,
                                  .me = n->me,
                                  .network = n->network,
                                  .crypto = n->crypto,
                                  .alloc = alloc,
                                  .seed = get_be64(config->seed + 8),
                                  .cache_max = config->names_cache ? config->names_cache : 256};
    n->naming = n->xfer ? naming_new(&names) : NULL;
    if (!n->naming) {
        xfer_free(n->xfer);
        alloc->free(alloc->context, n->dht);
        alloc->free(alloc->context, n);
        return NULL;
    }
    dht_init(n->dht, &n->dht_env, n->me, n->network, seeds[0], now);
    dht_set_stream_port(n->dht, n->stream_port);
    xfer_set_stream_port(n->xfer, n->stream_port);
    crypto_wipe(&drbg, sizeof drbg);
    return n;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    node_contacts_free(n);
    naming_free(n->naming);
    dht_fini(n->dht);
    xfer_free(n->xfer);
    n->alloc->free(n->alloc->context, n->dht);
    n->alloc->free(n->alloc->context, n);
}

struct xfer *node_xfer(struct node *n)
{
    return n->xfer;
}

struct dht_node *node_dht(struct node *n)
{
    return n->dht;
}

struct naming *node_naming(struct node *n)
{
    return n->naming;
}

/* ---- Routing notices between the parts ---- */

static void consume(struct effect *x)
{
    x->u.notice.kind = NODE_NOTICE_CONSUMED;
}

static void on_joined(struct node *n, core_time now, struct effects *out)
{
    n->joined = true;
    n->alone_at = CORE_NEVER;
    n->alone_told = false;
    naming_joined(n->naming, now);
    if (n->reach.stream == NODE_REACH_UNKNOWN)
        n->reach_at = core_time_add(now, REACH_FIRST);
    node_contacts_persist(n, out);
}

/* `x` points into the batch and dies with the first append, so what is needed of it is copied first. */
static void route_one(struct node *n, core_time now, struct effects *out, uint32_t index)
{
    struct effect *x = &out->items[index];
    const struct effect copy = *x;
    struct node_op *op = node_op_find(n, copy.u.notice.op);
    uint8_t key[HASH_SIZE];
    struct bytes bytes = effects_bytes(out, x);
    struct bytes key_span = bytes_of(key, bytes.size == HASH_SIZE ? HASH_SIZE : 0);
    if (key_span.size)
        memcpy(key, bytes.data, HASH_SIZE);

    bool called = copy.u.notice.kind == DHT_NOTICE_CALLED;
    if (called ? copy.u.notice.a == NAMING_SERVICE : naming_is_op(copy.u.notice.op)) {
        consume(x);
        naming_notice(n->naming, now, &copy, bytes, out); /* the batch's bytes do not move while it grows */
        return;
    }
    if (called) {
        consume(x);
        dht_answer(n->dht, now, copy.u.notice.op, ERR_UNSUPPORTED, bytes_of(NULL, 0), out);
        return;
    }
    switch (copy.u.notice.kind) {
    case DHT_NOTICE_PROVIDER:
        if (copy.u.notice.op & NODE_OP_OURS) {
            consume(x);
            if (op)
                node_ops_provider(n, now, op, &copy, out);
        }
        break;
    case DHT_NOTICE_DONE:
        if (copy.u.notice.op & NODE_OP_OURS) {
            consume(x);
            if (op)
                node_ops_dht_done(n, now, op, out);
        }
        break;
    case DHT_NOTICE_ANNOUNCED:
        x->u.notice.kind = NODE_NOTICE_STORED;
        break;
    case DHT_NOTICE_JOINED:
        on_joined(n, now, out);
        break;
    case DHT_NOTICE_PERSIST:
        consume(x);
        node_contacts_persist(n, out);
        break;
    case DHT_NOTICE_OBSERVED:
        n->reach.observed = copy.u.notice.node.addr;
        break;
    case XFER_NOTICE_NEED_PEERS:
        consume(x);
        if (key_span.size)
            node_ops_providers(n, now, copy.u.notice.op, key, out);
        break;
    case XFER_NOTICE_FIND_ASKED:
        consume(x);
        node_ops_asked(n, now, copy.u.notice.op, (uint32_t)copy.u.notice.a, key_span, out);
        break;
    case XFER_NOTICE_FIND_RESULT:
        consume(x);
        if (op && op->type == OP_FIND)
            node_ops_found(n, now, op, copy.u.notice.status, copy.u.notice.a, out);
        break;
    case XFER_NOTICE_DIALBACK:
        consume(x);
        if (op && op->type == OP_DIALBACK)
            node_ops_dialled_back(n, now, op, copy.u.notice.status, out);
        break;
    case XFER_NOTICE_SESSION_UP:
        if (copy.u.notice.a && copy.u.notice.node.addr.port)
            dht_hint(n->dht, now, copy.u.notice.node.key, &copy.u.notice.node.addr, out);
        break;
    default:
        break;
    }
}

bool node_route(struct node *n, core_time now, struct effects *out)
{
    while (out->routed < out->count) {
        if (out->items[out->routed].kind == EFFECT_NOTICE) {
            if (!effects_room(out, NODE_EFFECTS_PER_CALL, NODE_EFFECT_BYTES_PER_CALL))
                return true;
            route_one(n, now, out, out->routed);
        }
        out->routed++;
    }
    return false;
}

/* ---- Time ---- */

core_time node_deadline(const struct node *n)
{
    core_time own =
        core_time_min(n->alone_at, core_time_min(node_ops_deadline(n), node_contacts_deadline(n)));
    core_time parts = core_time_min(dht_deadline(n->dht), xfer_deadline(n->xfer));
    return core_time_min(own, core_time_min(parts, naming_deadline(n->naming)));
}

static void alone_check(struct node *n, struct effects *out)
{
    struct dht_status status;
    dht_status(n->dht, &status);
    n->alone_at = CORE_NEVER;
    if (status.contacts_live == 0 && !n->alone_told) {
        n->alone_told = true;
        node_notice(out, NODE_NOTICE_ALONE, 0);
    }
}

/* One thing that is due, so that the fan-out of a call stays one part's; the deadline brings the next. */
static bool wake_own(struct node *n, core_time now, struct effects *out)
{
    if (n->alone_at <= now) {
        alone_check(n, out);
        return true;
    }
    return node_contacts_wake(n, now, out) || node_ops_wake(n, now, out);
}

void node_wake(struct node *n, core_time now, struct effects *out)
{
    core_assert(now >= n->last_now);
    core_assert(effects_room(out, NODE_EFFECTS_PER_CALL, NODE_EFFECT_BYTES_PER_CALL));
    n->last_now = now;
    if (wake_own(n, now, out))
        return;
    if (dht_deadline(n->dht) <= now)
        dht_wake(n->dht, now, out);
    if (naming_deadline(n->naming) <= now &&
        effects_room(out, DHT_EFFECTS_PER_CALL + 64, DHT_EFFECT_BYTES_PER_CALL))
        naming_wake(n->naming, now, out);
    if (xfer_deadline(n->xfer) <= now && effects_room(out, XFER_EFFECTS_PER_CALL, XFER_EFFECT_BYTES_PER_CALL))
        xfer_wake(n->xfer, now, out);
}

void node_datagram(struct node *n, core_time now, const struct net_addr *from, const uint8_t *data,
                   size_t size, struct effects *out)
{
    dht_recv(n->dht, now, from, data, size, out);
}

void node_hint(struct node *n, core_time now, const struct node_addr *peer, bool local, struct effects *out)
{
    (void)local;
    if (memcmp(peer->key, n->me->key, NODE_KEY_SIZE) != 0)
        dht_hint(n->dht, now, peer->key, &peer->addr, out);
}

int node_announce(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], bool urgent,
                  uint32_t op, struct effects *out)
{
    core_assert(op <= NODE_OP_MAX);
    return dht_announce(n->dht, now, provider_key, urgent, op, out);
}

void node_unannounce(struct node *n, const uint8_t provider_key[HASH_SIZE])
{
    dht_unannounce(n->dht, provider_key);
}

void node_check(const struct node *n)
{
    dht_check(n->dht);
    xfer_check(n->xfer);
    naming_check(n->naming);
    node_ops_check(n);
}
