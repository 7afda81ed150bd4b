/* A small deterministic world of swarm cores: virtual time, streams with latency, uplinks and downlinks with
 * bandwidth, payload as numbers and an honest flag. Every node is a real `struct xfer`; only the host around
 * it is made up. */
#ifndef SHOAL_TEST_XFER_WORLD_H
#define SHOAL_TEST_XFER_WORLD_H
#include "tests/support/spin.h"
#include "transfer/xfer.h"

#define WORLD_NODES_MAX    64
#define WORLD_CONTENTS_MAX 64

enum xworld_vice { /* what a node's host does wrong */
                   VICE_NONE,
                   VICE_POLLUTER,  /* its leaves do not match their hashes */
                   VICE_BAD_PROOF, /* its proofs do not lead to the root */
                   VICE_LIAR,      /* says it has everything, and fails every read */
                   VICE_SILENT,    /* takes requests and never sends payload */
                   VICE_NO_PROOF   /* sends leaves but never a proof */
};

struct xworld_params {
    uint64_t seed;
    core_time latency; /* one way */
    struct xfer_config config;
    const struct core_alloc *alloc; /* NULL: libc */
    bool check;                     /* xfer_check after every event */
};

struct xworld_content {
    struct content_id id;
    uint8_t provider_key[HASH_SIZE];
    bool pack;
    struct xfer_geometry geometry;
};

struct xworld_node {
    struct xworld *world;
    uint32_t index;
    struct node_identity me;
    struct net_addr addr;
    struct xfer_env env;
    struct xfer *xfer;
    uint64_t up, down; /* [bytes/s] */
    core_time up_free, down_free;
    enum xworld_vice vice;
    uint32_t silent_after; /* VICE_SILENT: leaves sent before it falls silent */
    uint32_t leaves_sent;
    uint32_t changed_every; /* entries of packs whose index it divides are no longer what they were; 0: none */
    uint32_t entry_notices;
    bool answers_content;                /* tells its core about swarms it has */
    uint32_t swarms[WORLD_CONTENTS_MAX]; /* by content index; 0 = none */
    bool complete[WORLD_CONTENTS_MAX];
    core_time complete_at[WORLD_CONTENTS_MAX];
    uint32_t chunk_notices, idle_notices, need_notices, banned_notices, session_up, session_down,
        trouble_notices;
    struct net_addr observed;
    uint8_t banned_key[NODE_KEY_SIZE];
    uint32_t find_result, find_op, dialback_op, app_count;
    int find_status, dialback_status;
    uint8_t app[1024];
    size_t app_size;
    bool gives_peers; /* the world answers NEED_PEERS with everybody who has the content */
    bool unreachable; /* dials to it fail */
    core_time armed;
    struct spin_watch spin;
    int write_fails; /* status for the next leaves results; 0 = none */
};

struct xworld {
    struct xworld_params params;
    struct network network;
    core_time now;
    uint32_t node_count, content_count;
    struct xworld_node *nodes[WORLD_NODES_MAX];
    struct xworld_content contents[WORLD_CONTENTS_MAX];
    uint64_t control_hash, control_bytes, payload_bytes, events, payload_from[WORLD_NODES_MAX];
    struct xworld_event *heap;
    uint32_t heap_count, heap_cap;
    uint64_t sequence;
    struct xworld_stream **streams;
    uint32_t stream_count, stream_cap;
    struct effects out;
    struct effect items[256];
    uint8_t bytes[65536];
};

void xworld_params_default(struct xworld_params *p);
struct xworld *xworld_new(const struct xworld_params *p);
void xworld_free(struct xworld *w);
/* Bytes per second each way. NULL: its core found no memory. */
struct xworld_node *xworld_add(struct xworld *w, uint64_t up, uint64_t down);
void xworld_remove(struct xworld *w, struct xworld_node *n); /* its streams break at once */
uint32_t xworld_content(struct xworld *w, uint64_t size);    /* index */
uint32_t xworld_pack(struct xworld *w, uint32_t entries, uint32_t mean_bytes);
/* Adds a swarm. have: bitmap of chunks or NULL. */
bool xworld_seed(struct xworld_node *n, uint32_t content);
bool xworld_leech(struct xworld_node *n, uint32_t content);
bool xworld_swarm(struct xworld_node *n, uint32_t content, struct xfer_swarm_params *extra);
void xworld_know(struct xworld_node *n, uint32_t content, struct xworld_node *of);
/* Runs until `until`, or until done(context) is true. Returns whether it was. */
bool xworld_run(struct xworld *w, core_time until, bool (*done)(struct xworld *w, void *context),
                void *context);
void xworld_step(struct xworld_node *n); /* carries out what a call of the test's own left in w->out */
bool xworld_all_complete(struct xworld *w, void *content_index);
void xworld_cut(struct xworld_node *a, struct xworld_node *b); /* breaks the streams between them */
#define XWORLD_OUT(n) (&(n)->world->out)
#endif
