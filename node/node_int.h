/* What node.c, node_ops.c and node_contacts.c share: the node's state, and the calls between the three.
 * Nobody else includes it. */
#ifndef SHOAL_NODE_INT_H
#define SHOAL_NODE_INT_H

#include "node/node.h"

#include "node/base/assert.h"

#define NODE_OPS_MAX 24

/* A question that the node asks on behalf of one part to the other: a slot in a small table, found again by
 * an op number with the top bit set, so that an owner's numbers and ours never meet. */
#define NODE_OP_OURS 0x80000000u

enum op_type { OP_FREE, OP_PROVIDERS, OP_FIND, OP_ASKED, OP_DIALBACK };

struct node_op {
    enum op_type type;
    uint16_t generation;
    uint8_t tries;
    uint32_t owner;   /* the owner's op, a swarm, or a session */
    uint32_t request; /* OP_ASKED: the peer's request number */
    uint32_t count;   /* providers found */
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
    struct dht_env dht_env; /* the parts borrow these for their lives */
    struct xfer_env xfer_env;
    struct dht_node *dht;
    struct xfer *xfer;
    struct naming *naming;
    struct rng rng;
    struct node_op ops[NODE_OPS_MAX];
    core_time restore_at, reach_at, alone_at;
    struct contact_list *restore;
    struct node_tell *tell;
    struct node_reach reach;
    uint16_t stream_port;
    bool joined, alone_told;
    core_time last_now;
};

static inline struct effect *node_notice(struct effects *out, uint32_t kind, uint32_t op)
{
    struct effect *x = effects_add(out, EFFECT_NOTICE);
    x->u.notice.kind = kind;
    x->u.notice.op = op;
    return x;
}

/* ---- node_ops.c: looking for sources, services for other nodes, whether others reach us ---- */

/* NULL when the number is not ours or its op has ended: a late answer. */
struct node_op *node_op_find(struct node *n, uint32_t number);
/* A swarm needs peers: its providers are looked for in the DHT, unless that is under way. */
void node_ops_providers(struct node *n, core_time now, uint32_t swarm, const uint8_t *provider_key,
                        struct effects *out);
void node_ops_provider(struct node *n, core_time now, struct node_op *op, const struct effect *x,
                       struct effects *out);
void node_ops_dht_done(struct node *n, core_time now, struct node_op *op, struct effects *out);
/* The peer of `session` asks what we find; the answer follows when the look-up has ended. */
void node_ops_asked(struct node *n, core_time now, uint32_t session, uint32_t request, struct bytes key,
                    struct effects *out);
/* A third node's answers, or why there are none. */
void node_ops_found(struct node *n, core_time now, struct node_op *op, int status, uint64_t providers,
                    struct effects *out);
void node_ops_dialled_back(struct node *n, core_time now, struct node_op *op, int status,
                           struct effects *out);
core_time node_ops_deadline(const struct node *n);
/* Does one thing that is due; false when nothing was. */
bool node_ops_wake(struct node *n, core_time now, struct effects *out);
void node_ops_check(const struct node *n);

/* ---- node_contacts.c: contacts across restarts, telling every contact ---- */

/* Asks the owner to keep the live contacts; with none it keeps what it has. */
void node_contacts_persist(struct node *n, struct effects *out);
core_time node_contacts_deadline(const struct node *n);
bool node_contacts_wake(struct node *n, core_time now, struct effects *out); /* as node_ops_wake */
void node_contacts_free(struct node *n);

#endif
