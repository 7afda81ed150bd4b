/* The world: nodes in one array, the network between them, and who is told what. It drives the shipped cores
 * as node/host/core.c does: call an entry point, route, carry the effects out, take the deadline.
 *
 *     struct effects *out = sim_out(w);
 *     dht_find(n->dht, w->now, ..., out);   any entry point of the node or of its parts
 *     sim_carry(w, i);                      routes, carries out, sets the deadline
 *
 * sim_carry may be reached again from inside an effect (a flow that fails at once): then the inner call only
 * marks the node and the outer one goes on. */
#ifndef SIMNET_WORLD_WORLD_H
#define SIMNET_WORLD_WORLD_H
#include "node/node.h"
#include "simnet/engine/events.h"
#include "simnet/engine/random.h"
#include "simnet/report/metrics.h"
#include "simnet/scenario/config.h"

enum sim_event_kind {
    SIM_EVENT_DEADLINE,
    SIM_EVENT_DATAGRAM,
    SIM_EVENT_START,
    SIM_EVENT_STOP,
    SIM_EVENT_CRASH,
    SIM_EVENT_LOAD,
    SIM_EVENT_TICK,
    SIM_EVENT_FLOW /* and above: the flow's own kinds */
};
enum sim_load {
    SIM_LOAD_LOOKUP,
    SIM_LOAD_GET,
    SIM_LOAD_ANNOUNCE,
    SIM_LOAD_FETCH,
    SIM_LOAD_WITHDRAW,
    SIM_LOAD_MISS,
    SIM_LOAD_PROFILE,
    SIM_LOADS
};

#define SIM_UNIX_MS 1790000000000u /* the true time at the clock's 0 */

struct sim_world;

struct sim_op { /* an operation of a node's DHT that a load began */
    struct sim_op *next;
    core_time began;
    uint32_t op, load, target; /* target: node looked for, or number of the published key */
    bool demanded, found;      /* demanded: faults are over, so it must succeed */
    bool ghost;                /* asks for what was taken back long ago: must not be found */
};

struct sim_node {
    /* One cache line: what others need of it to send to it. */
    struct dht_node *dht;  /* NULL: down */
    struct node *node;     /* NULL: down, or a run without streams */
    struct sim_nat *holes; /* NULL: not behind a NAT */
    struct net_addr addr;
    bool hostile, nat, gone; /* gone: has left for good, by the swarm's load */
    uint8_t nat_kind;        /* enum sim_nat_kind, where `nat` */
    int32_t x, y, height;    /* place [us] */
    /* One more: what its own events need. */
    core_time woken; /* woken, wakes: how often at this very time (a node that spins) */
    uint32_t wakes;
    uint32_t index, number; /* number: of its last event as a source */
    uint32_t draws;         /* of network draws as a sender */
    uint32_t life;          /* counts starts; what is scheduled for a former life is dropped */
    uint32_t op;            /* of its last operation */
    struct sim_op *ops;     /* operations under way, newest first */
    core_time started;
    void *flow; /* the flow's own */
    /* The rest. */
    struct node_identity me;
    uint8_t *saved; /* what EFFECT_PERSIST (or the DHT's contacts) gave last; survives a stop */
    uint32_t saved_size;
    struct sim_random churn, load;
};

/* How streams and transfers hang on. All may be NULL. `effect` gets DIAL, HANGUP, READY, CONTENT, SERVE and
 * the notices that the world does not consume; x and bytes are borrowed for the call. */
struct sim_flow {
    void (*begin)(struct sim_world *w); /* after the nodes' places are set, before any starts */
    void (*end)(struct sim_world *w);   /* before the world is freed; nodes are stopped already */
    void (*node_up)(struct sim_world *w, uint32_t i);
    void (*node_down)(struct sim_world *w,
                      uint32_t i); /* before the node's objects are freed: streams break */
    void (*effect)(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes);
    void (*event)(struct sim_world *w, const struct sim_event *e); /* kinds >= SIM_EVENT_FLOW; owns e->data */
    void (*drop)(struct sim_world *w,
                 struct sim_event *e);  /* such an event will not come any more: free e->data */
    void (*check)(struct sim_world *w); /* invariants; called at ticks when checks are on */
};

struct sim_world {
    const struct sim_config *config; /* borrowed, like metrics and flow */
    struct sim_metrics *metrics;
    const struct sim_flow *flow; /* NULL: none */
    void *flow_state;
    core_time now, begin, end; /* begin: the run's time 0; the clock itself starts later, see world.c */
    uint64_t seed;
    struct sim_events *events;
    struct sim_trace trace;
    struct sim_node *nodes;
    uint32_t count, up, hostile_first; /* the hostile are the last nodes */
    struct network network;
    struct dht_env env;
    struct xfer_env xfer_env;
    struct pool dhts, lookups, records, datagrams, ops;
    struct core_alloc alloc; /* counts what nodes hold */
    uint64_t held;           /* [bytes] */
    struct effects batch[2];
    unsigned filling;
    uint32_t carrying; /* the node whose effects are carried out, or UINT32_MAX */
    bool again, quiet, begun,
        filling_up;  /* quiet: faults and churn are over; filling_up: the oracle is at work */
    uint32_t number; /* events whose source is the world */
    uint64_t events_done, datagrams_sent, datagrams_lost, bytes_sent, checks_done, bytes_done;
    uint64_t paper_bytes; /* sent, as net.paper_bytes counts them */
    struct sim_loads *loads;  /* world/load.c's own */
    struct sim_names *names;  /* world/names.c's; NULL: no such load */
    struct sim_measures *ids; /* numbers of the metrics */
    core_time demand_at;      /* from here on what begins must succeed; CORE_NEVER: no such time */
    char failure[512];        /* a checker's finding; empty = none. The run ends. */
};

/* flow may be NULL. NULL: no memory. Nodes are placed but not started; sim_world_run starts them. */
struct sim_world *sim_world_new(const struct sim_config *config, struct sim_metrics *metrics,
                                const struct sim_flow *flow);
void sim_world_free(struct sim_world *w); /* checks that memory is back to its baseline */
/* Runs to `until`; false: a checker failed (w->failure says what). */
bool sim_world_run(struct sim_world *w, core_time until);

struct effects *sim_out(struct sim_world *w);
void sim_carry(struct sim_world *w, uint32_t i);
/* Puts an event in; its number is the next of `from`. from may be SIM_WORLD. at >= w->now. */
void sim_world_at(struct sim_world *w, core_time at, uint32_t to, uint32_t from, uint16_t kind, uint64_t a,
                  uint64_t b, void *data);
void sim_node_start(struct sim_world *w, uint32_t i);
void sim_node_stop(struct sim_world *w, uint32_t i); /* without a word */
uint32_t sim_node_at(const struct sim_world *w,
                     const struct net_addr *addr); /* UINT32_MAX: nobody lives there */
uint32_t sim_node_of(const struct sim_world *w, const uint8_t key[NODE_KEY_SIZE],
                     const struct net_addr *addr); /* key must match too */
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* network.c: one-way delay [us] from a to b without jitter; symmetric. */
core_time sim_delay(const struct sim_world *w, uint32_t a, uint32_t b);
core_time sim_delay_jittered(const struct sim_world *w, uint32_t a, uint32_t b,
                             uint64_t draw); /* draw: 64 random bits */
bool sim_pair_deaf(const struct sim_world *w, uint32_t a,
                   uint32_t b); /* cannot talk now: deaf pair or partition */
uint32_t sim_loss(const struct sim_world *w, uint32_t from, uint32_t to); /* of this path now [ppm] */
/* faults.c: what is broken now; nothing once the world is quiet. */
bool sim_fault_cut(const struct sim_world *w, uint32_t from, uint32_t to); /* a partition lies between */
/* When what is due at `at` really comes: later, if the link from..to is clogged then. */
core_time sim_fault_clogged(const struct sim_world *w, uint32_t from, uint32_t to, core_time at);
core_time sim_fault_slow(const struct sim_world *w, uint32_t i); /* so much later node i does what it does */
uint64_t sim_fault_unix_ms(const struct sim_world *w, uint32_t i); /* what its clock shows */
bool sim_fault_disk_full(const struct sim_world *w, uint32_t i);   /* what it saves now is lost */
void sim_place_nodes(struct sim_world *w);
void sim_send(struct sim_world *w, uint32_t from, const struct net_addr *to, struct bytes bytes);
/* paper.c: what a datagram counts by net.paper_bytes. */
uint64_t sim_paper_bytes(struct bytes sealed);
/* Where `from` seems to send from, as `to` sees it: another port than its own behind a symmetric NAT. */
struct net_addr sim_seen_from(const struct sim_world *w, uint32_t from, uint32_t to);
/* May this datagram come in through the receiver's NAT? */
bool sim_nat_passes(const struct sim_world *w, uint32_t to, uint32_t from);

/* life.c */
core_time sim_span_draw(const struct sim_span *s, struct sim_random *r); /* CORE_NEVER: never */
void sim_node_event(struct sim_world *w, const struct sim_event *e);
void sim_node_save(struct sim_world *w, uint32_t i, struct bytes bytes);

/* load.c */
void sim_loads_new(struct sim_world *w);
void sim_loads_free(struct sim_world *w);
void sim_load_started(struct sim_world *w, uint32_t i);
void sim_load_stopped(struct sim_world *w, uint32_t i); /* its operations end with it */
void sim_load_event(struct sim_world *w, const struct sim_event *e);
/* bytes: the notice's, borrowed. true: was an operation's. */
bool sim_load_notice(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes);
void sim_load_check(struct sim_world *w); /* every operation ends in time */

/* fill.c: oracle. Every node's table as after a long life in a network where nobody left. */
void sim_fill(struct sim_world *w);
#endif
