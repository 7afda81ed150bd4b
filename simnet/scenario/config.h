/* What one run is. All that a scenario file or --set can say lands in this struct; all that a run does
 * follows from it and from nothing else.
 *
 * Times are in microseconds (core_time), sizes in bytes, rates in bytes a second, shares in parts per million
 * (ppm) so that no floating point decides anything that it need not. The key of a field in a file is its
 * section and name: net.loss, churn.session, node.dht.k, load.lookup.every. */
#ifndef SIMNET_SCENARIO_CONFIG_H
#define SIMNET_SCENARIO_CONFIG_H
#include "dht/dht.h"
#include "transfer/xfer.h"

#define SIM_PPM       1000000u
#define SIM_TEXT_MAX  256
#define SIM_LINES_MAX 16

enum sim_crypto { SIM_CRYPTO_CHEAP, SIM_CRYPTO_REAL };
enum sim_join {
    SIM_JOIN_HONEST,
    SIM_JOIN_ORACLE
}; /* oracle: tables are filled by the world before time 0; reports must say so */
enum sim_latency { SIM_LATENCY_CONSTANT, SIM_LATENCY_UNIFORM, SIM_LATENCY_COORDINATES };
enum sim_distribution { SIM_NEVER, SIM_CONSTANT, SIM_EXPONENTIAL, SIM_WEIBULL };
enum sim_bandwidth { SIM_FLOW, SIM_PACKET };
enum sim_nat_kind { /* RFC 4787's words: how a port is filtered; SYMMETRIC also maps anew for each peer */
    SIM_NAT_PORT,   /* lets in the address and port that was sent to */
    SIM_NAT_FULL,   /* anybody, once something was sent */
    SIM_NAT_ADDRESS, /* the address that was sent to, from any port */
    SIM_NAT_SYMMETRIC
};
enum sim_split { SIM_SPLIT_HALVES, SIM_SPLIT_ONE, SIM_SPLIT_UNIFORM };
enum sim_attack {
    SIM_ATTACK_NONE,
    SIM_ATTACK_DROP,
    SIM_ATTACK_LIE,
    SIM_ATTACK_ECLIPSE,
    SIM_ATTACK_CENSOR,
    SIM_ATTACK_POLLUTE,
    SIM_ATTACK_FREERIDE
};

enum sim_names_attack { SIM_NAMES_NONE, SIM_NAMES_SQUAT, SIM_NAMES_STALE, SIM_NAMES_SPAM, SIM_NAMES_ALL };

struct sim_span { /* how long something lasts; text: "never", "1h", "exponential mean 1h", "weibull 0.615
                     scale 169.5min", "weibull 0.5 mean 10000s" */
    enum sim_distribution kind;
    double shape;    /* Weibull */
    core_time scale; /* constant: the value; exponential: the mean; Weibull: the scale (a mean is converted
                        when it is read) */
};

struct sim_config {
    struct { /* [scenario] */
        char name[64], about[SIM_TEXT_MAX], note[SIM_TEXT_MAX * 4];
        uint64_t seed;
        uint32_t nodes;
        core_time warm, measure; /* metrics are taken after `warm`, for `measure` */
        enum sim_join join;
        core_time join_spread; /* nodes start within this time, evenly */
        enum sim_crypto crypto;
        bool streams;         /* whole `struct node`s with transfers; off: `struct dht_node` alone */
        uint32_t check_every; /* full invariants of the node touched, every so many events; 1 = always, 0 =
                                 never */
    } scenario;
    struct { /* [net] */
        enum sim_latency latency;
        core_time latency_min, latency_max; /* constant: min; uniform: both, one way */
        uint32_t jitter;                    /* ppm of the delay */
        core_time floor;                    /* least one-way delay */
        uint32_t loss;                      /* ppm of datagrams, all paths alike; besides: */
        bool loss_measured;                 /* SIMNET.md's classes of paths: 90 % 0.1 %, 9 % 0.7 %, 1 % 3 % */
        uint32_t deaf_pairs;                /* ppm of pairs that cannot talk at all */
        uint32_t nat;                       /* ppm of nodes behind a NAT; nobody opens a stream to them */
        uint32_t nat_full, nat_address, nat_symmetric; /* ppm of those; the others are port restricted */
        uint64_t up, down;                  /* access links, 0 = endless */
        enum sim_bandwidth bandwidth;
        uint32_t mixed;  /* ppm of nodes with a quarter of `up` */
        uint32_t window; /* stream window [bytes] */
        bool paper_bytes; /* also counts bytes as Li 2005 does (world/paper.c) */
        core_time queue; /* packet mode: what a link's queue holds, in time at its rate */
    } net;
    struct { /* [churn] */
        struct sim_span session, offline;
        uint32_t abrupt;    /* ppm of leaves without a word (all of the DHT's are: it says no good-bye) */
        bool keep_contacts; /* what was persisted is given back at the next start */
        uint32_t stay;      /* the first so many nodes never leave */
    } churn;
    struct { /* [node] */
        struct dht_config dht;
        struct xfer_config xfer;
        uint32_t key_pool; /* derived keys kept by all nodes together */
    } node;
    struct {                      /* [load] */
        struct sim_span lookup;   /* find of a random key, per node */
        struct sim_span get;      /* get of a random published profile, per node */
        struct sim_span announce; /* urgent announce of a fresh key, per node */
        struct sim_span withdraw; /* takes back one of its own announced keys, per node */
        struct sim_span fetch;    /* get of a random announced key, per node */
        struct sim_span miss;     /* get of a random key that nobody announced, per node */
        uint32_t profiles;        /* ppm of nodes that put a profile after joining */
        uint32_t profile_bytes;
        bool names;              /* nodes publish profiles and sites, and list files (world/names.c; whole nodes only) */
        uint32_t files;          /* listed by each */
        struct sim_span name;    /* a look at a node never seen, per node */
        struct sim_span site;    /* a new version of its site, per node */
        struct sim_span search;  /* for one or two words of somebody's file, per node */
        struct sim_span nick;    /* who claims a nickname, per node */
        bool live_targets; /* lookups are for a living node's position, and succeed when it is found (Li 2005,
                              Heep 2010) */
    } load;
    struct {            /* [hostile] */
        uint32_t share; /* ppm of nodes */
        enum sim_attack attack;
        uint32_t prefixes; /* the hostile live on so many /24s; 0 = each on its own */
        enum sim_names_attack names; /* what they do to names (world/names_hostile.c) */
        uint32_t placed;   /* so many hostile identities are ground to lie near the victim key */
    } hostile;
    struct {                           /* [fault] */
        core_time split_at, split_for; /* a partition */
        enum sim_split split;          /* halves; one node against all; each pair by a coin */
        bool split_one_way;            /* datagrams still pass from the higher number to the lower */
        struct sim_span crash;         /* per node: stop and start at once with what was persisted */
        uint32_t replay, reorder;      /* ppm of datagrams delivered twice; delayed by up to a second more */
        uint32_t clog;                 /* ppm of directed links that hold everything back, drawn anew every 5 s */
        uint32_t slow;                 /* ppm of nodes that do everything late, by up to: */
        core_time slow_by;
        uint32_t clock;      /* ppm of nodes whose clock is wrong, by up to this, either way: */
        core_time clock_off;
        uint32_t disk_full;  /* ppm of saves that are lost */
        core_time quiet_at; /* from here on no loss, no faults, no churn: progress is demanded; 0 = never */
        bool drawn;         /* fuzz: this struct is drawn from the seed first (sim_config_draw) */
    } fault;
    struct {                   /* [swarm] */
        uint64_t bytes;        /* size of the content; 0 = no swarm */
        uint32_t seeds, peers; /* of the nodes; peers start at `start`, within `spread` */
        core_time start, spread;
        bool leave_when_done;
        core_time seed_leaves; /* after start; 0 = stays */
        uint32_t free_riders;  /* ppm of peers */
        uint32_t crippled;     /* so many peers have a hundredth of the link */
    } swarm;
    struct {              /* [http] */
        uint32_t objects; /* node 1 asks node 0 for so many, in three ways; 0 = none */
        uint64_t object;  /* size of one [bytes] */
    } http;
    uint32_t expect_count, published_count;
    struct sim_line { /* [expect] "lookup.success" "> 99%"; [published] "lookup.median" "630ms Heep 2010,
                         iterative" */
        char key[64], value[SIM_TEXT_MAX];
    } expect[SIM_LINES_MAX], published[SIM_LINES_MAX];
};

void sim_config_default(struct sim_config *c);
/* The fuzz scenario: sizes, loads and faults drawn from c->scenario.seed; nothing else of *c is kept but
 * name, seed and measure. */
void sim_config_draw(struct sim_config *c);
/* Bytes a run of this will need, from estimated constants: no test holds them yet. */
uint64_t sim_config_memory(const struct sim_config *c);
#endif
