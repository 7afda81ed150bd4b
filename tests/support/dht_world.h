/* A small deterministic world of DHT nodes for tests: virtual time, latency = hash of the pair, loss, one event heap ordered by
 * (time, sequence). After every event the node concerned is checked (dht_check) and the bounds on effects are asserted. A node whose
 * deadline stays in the past ends the test (tests/support/spin.h). */
#ifndef SHOAL_TESTS_DHT_WORLD_H
#define SHOAL_TESTS_DHT_WORLD_H
#include "dht/dht.h"
#include "dht/record.h"
#include "node/names/naming.h"
#include "tests/support/spin.h"

struct world_node {
    struct dht_node *dht; /* NULL: down */
    struct naming *naming; /* world.with_names */
    struct node_identity me;
    struct net_addr addr, addr6; /* port 0: family not spoken */
    uint32_t generation;  /* of the armed deadline */
    core_time armed;
    struct spin_watch spin;
    uint64_t sent, sent_bytes, received;
    uint32_t starts;
    int64_t clock_error_ms;
    bool clock_unknown;
};

struct world_notice {
    uint32_t node;
    core_time at;
    struct effect x;
    uint8_t *bytes;
};

struct world;
/* What a hostile or curious test does with a datagram on its way: false = it is lost. May change it (size <= DATAGRAM_MAX).
 * to: UINT32_MAX when nobody has that address. */
typedef bool (*world_tap)(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size);

struct world {
    uint64_t seed;
    core_time now;
    struct dht_config config;
    struct dht_env env;
    struct pool lookups, records;
    struct network network;
    struct world_node *nodes;
    uint32_t count;
    struct world_event *heap;
    uint32_t heap_count, heap_cap;
    uint64_t sequence, events, datagrams, lost, trace;
    uint32_t loss_permille;
    core_time latency_min, latency_max;
    world_tap tap;
    void *tap_context;
    struct world_notice *notices;
    uint32_t notice_count, notice_cap;
    bool checks;          /* dht_check after each event; on by default */
    uint32_t effects_most;
    uint64_t unix_ms;     /* true time at now = 0 */
    bool with_names;      /* before world_start: each node has a naming object beside its DHT (tests/names) */
    struct effect items[512];
    uint8_t bytes[4 * DHT_EFFECT_BYTES_PER_CALL];
    struct effects out;
};

/* config NULL: defaults, for loopback. The world is on the heap. */
struct world *world_new(uint64_t seed, uint32_t count, const struct dht_config *config, const struct core_crypto *crypto);
void world_free(struct world *w);
/* Addresses before world_start; default 127.0.0.1:10000+i (and ::1 when the configuration speaks IPv6). */
void world_start(struct world *w, uint32_t i);
void world_stop(struct world *w, uint32_t i); /* without a word */
void world_hint(struct world *w, uint32_t i, uint32_t other);
/* Starts all, each knowing node 0 only (node 0 knows nobody). */
void world_join_all(struct world *w);
void world_run(struct world *w, core_time until);
bool world_step(struct world *w, core_time until); /* one event */
/* A datagram out of nowhere. Returns what dht_recv said. */
int world_inject(struct world *w, uint32_t to, const struct net_addr *from, const uint8_t *data, size_t size);

/* For entry points of a node's naming: call it with &w->out, then this. */
void world_carry(struct world *w, uint32_t i);
int world_find(struct world *w, uint32_t i, const uint8_t target[32], uint32_t op);
int world_get(struct world *w, uint32_t i, enum dht_kind kind, const uint8_t key[32], uint32_t op);
int world_put(struct world *w, uint32_t i, enum dht_kind kind, const uint8_t key[32], struct bytes record, uint32_t op);
int world_announce(struct world *w, uint32_t i, const uint8_t key[32], bool urgent, uint32_t op);
void world_unannounce(struct world *w, uint32_t i, const uint8_t key[32]);

/* Runs until the operation's DONE (or ANNOUNCED) notice, at most `limit` more; NULL when none came. */
const struct world_notice *world_wait(struct world *w, uint32_t node, uint32_t op, core_time limit);
const struct world_notice *world_notice_find(const struct world *w, uint32_t node, uint32_t op, uint32_t kind, uint32_t skip);
uint32_t world_notice_count(const struct world *w, uint32_t node, uint32_t op, uint32_t kind);
void world_notices_clear(struct world *w);
void world_key(uint8_t out[32], uint64_t seed, uint64_t number); /* a made-up DHT key */
uint64_t world_unix_ms(const struct world *w);
/* Index of the node with this key, or UINT32_MAX. */
uint32_t world_index(const struct world *w, const uint8_t key[NODE_KEY_SIZE]);
/* Is node i among the `k` running nodes closest to the key? (the model that lookups are compared with) */
bool world_is_closest(const struct world *w, uint32_t i, const uint8_t key[32], uint32_t k);
#endif
