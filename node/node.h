/* A node: the DHT and the swarm core joined into one sans-I/O object. It decides what neither can alone: when to look for providers, what to
 * announce, which contacts to keep, who may ask for a look-up, whether others can reach this node.
 *
 * The host drives it like this: call an entry point (here, or xfer_* / dht_* / naming_* on the parts), then node_route on the batch, then carry the effects
 * out, then arm one timer for node_deadline. node_route handles the notices that the parts emit for each other and may append more effects;
 * it must be called until it returns false. Notices it does not consume are the host's. */
#ifndef SHOAL_NODE_H
#define SHOAL_NODE_H
#include "dht/dht.h"
#include "node/names/naming.h"
#include "transfer/xfer.h"

/* Room that the caller offers to every entry point of the node or of its parts: the node may call several entry points of its parts for one notice. */
#define NODE_EFFECTS_PER_CALL      512
#define NODE_EFFECT_BYTES_PER_CALL (160 * 1024)
_Static_assert(NODE_EFFECTS_PER_CALL >= 4 * DHT_EFFECTS_PER_CALL, "room for several calls");
_Static_assert(NODE_EFFECTS_PER_CALL >= 4 * XFER_EFFECTS_PER_CALL, "room for several calls");
_Static_assert(NODE_EFFECT_BYTES_PER_CALL >= DHT_EFFECT_BYTES_PER_CALL + 8 * XFER_EFFECT_BYTES_PER_CALL, "room for several calls");

struct node_config {
    struct dht_env dht;
    struct xfer_env xfer;
    const struct node_identity *me; /* borrowed for the node's life, as is network */
    const struct network *network;
    uint8_t seed[32];               /* from the system at each start, never stored; in simnet from the scenario */
    uint16_t stream_port;           /* 0: takes no streams */
    uint32_t names_cache;           /* profiles of nodes nobody pinned; 0 = 256 */
};

struct node;
struct node *node_new(const struct node_config *config, core_time now); /* NULL: no memory */
void node_free(struct node *n);
struct xfer *node_xfer(struct node *n);
struct dht_node *node_dht(struct node *n);
struct naming *node_naming(struct node *n);

core_time node_deadline(const struct node *n);
void node_wake(struct node *n, core_time now, struct effects *out);
/* Looks at effects from out->routed on; what it consumes becomes NODE_NOTICE_CONSUMED, which hosts skip. Returns true when it stopped for want of
 * room (NODE_EFFECTS_PER_CALL items, NODE_EFFECT_BYTES_PER_CALL bytes): make room, call again. */
bool node_route(struct node *n, core_time now, struct effects *out);
void node_datagram(struct node *n, core_time now, const struct net_addr *from, const uint8_t *data, size_t size, struct effects *out);
/* What EFFECT_PERSIST gave under this key before a restart (node.h's keys below); unusable bytes are ignored. */
enum node_persist_key { NODE_PERSIST_CONTACTS = 1 };
void node_restore(struct node *n, core_time now, uint32_t key, struct bytes bytes);
/* A node heard of: by invite, cache, multicast (local = true), link. */
void node_hint(struct node *n, core_time now, const struct node_addr *peer, bool local, struct effects *out);

/* Ops that owners give to the node must be in 1 .. NODE_OP_MAX; the rest is the node's own. */
#define NODE_OP_MAX 0x7fffffffu
/* Announce this content (root of a share, or a big file in a tree) in the DHT; urgent: at once, with NODE_NOTICE_STORED. */
int node_announce(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], bool urgent, uint32_t op, struct effects *out);
void node_unannounce(struct node *n, const uint8_t provider_key[HASH_SIZE]);
/* Command `find`: ask a third node (not us, not a holder we chose) whether it finds providers. Ends with NODE_NOTICE_FOUND. */
int node_find(struct node *n, core_time now, const uint8_t provider_key[HASH_SIZE], uint32_t op, struct effects *out);
/* Sends an application message to every node we have a contact for, dialling those without a session; paced. For network rotate. */
int node_tell_all(struct node *n, core_time now, struct bytes message, uint32_t op, struct effects *out);

enum node_notice {
    NODE_NOTICE_CONSUMED = 0,
    NODE_NOTICE_STORED = 0x300,  /* op; a = holders that stored, b = asked; status */
    NODE_NOTICE_FOUND,           /* op; a = providers the third node found, node = it; status */
    NODE_NOTICE_TOLD,            /* op; a = nodes told, b = tried */
    NODE_NOTICE_REACHABLE,       /* reachability changed: node_reach */
    NODE_NOTICE_ALONE            /* looked, and nobody answers */
};

enum node_reachability { NODE_REACH_UNKNOWN, NODE_REACH_YES, NODE_REACH_NO, NODE_REACH_ALONE };
struct node_reach {
    enum node_reachability stream, datagram;
    int reason;                  /* enum shoal_error of the last failed dial-back; 0 */
    struct net_addr observed;    /* as peers see us */
    core_time tested;
};
void node_reach(const struct node *n, struct node_reach *out);
const char *node_reach_text(const struct node_reach *r); /* one sentence for `status` */
void node_check(const struct node *n);
#endif
