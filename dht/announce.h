/* The provider keys that this node announces: a sorted set, grown from env->alloc. Keys are hashes, so a table of small sorted buckets by
 * leading bits keeps insertion cheap at a million keys and a walk over a key-space region a scan. Each key knows when it is due; a
 * region walk (dht/walk.c) takes all due keys of a region at once. A key that is no longer wanted stays, `gone`, until a walk has told those
 * who hold its record. */
#ifndef SHOAL_DHT_ANNOUNCE_H
#define SHOAL_DHT_ANNOUNCE_H
#include "dht/dht.h"

#define DHT_DUE_URGENT 0u
#define DHT_DUE_NEVER  UINT32_MAX /* a walk carries it */

struct dht_announced {
    uint8_t key[DHT_KEY_SIZE];
    uint32_t op;            /* told when it is stored, once; 0 = nobody asked */
    uint32_t due_s;         /* [s since birth] */
    uint16_t walk;          /* the walk that carries it, 0 = none */
    uint8_t stored;         /* holders that stored it in the walk under way */
    uint8_t stored_before;  /* in the last finished walk */
    uint8_t failures;       /* walks in a row that stored (gone: reached) nothing */
    bool gone;              /* to be withdrawn, then removed */
};

struct dht_announce_bucket;
struct dht_announce {
    const struct core_alloc *alloc;
    struct dht_announce_bucket *buckets;
    uint32_t bits, count, stored_count, gone_count;
    uint32_t next_due_s;    /* exact; DHT_DUE_NEVER when none */
};

void dht_announce_init(struct dht_announce *a, const struct core_alloc *alloc);
void dht_announce_fini(struct dht_announce *a);
/* ERR_EXISTS: nothing changed. ERR_FULL, ERR_NO_MEMORY. A key that is gone comes back and counts as new. */
int dht_announce_add(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE], uint32_t due_s, uint32_t op);
bool dht_announce_remove(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE]);
/* Marks it gone and due, or removes it at once when no walk ever carried it. False: gone or unknown already. */
bool dht_announce_withdraw(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE], uint32_t due_s);
struct dht_announced *dht_announce_find(struct dht_announce *a, const uint8_t key[DHT_KEY_SIZE]);
/* The first key whose leading 8 bytes are at least `from`, or NULL. Valid until the set changes. */
struct dht_announced *dht_announce_from(struct dht_announce *a, uint64_t from);
void dht_announce_set_due(struct dht_announce *a, struct dht_announced *e, uint32_t due_s);
/* The key due first, if that is at or before now_s. */
struct dht_announced *dht_announce_due(struct dht_announce *a, uint32_t now_s);
void dht_announce_check(const struct dht_announce *a);
#endif
