/* Questions between the parts and to third nodes: providers for a swarm, a look-up done for another node, a
 * look-up and a dial back asked of one. Each has a slot in the table of ops, which a deadline or an answer
 * frees. */
#include "node/node_int.h"

#define OP_TIMEOUT  CORE_SECONDS(20)
#define FIND_TRIES  3
#define ASKED_MAX   8 /* look-ups done for other nodes at once */
#define REACH_AGAIN CORE_MINUTES(60)
#define REACH_RETRY CORE_MINUTES(2)

static uint32_t op_number(const struct node *n, const struct node_op *op)
{
    return NODE_OP_OURS | (uint32_t)(op->generation & 0x7fff) << 8 | (uint32_t)(op - n->ops);
}

static struct node_op *op_take(struct node *n, enum op_type type, core_time deadline)
{
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++) {
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
struct node_op *node_op_find(struct node *n, uint32_t number)
{
    uint32_t slot = number & 0xff;
    if (!(number & NODE_OP_OURS) || slot >= NODE_OPS_MAX)
        return NULL;
    struct node_op *op = &n->ops[slot];
    return op->type != OP_FREE && op_number(n, op) == number ? op : NULL;
}

static uint32_t op_count(const struct node *n, enum op_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++)
        count += n->ops[i].type == type;
    return count;
}

/* ---- Looking for sources ---- */

void node_ops_providers(struct node *n, core_time now, uint32_t swarm, const uint8_t *provider_key,
                        struct effects *out)
{
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++) {
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

void node_ops_provider(struct node *n, core_time now, struct node_op *op, const struct effect *x,
                       struct effects *out)
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

void node_ops_dht_done(struct node *n, core_time now, struct node_op *op, struct effects *out)
{
    if (op->type == OP_ASKED)
        xfer_answer_find(n->xfer, now, op->owner, op->request, op->count, out);
    op->type = OP_FREE;
}

/* ---- Services for other nodes ---- */

void node_ops_asked(struct node *n, core_time now, uint32_t session, uint32_t request, struct bytes key,
                    struct effects *out)
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

int node_find(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], uint32_t op_owner,
              struct effects *out)
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

void node_ops_found(struct node *n, core_time now, struct node_op *op, int status, uint64_t providers,
                    struct effects *out)
{
    /* Nothing found may be one node's bad view: another one is asked before we believe it. */
    if ((status != 0 || providers == 0) && ask_third(n, now, op, out))
        return;
    struct effect *x = node_notice(out, NODE_NOTICE_FOUND, op->owner);
    x->u.notice.status = status;
    x->u.notice.a = providers;
    memcpy(x->u.notice.node.key, op->third.key, NODE_KEY_SIZE);
    x->u.notice.node.addr = op->third.addr;
    op->type = OP_FREE;
}

/* ---- Can others reach us? ---- */

static void reach_start(struct node *n, core_time now, struct effects *out)
{
    n->reach_at = core_time_add(now, rng_jitter(&n->rng, REACH_RETRY, 10));
    if (op_count(n, OP_DIALBACK))
        return;
    struct node_op *op = n->stream_port ? op_take(n, OP_DIALBACK, CORE_NEVER) : NULL;
    if (op && !ask_third(n, now, op, out))
        op->type = OP_FREE;
}

void node_ops_dialled_back(struct node *n, core_time now, struct node_op *op, int status, struct effects *out)
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
        node_notice(out, NODE_NOTICE_REACHABLE, 0);
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
        return r->datagram == NODE_REACH_YES
                   ? "another node dialled us back, and requests of strangers arrive"
                   : "another node dialled us back";
    case NODE_REACH_NO:
        return r->reason == ERR_REFUSED ? "others are refused at our address: a firewall, or a router that "
                                          "forwards to another machine"
                                        : "others get no answer at our address: behind NAT or a firewall; "
                                          "open or forward the port for TCP and UDP";
    case NODE_REACH_ALONE:
        return "nobody is there to ask: join a network with an invite, or wait for neighbours";
    case NODE_REACH_UNKNOWN:
        break;
    }
    return "not tested yet";
}

/* ---- Time ---- */

core_time node_ops_deadline(const struct node *n)
{
    core_time t = n->reach_at;
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++) {
        if (n->ops[i].type != OP_FREE)
            t = core_time_min(t, n->ops[i].deadline);
    }
    return t;
}

static void op_expired(struct node *n, core_time now, struct node_op *op, struct effects *out)
{
    if (op->type == OP_FIND) {
        node_ops_found(n, now, op, ERR_TIMEOUT, 0, out);
    } else if (op->type == OP_DIALBACK) {
        node_ops_dialled_back(n, now, op, ERR_CLOSED, out);
    } else if (op->type == OP_ASKED) {
        uint32_t number = op_number(n, op);
        node_ops_dht_done(n, now, op, out);
        dht_cancel(n->dht, number);
    } else {
        op->deadline = CORE_NEVER;
    }
}

bool node_ops_wake(struct node *n, core_time now, struct effects *out)
{
    if (n->reach_at <= now) {
        reach_start(n, now, out);
        return true;
    }
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++) {
        if (n->ops[i].type != OP_FREE && n->ops[i].deadline <= now) {
            op_expired(n, now, &n->ops[i], out);
            return true;
        }
    }
    return false;
}

void node_ops_check(const struct node *n)
{
    for (uint32_t i = 0; i < NODE_OPS_MAX; i++)
        core_assert(n->ops[i].type <= OP_DIALBACK);
}
