/* Outstanding requests. A request id is 8 bytes: the slot, then 7 bytes of a keyed hash over a counter, so that it cannot be guessed and
 * finds its slot at once; an answer must match id, peer key and address, and is taken once. After the soft time-out a request is
 * "slow": its asker goes on without it, but the answer is still welcome until the hard one. */
#ifndef SHOAL_DHT_PENDING_H
#define SHOAL_DHT_PENDING_H
#include "dht/dht.h"

#define DHT_ID_SIZE 8
#define DHT_PENDING_MAX 250 /* a slot is one byte of the id */

enum dht_purpose { DHT_ASK_NOTHING, DHT_ASK_PING, DHT_ASK_HINT, DHT_ASK_LOOKUP, DHT_ASK_PUT, DHT_ASK_CALL, DHT_ASK_PAGE, DHT_ASK_HANDOVER };

struct dht_lookup;

struct dht_pending {
    core_time sent, soft, hard;
    struct dht_lookup *lookup; /* NULL: nobody waits any more, the answer still feeds the table */
    uint8_t id[DHT_ID_SIZE];
    uint64_t position;
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr;
    uint8_t purpose; /* enum dht_purpose; 0 = free */
    bool slow;
    uint16_t tag; /* DHT_ASK_CALL: which call (dht/call.c); DHT_ASK_PAGE: which pager and place (dht/operation.c) */
};

struct dht_pendings {
    const struct core_alloc *alloc;
    struct dht_pending *slots; /* `size` of them; grown up to `count`, given back when none is used */
    uint16_t size, count, used;
    uint32_t srtt_us, var_us; /* over all peers; 0 = nothing measured */
    uint64_t counter;
    core_time next; /* earliest soft or hard time-out */
};

void dht_pendings_init(struct dht_pendings *p, const struct dht_config *config, const struct core_alloc *alloc);
void dht_pendings_fini(struct dht_pendings *p);
/* NULL when every slot is taken or memory is refused. Moves the others: pointers to slots are void after it. rtt_us: what is known of this peer, 0 = nothing. The slot is filled except lookup and tag. */
struct dht_pending *dht_pending_add(struct dht_pendings *p, const struct dht_config *config, const struct core_crypto *crypto,
                                    const uint8_t secret[32], core_time now, enum dht_purpose purpose,
                                    const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr, uint64_t rtt_us);
/* The request that this answer belongs to, or NULL: unsolicited. */
struct dht_pending *dht_pending_match(struct dht_pendings *p, const uint8_t id[DHT_ID_SIZE], const uint8_t key[NODE_KEY_SIZE],
                                      const struct net_addr *addr);
/* Measures the round trip and frees the slot; returns it [us]. */
uint64_t dht_pending_answered(struct dht_pendings *p, struct dht_pending *slot, core_time now);
/* The next request due at `now`: sets `slow` at the soft time-out (not freed), returns it at the hard one too, still filled; the caller frees it. */
struct dht_pending *dht_pending_due(struct dht_pendings *p, core_time now);
void dht_pending_free(struct dht_pendings *p, struct dht_pending *slot); /* void after it: the other slots' pointers too */
void dht_pending_forget(struct dht_pendings *p, const struct dht_lookup *lookup); /* detaches a lookup that ends */
bool dht_pending_has(const struct dht_pendings *p, const uint8_t key[NODE_KEY_SIZE]);
void dht_pendings_check(const struct dht_pendings *p);
#endif
