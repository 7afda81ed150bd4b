/* The routing table of one address family: buckets by the number of leading bits shared with our position, all in one slab so that an
 * idle node stays small. Only contacts that answered a challenge of ours are in it. In each bucket the live contacts are in
 * order of age, oldest first; a live old one is never evicted for a new one. What finds its bucket full waits in the bucket's
 * replacement cache (newest answer first) and steps in when a contact fails. */
#ifndef SHOAL_DHT_TABLE_H
#define SHOAL_DHT_TABLE_H
#include "dht/dht.h"

#define DHT_BUCKETS     32 /* the last one holds everything nearer; 2^32 nodes before it matters */
#define DHT_NO_SLOT     0xffffu
#define DHT_FAILS_FLAKY 2 /* from here on not told to others, and replaced when the cache has somebody */
#define DHT_FAILS_DEAD  3 /* dropped, provided our own link was seen to work meanwhile */

enum dht_contact_flags {
    DHT_CONTACT_FAILS = 3,  /* mask: failed requests in a row */
    DHT_CONTACT_CHECKED = 4, /* a liveness ping is under way */
    DHT_CONTACT_NEW = 8      /* not yet looked at by dht/handover.c */
};

struct dht_bucket {
    uint16_t live, spare; /* heads of lists through `next` */
    uint8_t live_count, spare_count;
    uint32_t touched_s; /* last lookup in this bucket's range [s since birth] */
};

struct dht_table {
    struct dht_contact *slab;
    uint16_t *next;
    uint8_t *key_print, *site_print; /* per slot, behind `next`: a search touches these few cache lines, not every contact */
    uint64_t self; /* first 8 bytes of our position */
    uint16_t slots, used, free;
    uint8_t k;
    bool large, private_limits;
    struct dht_bucket buckets[DHT_BUCKETS];
};

enum dht_table_result { DHT_TABLE_ADDED, DHT_TABLE_UPDATED, DHT_TABLE_SPARED, DHT_TABLE_REFUSED };

uint16_t dht_table_slots(const struct dht_config *config);
size_t dht_table_links_size(const struct dht_config *config);
/* slab: `slots` contacts; links: dht_table_links_size bytes. Both zeroed and the caller's. */
void dht_table_init(struct dht_table *t, const struct dht_config *config, uint64_t self, struct dht_contact *slab, uint16_t *links);

unsigned dht_table_bucket(const struct dht_table *t, uint64_t position);
uint32_t dht_table_bucket_cap(const struct dht_table *t, unsigned bucket);
/* Live contact or replacement with this key, or NULL. */
struct dht_contact *dht_table_find(const struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position);
/* Would an answer from this stranger be of use? There must be a place for it among the live ones, or nobody who waits for one yet:
 * look-ups bring more who answer than there is room for, so strangers are not asked in order to be the second one who waits. */
bool dht_table_wants(const struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr);
/* The node answered a challenge of ours from `addr`. */
enum dht_table_result dht_table_answered(struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position,
                                         const struct net_addr *addr, uint64_t rtt_us, uint32_t now_s);
/* A request to it timed out. link_alive: something else was heard since, so the fault is not on our side. Returns true when the contact
 * is still in the table and should be asked again soon. */
bool dht_table_failed(struct dht_table *t, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr,
                      bool link_alive);
/* Up to `max` live contacts closest to `target` (first 8 bytes), closest first. flaky: failing ones too, for when nobody else is left. */
uint32_t dht_table_closest(const struct dht_table *t, uint64_t target, bool flaky, const struct dht_contact **out, uint32_t max);
/* A contact that has not answered for `age_s` and is not being checked, or NULL: the longest silent one of those that never failed since,
 * then of those that failed once. *next_s: when the next one becomes stale [s since birth], UINT32_MAX when that is not known. */
struct dht_contact *dht_table_stale(const struct dht_table *t, uint32_t now_s, uint32_t age_s, uint32_t *next_s);
/* The nearest live contact that is marked new, or NULL. */
struct dht_contact *dht_table_new(const struct dht_table *t);
/* The longest silent live contact of a bucket, not being checked, or NULL. */
struct dht_contact *dht_table_oldest(struct dht_table *t, unsigned bucket);
/* The bucket longest without a lookup, down to the deepest used one; *at_s: when it is due. False: empty table. */
bool dht_table_refresh_next(const struct dht_table *t, uint32_t refresh_s, unsigned *bucket, uint32_t *at_s);
void dht_table_touch(struct dht_table *t, uint64_t target, uint32_t now_s);
uint32_t dht_table_count(const struct dht_table *t, bool live_only);
uint32_t dht_table_spares(const struct dht_table *t);
unsigned dht_table_depth(const struct dht_table *t); /* deepest bucket in use + 1; 0 = empty */
void dht_table_check(const struct dht_table *t);

static inline uint8_t dht_contact_fails(const struct dht_contact *c)
{
    return c->flags & DHT_CONTACT_FAILS;
}
/* Round trips as one byte: 8 steps per doubling; 0 = not measured. */
uint8_t dht_rtt_pack(uint64_t us);
uint64_t dht_rtt_unpack(uint8_t rtt);
#endif
