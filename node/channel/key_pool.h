/* The inside of the key pool, for datagram.c and the tests of this room. */
#ifndef SHOAL_CHANNEL_KEY_POOL_H
#define SHOAL_CHANNEL_KEY_POOL_H
#include "node/channel/datagram.h"

struct key_pair {
    uint8_t ours[NODE_KEY_SIZE], peer[NODE_KEY_SIZE];
    uint8_t send[SEAL_KEY_SIZE], receive[SEAL_KEY_SIZE];
};

/* False: a pool of cap 0, which nothing may be looked up in. */
bool key_pool_keeps(const struct key_pool *p);
/* Where (ours, peer) belongs: a hash keyed by the owner's secret, so that nobody can aim at one place. */
uint32_t key_pool_place(const struct key_pool *p, const uint8_t secret[16], const uint8_t peer[NODE_KEY_SIZE]);
/* Found: becomes the most recently used. NULL: not there. The pointer is valid until the next insert. */
const struct key_pair *key_pool_find(struct key_pool *p, uint32_t place, const uint8_t ours[NODE_KEY_SIZE],
                                     const uint8_t peer[NODE_KEY_SIZE]);
/* Not there yet. Evicts the least recently used at the cap, or when memory is refused. */
const struct key_pair *key_pool_insert(struct key_pool *p, uint32_t place, const struct key_pair *pair);
#endif
