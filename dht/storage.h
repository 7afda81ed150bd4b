/* What a node keeps for others: provider records and signed records, all made of equal objects from the shared pool env->records (a head,
 * chunks of a signed record's bytes, counters per source). Nothing is allocated until the first record comes.
 *
 * Caps: in all, per kind, per key, per publisher, per address prefix (globally routable addresses only), keywords and nicknames per
 * publisher. When it is full, who goes first: expired; then farthest from us; then of the source that holds most; then soonest
 * expiring. A newcomer that would be first to go itself is refused. Looked for among the soonest expiring and a sample, not all. */
#ifndef SHOAL_DHT_STORAGE_H
#define SHOAL_DHT_STORAGE_H
#include "dht/record.h"
#include "node/base/rng.h"

#define DHT_NICKS_PER_SOURCE    8
#define DHT_KEYWORDS_PER_SOURCE 1024

struct dht_source;
struct dht_chunk;

struct dht_stored {
    struct dht_stored *next; /* same hash chain */
    struct dht_source *publisher_count, *prefix_count;
    struct dht_chunk *data; /* signed records: the wire form */
    uint64_t sequence;
    uint8_t key[DHT_KEY_SIZE], publisher[NODE_KEY_SIZE];
    struct net_addr addr; /* provider: where it serves streams */
    uint16_t size;        /* of the wire form [bytes] */
    uint32_t expires_s, republish_s; /* [s since birth]; republish 0 = never */
    uint32_t heap_index;
    uint8_t kind;
};

struct dht_storage {
    const struct dht_env *env;
    uint64_t self, salt;
    struct rng rng;
    struct dht_stored **chains;
    struct dht_source **sources;
    struct dht_stored **heap; /* by expiry, soonest first */
    uint32_t chain_count, source_chain_count, heap_cap, count, source_count;
    uint32_t kind_count[8];
    uint64_t evicted, refused;
};

void dht_storage_init(struct dht_storage *s, const struct dht_env *env, uint64_t self, uint64_t seed);
void dht_storage_fini(struct dht_storage *s);

/* `from`: the datagram's source, for the prefix quota; NULL for our own records. Returns 0 (also when it was there already), ERR_QUOTA,
 * ERR_FULL, ERR_NO_MEMORY, ERR_STALE (an older sequence, or the same with other content). The caller has verified everything. */
int dht_storage_put_provider(struct dht_storage *s, uint32_t now_s, const uint8_t key[DHT_KEY_SIZE],
                             const uint8_t publisher[NODE_KEY_SIZE], const struct net_addr *addr, const struct net_addr *from,
                             uint32_t life_s);
int dht_storage_put_signed(struct dht_storage *s, uint32_t now_s, const struct dht_record_view *view, struct bytes wire,
                           const uint8_t key[DHT_KEY_SIZE], const struct net_addr *from, uint32_t life_s, uint32_t republish_s);

/* Records under a key: first and next, NULL at the end. */
struct dht_stored *dht_storage_first(const struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE]);
struct dht_stored *dht_storage_next(const struct dht_stored *r);
struct dht_stored *dht_storage_find(const struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE],
                                    const uint8_t publisher[NODE_KEY_SIZE]);
/* False: there is none. */
bool dht_storage_remove(struct dht_storage *s, uint8_t kind, const uint8_t key[DHT_KEY_SIZE], const uint8_t publisher[NODE_KEY_SIZE]);
/* Copies the wire form (r->size bytes). */
void dht_stored_copy(const struct dht_stored *r, uint8_t *out);
/* Removes up to `max` expired records; returns how many. */
uint32_t dht_storage_expire(struct dht_storage *s, uint32_t now_s, uint32_t max);
/* After expiry times were changed in place. */
void dht_storage_reorder(struct dht_storage *s);
uint32_t dht_storage_expiry(const struct dht_storage *s); /* of the soonest; UINT32_MAX when empty */
void dht_storage_check(const struct dht_storage *s);
#endif
