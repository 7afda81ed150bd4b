/* Streams and transfers in the world: what `struct sim_flow` (world/world.h) asks for, and the swarm load of [swarm].
 *
 * The last seeds + peers nodes are the swarm: seeds first. They find each other as the shipped node does, through the DHT. Seeds add
 * the content complete and announce it 30 s before `start`; peers begin at `start`, evenly over `spread`. A member that stops and starts again goes on with the chunks it had.
 *
 * Metrics: swarm.time (own start to complete), swarm.complete (share of honest peers), swarm.over_fluid and swarm.over_discrete (slowest peer over the
 * bound, ppm; only when all begin at once and all stay), swarm.over_goodput (over_fluid with the links' goodput: in packet mode headers and acknowledgements are
 * taken off), swarm.seed_copies (copies of the content that the seeds sent, x 100),
 * swarm.stuck (peers with at least 99 % of the chunks and not all, at the end), swarm.done (complete peers over time). */
#ifndef SIMNET_FLOW_FLOW_H
#define SIMNET_FLOW_FLOW_H
#include "simnet/flow/streams.h"
#include "simnet/world/world.h"

extern const struct sim_flow sim_flow_streams;

/* Least time in which a content of `bytes` reaches all peers (Kumar and Ross 2006): max{F/us, F/dmin, N F/(us + sum ui)} [us]. Rates are in
 * bytes a second; 0 is endless. */
core_time swarm_bound_fluid(uint64_t bytes, uint64_t seeds_up, uint64_t peers_up, uint64_t least_down, uint32_t peers);
/* With `chunks` that are passed on only whole, one seed and equal uplinks: (M + floor(log2 N)) chunk times (Mundinger, Weber and Weiss 2008). */
core_time swarm_bound_discrete(uint64_t bytes, uint32_t chunks, uint64_t up, uint32_t peers);
#endif
