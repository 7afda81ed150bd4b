/* One iterative lookup: which contact to ask next and when to stop. Pure bookkeeping: it sends nothing and knows no clock.
 *
 * Candidates are sorted by distance to the target; each belongs to one disjoint path and one family. A path ends when its own closest
 * have answered, the lookup when all paths have and the `width` closest of each family have too. Hearsay is asked once, at
 * most k entries count per teller, and when a teller's first entries turn out dead the rest of them are dropped. */
#ifndef SHOAL_DHT_LOOKUP_H
#define SHOAL_DHT_LOOKUP_H
#include "dht/message.h"
#include "dht/record.h"

#define DHT_SEEN_MAX        256 /* values told apart per get; more are not reported */
#define DHT_TELLER_DEAD_MAX 4  /* dead entries after which a teller with no good one is not believed */
#define DHT_REFUSED_MAX     4  /* DHT_NOTICE_REFUSED per operation */
#define DHT_LOOKUP_PATHS    8
#define DHT_PAGERS          3  /* holders of many keywords' records that are paged through, in one get */

enum dht_mode { DHT_MODE_FIND, DHT_MODE_REFRESH, DHT_MODE_SELF, DHT_MODE_GET, DHT_MODE_PUT, DHT_MODE_REPUBLISH, DHT_MODE_ANNOUNCE };

enum dht_candidate_state { DHT_NEW, DHT_ASKED, DHT_SLOW, DHT_ANSWERED, DHT_FAILED };
enum dht_store_state { DHT_STORE_NONE, DHT_STORE_SENT, DHT_STORE_STORED, DHT_STORE_REFUSED, DHT_STORE_FAILED };

enum dht_renew_state { DHT_RENEW_NONE, DHT_RENEW_SENT, DHT_RENEW_DIFFERS }; /* differs: this holder gets the keys in full */

struct dht_candidate {
    uint64_t position, distance;
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr;
    uint8_t state, family, path, depth, store, tries;
    uint8_t token[DHT_TOKEN_SIZE];
    bool has_token;
    uint8_t rtt;
    uint16_t id, teller;            /* teller: id of the candidate that told of it; 0 = our own table */
    uint8_t told, told_dead, told_good;
    uint16_t put_count;             /* announce: keys in the put under way */
    uint8_t renew;                  /* announce: enum dht_renew_state */
    uint64_t cursor;                /* announce: where the next put to this holder starts (first 8 bytes of a key) */
};

struct dht_seen {
    uint64_t id;
    uint64_t sequence;
};

struct dht_pager { /* a holder with more records than fit one answer */
    uint16_t candidate; /* its id */
    uint16_t next, held;
};

struct dht_lookup {
    struct dht_lookup *next;
    core_time started;
    uint64_t target;               /* first 8 bytes of the key */
    uint64_t radius;               /* dense region: everything this near is asked; 0 = not dense */
    uint8_t key[DHT_KEY_SIZE];
    uint32_t op;
    uint8_t mode, kind, families, paths;
    uint8_t refused, region_bits;
    bool storing, renewing;
    bool withdrawing;              /* announce: its keys are to be forgotten */
    uint16_t width, count, cap, next_id;
    uint16_t walk;                 /* announce: marks the keys that this lookup carries */
    uint64_t region_cursor;        /* announce: next key to report when it ends */
    uint16_t asked, answered, stored, store_asked;
    uint16_t paging;               /* requests for pages under way */
    uint8_t pager_count;
    struct dht_pager pagers[DHT_PAGERS];
    int status;                    /* last refusal */
    uint8_t depth;
    uint32_t rtt_sum_us;
    uint16_t seen_count, record_size;
    struct dht_seen seen[DHT_SEEN_MAX];
    uint8_t record[DHT_RECORD_WIRE_MAX];
    struct dht_candidate candidates[];
};

uint16_t dht_lookup_cap(const struct dht_config *config);
/* `l` is zeroed memory of dht_lookup_size. */
void dht_lookup_init(struct dht_lookup *l, const struct dht_config *config, enum dht_mode mode, const uint8_t key[DHT_KEY_SIZE],
                     uint8_t families, uint8_t paths, uint16_t width, core_time now);
/* teller: the id of the candidate that told of it, 0 for our own table. Moves candidates: pointers to others are void after it.
 * NULL when it is not wanted: known, too far, over the teller's share, or too near in address to another. */
struct dht_candidate *dht_lookup_add(struct dht_lookup *l, const struct dht_config *config, const uint8_t key[NODE_KEY_SIZE],
                                     uint64_t position, const struct net_addr *addr, uint16_t teller, uint8_t path);
struct dht_candidate *dht_lookup_find(struct dht_lookup *l, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr);
/* The next candidate to ask now, or NULL (enough are under way, or nothing is left). The caller sends, then sets ASKED. */
struct dht_candidate *dht_lookup_next(struct dht_lookup *l, const struct dht_config *config);
/* Also, at once, when a find for a node's own position has its answer. */
bool dht_lookup_finished(struct dht_lookup *l, const struct dht_config *config);
void dht_lookup_mark_answered(struct dht_lookup *l, struct dht_candidate *c);
void dht_lookup_mark_slow(struct dht_lookup *l, struct dht_candidate *c);
void dht_lookup_mark_failed(struct dht_lookup *l, struct dht_candidate *c);
/* After the search: are the answers much denser around the target than `network_size` allows (an eclipse of the key)? Then widens the
 * lookup to everything within the radius that honest nodes would fill, and returns true: go on. */
bool dht_lookup_widen(struct dht_lookup *l, const struct dht_config *config, uint32_t network_size);
/* The i-th closest that answered, of all families, each key once; NULL at the end. */
struct dht_candidate *dht_lookup_holder(struct dht_lookup *l, uint32_t i);
/* Does a value count as new? Remembers it. *newer: known before, with a lower sequence. */
bool dht_lookup_seen(struct dht_lookup *l, uint64_t id, uint64_t sequence);
/* Number of nodes that the distances of the answered ones speak for; 0 = cannot say. */
uint32_t dht_lookup_estimate(struct dht_lookup *l, uint32_t k);
void dht_lookup_check(const struct dht_lookup *l);
#endif
