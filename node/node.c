/* Joins the DHT and the swarm core. Each question the node asks on behalf of one part to the other is a node_op: a slot in a small
 * table, found again by an op number with the top bit set, so that an owner's numbers and ours never meet. */
#include "node/node.h"

#include "node/base/assert.h"
#include "node/base/pack.h"
#include "node/base/wire.h"

#define OP_OURS        0x80000000u
#define OPS_MAX        24
#define OP_TIMEOUT     CORE_SECONDS(20)
#define FIND_TRIES     3
#define ASKED_MAX      8                 /* look-ups done for other nodes at once */
#define REACH_FIRST    CORE_SECONDS(3)   /* after the join */
#define REACH_AGAIN    CORE_MINUTES(60)
#define REACH_RETRY    CORE_MINUTES(2)
#define ALONE_AFTER    CORE_SECONDS(8)
#define CONTACTS_KEPT  64
#define RESTORE_AT_ONCE 4
#define TELL_AT_ONCE   4
#define TELL_MAX       256

enum op_type { OP_FREE, OP_PROVIDERS, OP_FIND, OP_ASKED, OP_DIALBACK };

struct node_op {
    enum op_type type;
    uint16_t generation;
    uint8_t tries;
    uint32_t owner;      /* the owner's op, a swarm, or a session */
    uint32_t request;    /* OP_ASKED: the peer's request number */
    uint32_t count;      /* providers found */
    core_time deadline;
    uint8_t key[HASH_SIZE];
    struct node_addr third;
};

struct contact_list { /* heap, only while there is something in it */
    uint32_t count, next;
    struct node_addr items[];
};

struct node_tell { /* network rotate: one at a time */
    bool active;
    uint32_t op, told, tried;
    core_time next;
    struct contact_list *list;
    size_t size;
    uint8_t message[1024];
};

struct node {
    const struct node_identity *me;
    const struct network *network;
    const struct core_alloc *alloc;
    const struct core_crypto *crypto;
    struct dht_env dht_env;   /* the parts borrow these for their lives */
    struct xfer_env xfer_env;
    struct dht_node *dht;
    struct xfer *xfer;
    struct naming *naming;
    struct rng rng;
    struct node_op ops[OPS_MAX];
    core_time restore_at, reach_at, alone_at;
    struct contact_list *restore;
    struct node_tell *tell;
    struct node_reach reach;
    uint16_t stream_port;
    bool joined, alone_told;
    core_time last_now;
};

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
    struct naming_config names = {.dht = n->dht, .me = n->me, .network = n->network, .crypto = n->crypto, .alloc = alloc,
                                  .seed = get_be64(config->seed + 8), .cache_max = config->names_cache ? config->names_cache : 256};
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

static void list_free(struct node *n, struct contact_list **list)
{
    n->alloc->free(n->alloc->context, *list);
    *list = NULL;
}

static void tell_free(struct node *n)
{
    if (!n->tell)
        return;
    list_free(n, &n->tell->list);
    n->alloc->free(n->alloc->context, n->tell);
    n->tell = NULL;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    tell_free(n);
    list_free(n, &n->restore);
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

/* ---- The table of our own questions ---- */

static uint32_t op_number(const struct node *n, const struct node_op *op)
{
    return OP_OURS | (uint32_t)(op->generation & 0x7fff) << 8 | (uint32_t)(op - n->ops);
}

static struct node_op *op_take(struct node *n, enum op_type type, core_time deadline)
{
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        struct node_op *op = &n->ops[i];
        if (op->type != OP_FREE)
            continue;
        uint16_t generation = (uint16_t)(op->generation + 1);
        memset(op, 0, sizeof *op);
        op->generation = generation;
        op->type = type;
        op->deadline = deadline;
        return op;
    }
    return NULL;
}

/* NULL when the number is not ours or its op has ended: a late answer. */
static struct node_op *op_find(struct node *n, uint32_t number)
{
    uint32_t slot = number & 0xff;
    if (!(number & OP_OURS) || slot >= OPS_MAX)
        return NULL;
    struct node_op *op = &n->ops[slot];
    return op->type != OP_FREE && op_number(n, op) == number ? op : NULL;
}

static uint32_t op_count(const struct node *n, enum op_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < OPS_MAX; i++)
        count += n->ops[i].type == type;
    return count;
}

static struct effect *notice(struct effects *out, uint32_t kind, uint32_t op)
{
    struct effect *x = effects_add(out, EFFECT_NOTICE);
    x->u.notice.kind = kind;
    x->u.notice.op = op;
    return x;
}

/* ---- Looking for sources ---- */

static void providers_start(struct node *n, core_time now, uint32_t swarm, const uint8_t *provider_key, struct effects *out)
{
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        if (n->ops[i].type == OP_PROVIDERS && n->ops[i].owner == swarm)
            return;
    }
    struct node_op *op = op_take(n, OP_PROVIDERS, CORE_NEVER);
    if (!op)
        return; /* the swarm asks again later */
    op->owner = swarm;
    memcpy(op->key, provider_key, HASH_SIZE);
    if (dht_get(n->dht, now, DHT_PROVIDER, provider_key, op_number(n, op), out) != 0)
        op->type = OP_FREE;
}

static void on_provider(struct node *n, core_time now, struct node_op *op, const struct effect *x, struct effects *out)
{
    struct node_addr found;
    memcpy(found.key, x->u.notice.node.key, NODE_KEY_SIZE);
    found.addr = x->u.notice.node.addr;
    if (memcmp(found.key, n->me->key, NODE_KEY_SIZE) == 0)
        return;
    op->count++;
    if (op->type == OP_PROVIDERS)
        xfer_swarm_peer(n->xfer, now, op->owner, found.key, &found.addr, XFER_SOURCE_DHT, out);
}

/* ---- Services for other nodes ---- */

static void find_asked(struct node *n, core_time now, uint32_t session, uint32_t request, struct bytes key, struct effects *out)
{
    struct node_op *op = NULL;
    if (key.size == HASH_SIZE && op_count(n, OP_ASKED) < ASKED_MAX)
        op = op_take(n, OP_ASKED, core_time_add(now, OP_TIMEOUT));
    if (!op) {
        xfer_answer_find(n->xfer, now, session, request, 0, out);
        return;
    }
    op->owner = session;
    op->request = request;
    memcpy(op->key, key.data, HASH_SIZE);
    if (dht_get(n->dht, now, DHT_PROVIDER, op->key, op_number(n, op), out) != 0) {
        xfer_answer_find(n->xfer, now, session, request, 0, out);
        op->type = OP_FREE;
    }
}

/* A contact drawn by lot, not the one that `third` held before, goes there; false: there is none. */
static bool third_node(struct node *n, struct node_addr *third)
{
    struct node_addr contacts[16];
    uint32_t count = dht_contacts(n->dht, contacts, 16), start;
    if (count == 0)
        return false;
    start = rng_below(&n->rng, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct node_addr *next = &contacts[(start + i) % count];
        if (memcmp(next->key, third->key, NODE_KEY_SIZE) == 0)
            continue;
        *third = *next;
        return true;
    }
    return true; /* the only one there is: asked once more */
}

/* Dials a third node and asks it; on to the next one until FIND_TRIES. False: nobody left to ask. */
static bool ask_third(struct node *n, core_time now, struct node_op *op, struct effects *out)
{
    while (op->tries < FIND_TRIES && third_node(n, &op->third)) {
        op->tries++;
        op->deadline = core_time_add(now, OP_TIMEOUT / 2);
        uint32_t session = xfer_session_dial(n->xfer, now, op->third.key, &op->third.addr, out);
        if (session == 0)
            continue;
        int r = op->type == OP_FIND ? xfer_ask_find(n->xfer, now, session, op->key, op_number(n, op), out)
                                    : xfer_ask_dialback(n->xfer, now, session, op_number(n, op), out);
        if (r == 0)
            return true;
    }
    return false;
}

int node_find(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], uint32_t op_owner, struct effects *out)
{
    core_assert(op_owner >= 1 && op_owner <= NODE_OP_MAX);
    struct node_op *op = op_take(n, OP_FIND, CORE_NEVER);
    if (!op)
        return ERR_FULL;
    op->owner = op_owner;
    memcpy(op->key, provider_key, HASH_SIZE);
    if (!ask_third(n, now, op, out)) {
        op->type = OP_FREE;
        return ERR_NO_SOURCES;
    }
    return 0;
}

static void find_ended(struct node *n, core_time now, struct node_op *op, int status, uint64_t providers, struct effects *out)
{
    /* Nothing found may be one node's bad view: another one is asked before we believe it. */
    if ((status != 0 || providers == 0) && ask_third(n, now, op, out))
        return;
    struct effect *x = notice(out, NODE_NOTICE_FOUND, op->owner);
    x->u.notice.status = status;
    x->u.notice.a = providers;
    memcpy(x->u.notice.node.key, op->third.key, NODE_KEY_SIZE);
    x->u.notice.node.addr = op->third.addr;
    op->type = OP_FREE;
}

/* ---- Can others reach us? ---- */

static void reach_tell(struct node *n, struct effects *out)
{
    (void)n;
    notice(out, NODE_NOTICE_REACHABLE, 0);
}

static void reach_start(struct node *n, core_time now, struct effects *out)
{
    n->reach_at = core_time_add(now, rng_jitter(&n->rng, REACH_RETRY, 10));
    if (op_count(n, OP_DIALBACK))
        return;
    struct node_op *op = n->stream_port ? op_take(n, OP_DIALBACK, CORE_NEVER) : NULL;
    if (op && !ask_third(n, now, op, out))
        op->type = OP_FREE;
}

static void reach_ended(struct node *n, core_time now, struct node_op *op, int status, struct effects *out)
{
    enum node_reachability before = n->reach.stream;
    bool asked_peer_failed = status == ERR_CLOSED || status == ERR_UNSUPPORTED;
    if (status != 0 && ask_third(n, now, op, out))
        return;
    op->type = OP_FREE;
    if (asked_peer_failed)
        return; /* no verdict; reach_at is set */
    n->reach.stream = status == 0 ? NODE_REACH_YES : NODE_REACH_NO;
    n->reach.reason = status;
    n->reach.tested = now;
    n->reach_at = core_time_add(now, rng_jitter(&n->rng, REACH_AGAIN, 10));
    if (n->reach.stream != before)
        reach_tell(n, out);
}

void node_reach(const struct node *n, struct node_reach *out)
{
    struct dht_status status;
    dht_status(n->dht, &status);
    *out = n->reach;
    if (status.observed.port)
        out->observed = status.observed;
    out->datagram = status.unsolicited_seen ? NODE_REACH_YES : NODE_REACH_UNKNOWN;
    if (status.contacts_live == 0) {
        out->datagram = NODE_REACH_ALONE;
        if (out->stream == NODE_REACH_UNKNOWN)
            out->stream = NODE_REACH_ALONE;
    }
}

const char *node_reach_text(const struct node_reach *r)
{
    switch (r->stream) {
    case NODE_REACH_YES:
        return r->datagram == NODE_REACH_YES ? "another node dialled us back, and requests of strangers arrive"
                                             : "another node dialled us back";
    case NODE_REACH_NO:
        return r->reason == ERR_REFUSED
                   ? "others are refused at our address: a firewall, or a router that forwards to another machine"
                   : "others get no answer at our address: behind NAT or a firewall; open or forward the port for TCP and UDP";
    case NODE_REACH_ALONE:
        return "nobody is there to ask: join a network with an invite, or wait for neighbours";
    case NODE_REACH_UNKNOWN:
        break;
    }
    return "not tested yet";
}

/* ---- Contacts across restarts ---- */

static void contacts_persist(struct node *n, struct effects *out)
{
    struct node_addr contacts[CONTACTS_KEPT];
    uint32_t count = dht_contacts(n->dht, contacts, CONTACTS_KEPT);
    if (count == 0)
        return; /* never replace a good list by nothing: we may only be off the network for a while */
    struct effect *x = effects_add(out, EFFECT_PERSIST);
    uint32_t cap = 16 + CONTACTS_KEPT * (NODE_KEY_SIZE + NET_ADDR_WIRE_MAX + 8);
    struct pack p;
    x->u.persist.key = NODE_PERSIST_CONTACTS;
    pack_init(&p, effects_reserve(out, x, cap), cap);
    pack_array(&p, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t addr[NET_ADDR_WIRE_MAX];
        size_t size = net_addr_to_wire(addr, &contacts[i].addr);
        pack_array(&p, 2);
        pack_bin(&p, contacts[i].key, NODE_KEY_SIZE);
        pack_bin(&p, addr, size);
    }
    core_assert(pack_ok(&p));
    effects_commit(out, x, (uint32_t)p.size);
}

static struct contact_list *list_new(struct node *n, uint32_t cap)
{
    return n->alloc->alloc(n->alloc->context, sizeof(struct contact_list) + cap * sizeof(struct node_addr));
}

void node_restore(struct node *n, core_time now, uint32_t key, struct bytes bytes)
{
    struct wire w;
    if (key != NODE_PERSIST_CONTACTS || n->restore)
        return;
    wire_init(&w, bytes.data, bytes.size);
    uint32_t count = wire_array(&w, CONTACTS_KEPT);
    struct contact_list *list = count ? list_new(n, count) : NULL;
    if (!list)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct node_addr *to = &list->items[list->count];
        if (wire_array(&w, 2) != 2)
            wire_fail(&w);
        wire_bin_exact(&w, to->key, NODE_KEY_SIZE);
        struct bytes addr = wire_bin(&w, NET_ADDR_WIRE_MAX);
        if (wire_ok(&w) && net_addr_from_wire(&to->addr, addr.data, addr.size))
            list->count++;
    }
    n->restore = list;
    n->restore_at = now;
}

static void restore_some(struct node *n, core_time now, struct effects *out)
{
    struct contact_list *list = n->restore;
    if (list->next < list->count) {
        struct node_addr *a = &list->items[list->next++];
        dht_hint(n->dht, now, a->key, &a->addr, out);
    }
    n->restore_at = core_time_add(now, list->next % RESTORE_AT_ONCE ? 0 : CORE_MS(50));
    if (list->next == list->count) {
        n->restore_at = CORE_NEVER;
        list_free(n, &n->restore);
    }
}

/* ---- Telling every contact ---- */

int node_tell_all(struct node *n, core_time now, struct bytes message, uint32_t op, struct effects *out)
{
    (void)out;
    core_assert(op >= 1 && op <= NODE_OP_MAX);
    if (message.size > sizeof n->tell->message)
        return ERR_RANGE;
    if (n->tell)
        return ERR_BUSY;
    struct node_tell *tell = n->alloc->alloc(n->alloc->context, sizeof *tell);
    struct contact_list *list = tell ? list_new(n, TELL_MAX) : NULL;
    if (!list) {
        n->alloc->free(n->alloc->context, tell);
        return ERR_NO_MEMORY;
    }
    list->count = dht_contacts(n->dht, list->items, TELL_MAX);
    tell->active = true;
    tell->op = op;
    tell->list = list;
    tell->next = now;
    tell->size = message.size;
    memcpy(tell->message, message.data, message.size);
    n->tell = tell;
    return 0;
}

static void tell_some(struct node *n, core_time now, struct effects *out)
{
    struct node_tell *tell = n->tell;
    struct contact_list *list = tell->list;
    if (list->next < list->count) {
        struct node_addr *a = &list->items[list->next++];
        uint32_t session = xfer_session_dial(n->xfer, now, a->key, &a->addr, out);
        tell->tried++;
        if (session && xfer_send_app(n->xfer, now, session, bytes_of(tell->message, tell->size), out) == 0)
            tell->told++;
        tell->next = core_time_add(now, list->next % TELL_AT_ONCE ? 0 : CORE_MS(100));
        return;
    }
    struct effect *x = notice(out, NODE_NOTICE_TOLD, tell->op);
    x->u.notice.a = tell->told;
    x->u.notice.b = tell->tried;
    tell_free(n);
}

/* ---- Routing notices between the parts ---- */

static void consume(struct effect *x)
{
    x->u.notice.kind = NODE_NOTICE_CONSUMED;
}

static void dht_op_done(struct node *n, core_time now, struct node_op *op, struct effects *out)
{
    if (op->type == OP_ASKED)
        xfer_answer_find(n->xfer, now, op->owner, op->request, op->count, out);
    op->type = OP_FREE;
}

static void on_joined(struct node *n, core_time now, struct effects *out)
{
    n->joined = true;
    n->alone_at = CORE_NEVER;
    n->alone_told = false;
    naming_joined(n->naming, now);
    if (n->reach.stream == NODE_REACH_UNKNOWN)
        n->reach_at = core_time_add(now, REACH_FIRST);
    contacts_persist(n, out);
}

/* `x` points into the batch and dies with the first append, so what is needed of it is copied first. */
static void route_one(struct node *n, core_time now, struct effects *out, uint32_t index)
{
    struct effect *x = &out->items[index];
    const struct effect copy = *x;
    struct node_op *op = op_find(n, copy.u.notice.op);
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
        if (copy.u.notice.op & OP_OURS) {
            consume(x);
            if (op)
                on_provider(n, now, op, &copy, out);
        }
        break;
    case DHT_NOTICE_DONE:
        if (copy.u.notice.op & OP_OURS) {
            consume(x);
            if (op)
                dht_op_done(n, now, op, out);
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
        contacts_persist(n, out);
        break;
    case DHT_NOTICE_OBSERVED:
        n->reach.observed = copy.u.notice.node.addr;
        break;
    case XFER_NOTICE_NEED_PEERS:
        consume(x);
        if (key_span.size)
            providers_start(n, now, copy.u.notice.op, key, out);
        break;
    case XFER_NOTICE_FIND_ASKED:
        consume(x);
        find_asked(n, now, copy.u.notice.op, (uint32_t)copy.u.notice.a, key_span, out);
        break;
    case XFER_NOTICE_FIND_RESULT:
        consume(x);
        if (op && op->type == OP_FIND)
            find_ended(n, now, op, copy.u.notice.status, copy.u.notice.a, out);
        break;
    case XFER_NOTICE_DIALBACK:
        consume(x);
        if (op && op->type == OP_DIALBACK)
            reach_ended(n, now, op, copy.u.notice.status, out);
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

static core_time own_deadline(const struct node *n)
{
    core_time t = core_time_min(core_time_min(n->restore_at, n->reach_at), n->alone_at);
    if (n->tell)
        t = core_time_min(t, n->tell->next);
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        if (n->ops[i].type != OP_FREE)
            t = core_time_min(t, n->ops[i].deadline);
    }
    return t;
}

core_time node_deadline(const struct node *n)
{
    core_time parts = core_time_min(dht_deadline(n->dht), xfer_deadline(n->xfer));
    return core_time_min(own_deadline(n), core_time_min(parts, naming_deadline(n->naming)));
}

static void op_expired(struct node *n, core_time now, struct node_op *op, struct effects *out)
{
    if (op->type == OP_FIND) {
        find_ended(n, now, op, ERR_TIMEOUT, 0, out);
    } else if (op->type == OP_DIALBACK) {
        reach_ended(n, now, op, ERR_CLOSED, out);
    } else if (op->type == OP_ASKED) {
        uint32_t number = op_number(n, op);
        dht_op_done(n, now, op, out);
        dht_cancel(n->dht, number);
    } else {
        op->deadline = CORE_NEVER;
    }
}

static void alone_check(struct node *n, core_time now, struct effects *out)
{
    struct dht_status status;
    dht_status(n->dht, &status);
    n->alone_at = CORE_NEVER;
    if (status.contacts_live == 0 && !n->alone_told) {
        n->alone_told = true;
        notice(out, NODE_NOTICE_ALONE, 0);
    }
    (void)now;
}

/* One thing that is due, so that the fan-out of a call stays one part's; the deadline brings the next. */
static bool wake_own(struct node *n, core_time now, struct effects *out)
{
    if (n->restore_at <= now) {
        restore_some(n, now, out);
    } else if (n->reach_at <= now) {
        reach_start(n, now, out);
    } else if (n->alone_at <= now) {
        alone_check(n, now, out);
    } else if (n->tell && n->tell->next <= now) {
        tell_some(n, now, out);
    } else {
        for (uint32_t i = 0; i < OPS_MAX; i++) {
            if (n->ops[i].type != OP_FREE && n->ops[i].deadline <= now) {
                op_expired(n, now, &n->ops[i], out);
                return true;
            }
        }
        return false;
    }
    return true;
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
    if (naming_deadline(n->naming) <= now && effects_room(out, DHT_EFFECTS_PER_CALL + 64, DHT_EFFECT_BYTES_PER_CALL))
        naming_wake(n->naming, now, out);
    if (xfer_deadline(n->xfer) <= now && effects_room(out, XFER_EFFECTS_PER_CALL, XFER_EFFECT_BYTES_PER_CALL))
        xfer_wake(n->xfer, now, out);
}

void node_datagram(struct node *n, core_time now, const struct net_addr *from, const uint8_t *data, size_t size, struct effects *out)
{
    dht_recv(n->dht, now, from, data, size, out);
}

void node_hint(struct node *n, core_time now, const struct node_addr *peer, bool local, struct effects *out)
{
    (void)local;
    if (memcmp(peer->key, n->me->key, NODE_KEY_SIZE) != 0)
        dht_hint(n->dht, now, peer->key, &peer->addr, out);
}

int node_announce(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], bool urgent, uint32_t op, struct effects *out)
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
    for (uint32_t i = 0; i < OPS_MAX; i++)
        core_assert(n->ops[i].type <= OP_DIALBACK);
}
