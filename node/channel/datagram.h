/* Sealed datagrams (DESIGN.md, "Channel"): version, 8-byte tag keyed for the recipient, sender key, nonce, sealed msgpack; at most 1,200
 * bytes. The tag is checked first; a key exchange is spent on a new sender only within a budget. Sans-I/O. */
#ifndef SHOAL_CHANNEL_DATAGRAM_H
#define SHOAL_CHANNEL_DATAGRAM_H
#include "node/base/id.h"
#include "node/base/pool.h"
#include "node/base/time.h"

#define DATAGRAM_MAX      1200
#define DATAGRAM_VERSION  1
#define DATAGRAM_HEAD     (1 + 8 + NODE_KEY_SIZE + SEAL_NONCE_SIZE)
#define DATAGRAM_OVERHEAD (DATAGRAM_HEAD + SEAL_TAG_SIZE)
#define DATAGRAM_PLAIN_MAX (DATAGRAM_MAX - DATAGRAM_OVERHEAD)

/* One capped pool of derived keys per process, least recently used is evicted. Shared by all nodes of the process (simnet), so entries are
 * found by (our key, peer key). It grows as needed; when memory is refused it goes on with what it has.
 * cap 0: nothing is kept and no budget is drawn on; each datagram derives its key. For a crypto table whose exchange costs less than a
 * look-up in a pool of a hundred thousand nodes (core_crypto_cheap, simnet). */
struct key_pool;
struct key_pool *key_pool_new(const struct core_alloc *alloc, const struct core_crypto *crypto, uint32_t cap); /* NULL: no memory */
void key_pool_free(struct key_pool *p);
size_t key_pool_bytes(const struct key_pool *p);
uint32_t key_pool_count(const struct key_pool *p);
void key_pool_check(const struct key_pool *p); /* asserts every invariant */

/* Per node; small. */
struct datagram_channel {
    const struct node_identity *me;
    const struct network *network;
    const struct core_crypto *crypto;
    struct key_pool *keys;
    uint8_t tag_key[32];             /* ours, as recipient */
    uint8_t pool_secret[16];         /* places in the pool: a stranger cannot choose keys that collide */
    struct core_drbg nonces;
    core_time budget_at;             /* token bucket for key exchanges with new senders */
    uint32_t budget;                 /* [exchanges], refilled by DATAGRAM_NEW_KEYS_PER_SECOND */
    uint64_t bad_tag, bad_seal, over_budget, exchanges; /* counters */
};
#define DATAGRAM_NEW_KEYS_PER_SECOND 200
#define DATAGRAM_NEW_KEYS_BURST      400

void datagram_channel_init(struct datagram_channel *c, const struct node_identity *me, const struct network *network,
                           const struct core_crypto *crypto, struct key_pool *keys, const uint8_t seed[32], core_time now);

/* Seals `size` <= DATAGRAM_PLAIN_MAX bytes for the peer into `out` (size + DATAGRAM_OVERHEAD; `plain` may lie at out + DATAGRAM_HEAD already).
 * Returns the total, or 0 when peer_key is no valid key. */
size_t datagram_seal(struct datagram_channel *c, const uint8_t peer_key[NODE_KEY_SIZE], const uint8_t *plain, size_t size, uint8_t *out);

/* Opens one datagram into `out` (DATAGRAM_PLAIN_MAX bytes, not inside `data`). known: asked only when the sender's key is not in the pool;
 * true = this sender may cost a key exchange beyond the budget (it echoed a token or is in our table). known may be NULL (nobody).
 * ERR_MALFORMED (short, long), ERR_VERSION, ERR_NETWORK (tag: other network or other recipient), ERR_QUOTA, ERR_AUTH (also: our own key, or one
 * that is no valid point, as sender). `sender` is set with success and with ERR_AUTH only. */
int datagram_open(struct datagram_channel *c, core_time now, const uint8_t *data, size_t size, uint8_t sender[NODE_KEY_SIZE],
                  uint8_t *out, size_t *out_size, bool (*known)(void *context, const uint8_t key[NODE_KEY_SIZE]), void *context);
#endif
