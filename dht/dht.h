/* The Kademlia DHT over sealed UDP datagrams: one sans-I/O object per node (docs/protocol.md, "DHT"; DESIGN.md, "DHT").
 *
 * Every entry point takes the time (non-decreasing per node, asserted) and appends to `out` at most DHT_EFFECTS_PER_CALL items and
 * DHT_EFFECT_BYTES_PER_CALL bytes. After each call the host reads dht_deadline and calls dht_wake at or after it; early or late wakes
 * are harmless. Inputs are borrowed for the call. */
#ifndef SHOAL_DHT_H
#define SHOAL_DHT_H
#include "node/base/effects.h"
#include "node/base/err.h"
#include "node/base/id.h"
#include "node/base/pool.h"
#include "node/base/rng.h"
#include "node/base/time.h"
#include "node/channel/datagram.h"

#define DHT_EFFECTS_PER_CALL      48
#define DHT_EFFECT_BYTES_PER_CALL (48 * DATAGRAM_MAX)
#define DHT_KEY_SIZE              32
#define DHT_VALUE_MAX             850
#define DHT_K_MAX                 32

enum dht_kind { DHT_PROVIDER = 1, DHT_PROFILE = 2, DHT_NICK = 3, DHT_KEYWORD = 4 }; /* unknown kinds are answered `unsupported` */

struct dht_config {      /* all that simulation tunes; dht_config_default fills it */
    uint8_t k;           /* contacts per bucket and holders per record */
    uint8_t alpha;       /* requests kept outstanding by a lookup */
    uint8_t paths;       /* disjoint paths of a lookup */
    uint8_t replicas[5]; /* holders per record kind, by enum dht_kind */
    uint8_t first_buckets_large; /* 1: first four buckets hold 128, 64, 32, 16 (Jimenez 2011); 0: plain k */
    uint16_t pending_max;        /* outstanding requests */
    core_time refresh;           /* bucket refresh */
    core_time check;             /* silence after which a contact is asked when another waits for its place */
    core_time provider_life, provider_renew;
    core_time profile_life, profile_republish;
    core_time keyword_life;
    core_time timeout_min, timeout_max; /* bounds of the round-trip based request time-out */
    core_time token_period;      /* secret changed every period, valid for two */
    uint32_t records_max, records_per_source_max, records_per_key_max; /* storage caps of this node */
    uint32_t upload_bytes_per_second; /* replies; 0 = no cap */
    bool unlisted;               /* `do not list me`: this node cannot be reached */
    bool private_limits;         /* private network: diversity per node key instead of per address prefix, on every scope */
    bool ipv6, ipv4;             /* families this node speaks */
};
void dht_config_default(struct dht_config *c);

struct dht_env { /* immutable, one per process; pools are shared by all nodes of the thread */
    const struct dht_config *config;
    const struct core_crypto *crypto;
    struct key_pool *keys;
    const struct core_alloc *alloc;
    struct pool *lookups;  /* objects of dht_lookup_size(config) */
    struct pool *records;  /* objects of dht_record_size() */
};
size_t dht_lookup_size(const struct dht_config *config);
size_t dht_record_size(void);

struct dht_node;
size_t dht_node_size(const struct dht_config *config); /* so that 1 or 100,000 fit one slab */
/* `mem`: dht_node_size bytes, zeroed, owned by the caller until dht_fini. me, network and env are borrowed for the node's life. */
void dht_init(struct dht_node *n, const struct dht_env *env, const struct node_identity *me,
              const struct network *network, const uint8_t seed[32], core_time now);
void dht_fini(struct dht_node *n); /* gives lookups and records back to the pools */

/* Unix time as the host believes, 0 = unknown; used for expiry only (DESIGN.md, "Time"). */
void dht_set_unix_ms(struct dht_node *n, core_time now, uint64_t unix_ms);

/* One datagram. Returns 0, or why it was dropped (ERR_MALFORMED, ERR_UNSOLICITED, ERR_QUOTA, ...): for counters and tests only. */
int dht_recv(struct dht_node *n, core_time now, const struct net_addr *from, const uint8_t *data, size_t size, struct effects *out);
void dht_wake(struct dht_node *n, core_time now, struct effects *out);
core_time dht_deadline(const struct dht_node *n);

/* A node we heard of (invite, cache, multicast, session): contacted once, added to the table only if it answers. */
void dht_hint(struct dht_node *n, core_time now, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr, struct effects *out);

/* Operations. `op` is the owner's number (not 0), echoed in notices. Return 0, or ERR_FULL when the pool of lookups says no (try again
 * later), ERR_RANGE on a bad argument. Every operation that returned 0 ends with exactly one DHT_NOTICE_DONE. */
int dht_find(struct dht_node *n, core_time now, const uint8_t target[DHT_KEY_SIZE], uint32_t op, struct effects *out);
int dht_get(struct dht_node *n, core_time now, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], uint32_t op, struct effects *out);
/* Signed record: value is the whole signed record in its wire form as record_sign (dht/record.h) makes it. */
int dht_put(struct dht_node *n, core_time now, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], struct bytes record, uint32_t op,
            struct effects *out);
void dht_cancel(struct dht_node *n, uint32_t op); /* no notice follows */

/* Provider announcements. The node keeps a sorted set of keys (DHT_ANNOUNCE_MAX) from env->alloc and renews them in walks over key-space
 * regions: one lookup per region, many keys per put. `urgent` keys (just shared) get a lookup at once, with DHT_NOTICE_ANNOUNCED when
 * stored. ERR_FULL, ERR_NO_MEMORY. Re-adding a key is a no-op, unless urgent with an op: then it is
 * announced once more, so that the notice comes. */
#define DHT_ANNOUNCE_MAX 1000000
int dht_announce(struct dht_node *n, core_time now, const uint8_t key[DHT_KEY_SIZE], bool urgent, uint32_t op, struct effects *out);
/* No longer told to who asks, from now on; those who hold its record are told by a walk like the one that announced it, within two
 * seconds of the time of the last call when the network is reachable. The deadline may move. */
void dht_unannounce(struct dht_node *n, const uint8_t key[DHT_KEY_SIZE]);
/* Port on which this node serves streams, told with provider records when it differs from the UDP source port; 0 = same. */
void dht_set_stream_port(struct dht_node *n, uint16_t port);

/* Calls: a datagram to one node and the answer to it, for what stands above the DHT (names, search). `service` says for whom: 1 names (docs/protocol.md,
 * "Names"). The request is padded, so that any answer fits. Sent once more when nothing came. 0, then exactly one DHT_NOTICE_ANSWER; ERR_FULL: too
 * many requests under way, try again later; ERR_RANGE: a bad argument, an address or a family that is not spoken. */
#define DHT_BODY_MAX 1024
int dht_call(struct dht_node *n, core_time now, const struct node_addr *to, uint32_t service, struct bytes body, uint32_t op, struct effects *out);
/* Answers a DHT_NOTICE_CALLED, at once or up to 10 s later; never: dropped. At most DHT_BODY_MAX bytes, and no more than the caller may be sent
 * (a->b of the notice), or ERR_RANGE. ERR_NOT_FOUND: the handle is too old. */
int dht_answer(struct dht_node *n, core_time now, uint32_t handle, int status, struct bytes body, struct effects *out);
/* The address of a contact in the routing table. False: not there. */
bool dht_contact_find(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], struct net_addr *out);
/* Unix time as this node believes (its clock, or the median of its peers' when that is off) [ms]; 0 = unknown. */
uint64_t dht_unix_ms(const struct dht_node *n, core_time now);

/* Notices (EFFECT_NOTICE, u.notice.kind). */
enum dht_notice {
    DHT_NOTICE_NODE = 0x100,   /* a find's result, closest first: node = key and address */
    DHT_NOTICE_PROVIDER,       /* a get's result: node = key and stream address; each provider once per op */
    DHT_NOTICE_RECORD,         /* a get's signed result, verified: bytes = wire form; first valid at once, newer ones later */
    DHT_NOTICE_DONE,           /* op ended: status 0, ERR_NOT_FOUND or ERR_TIMEOUT; a = holders that stored (put) or answered, b = asked */
    DHT_NOTICE_ANNOUNCED,      /* urgent announce ended: a = holders that stored it, b = holders asked */
    DHT_NOTICE_REFUSED,        /* a holder refused a put: status says why; node = holder; at most 4 per op */
    DHT_NOTICE_OBSERVED,       /* peers see us at node.addr (a majority of at least 3 distinct, changed) */
    DHT_NOTICE_CLOCK,          /* our clock is more than 10 minutes from the median of answering peers: a = median unix ms */
    DHT_NOTICE_JOINED,         /* first lookup of ourselves ended with at least one live contact: a = contacts */
    DHT_NOTICE_PERSIST,        /* good moment to save contacts (dht_contacts) */
    DHT_NOTICE_CALLED,         /* op = handle for dht_answer; node = who asks; a = service; b = most bytes an answer may have; bytes = body */
    DHT_NOTICE_ANSWER          /* op of a dht_call ended: status 0 or the callee's refusal, ERR_TIMEOUT; node = callee; bytes = body */
};

struct dht_contact { /* what a table slot holds */
    uint8_t key[NODE_KEY_SIZE];
    uint32_t answered_s;     /* last answer [s since the node's birth] */
    uint8_t position[8];     /* first bytes of BLAKE2b(key) */
    struct net_addr addr;
    uint8_t rtt;             /* round trip, log scale (dht/table.h) */
    uint8_t flags;
};
_Static_assert(sizeof(struct dht_contact) == 64, "one cache line per contact (DESIGN.md, rule 3)");

/* Copies up to `max` live contacts, best first (answered, longest known); for the cache across restarts and for `peers`. */
uint32_t dht_contacts(const struct dht_node *n, struct node_addr *out, uint32_t max);

struct dht_status {
    uint32_t contacts, contacts_live, replacements, pending, lookups, records, announced, announced_stored;
    uint32_t network_size;           /* estimate */
    struct net_addr observed;        /* port 0 = not known */
    bool joined, prefix_limits;      /* prefix_limits: per address prefix; otherwise per node key */
    bool unsolicited_seen;           /* a request came from an address we never contacted: UDP reaches us */
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out, malformed, unsolicited, over_quota;
    uint64_t lookups_done, lookups_failed;
    uint32_t lookup_hops_mean_x100, lookup_rtt_mean_us;
};
void dht_status(const struct dht_node *n, struct dht_status *out);
void dht_check(const struct dht_node *n); /* asserts every invariant */
#endif
