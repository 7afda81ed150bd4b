/* The swarm load: who seeds, who fetches, from when on and until when; and what is measured of it. */
#ifndef SIMNET_FLOW_SWARM_H
#define SIMNET_FLOW_SWARM_H
#include "simnet/flow/flow.h"

enum swarm_event { SWARM_START, SWARM_LEAVE, SWARM_EVENTS };

struct swarm_member {
    uint32_t swarm;          /* in its core; 0: none now */
    bool begun, complete, rider, polluter, seed;
    core_time began, done;
    uint32_t have;           /* chunks, when it was last asked */
    uint8_t *chunks;         /* bitmap, kept over a stop; NULL: none */
};

struct swarm {
    uint32_t first, count, seeds, done, wanted; /* nodes first to first + count - 1; wanted: honest peers */
    struct content_id id;
    uint8_t provider_key[HASH_SIZE];
    struct streams_content content;
    struct swarm_member *members;
    uint32_t time, rider_time, complete, over_fluid, over_goodput, over_discrete, copies, stuck, series; /* metrics */
};

/* links: the nodes' access links, filled here from [net] and [swarm]. NULL: the run has no swarm. */
struct swarm *swarm_new(struct sim_world *w, struct streams_links *links, uint16_t kind);
void swarm_free(struct swarm *s);
void swarm_event(struct sim_world *w, struct swarm *s, uint32_t i, enum swarm_event what, uint16_t kind);
void swarm_up(struct sim_world *w, struct swarm *s, uint32_t i);
void swarm_down(struct sim_world *w, struct swarm *s, uint32_t i);
void swarm_notice(struct sim_world *w, struct swarm *s, uint32_t i, const struct effect *x, uint16_t kind);
/* Near the end of a run whose faults were over long ago: whoever could complete has. */
void swarm_check(struct sim_world *w, struct swarm *s);
void swarm_report(struct sim_world *w, struct swarm *s, const struct streams *streams, const struct streams_links *links);
/* NULL: not of the swarm. */
struct swarm_member *swarm_member(const struct swarm *s, uint32_t i);
#endif
