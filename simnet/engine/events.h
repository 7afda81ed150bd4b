/* The order of everything. Events come in the order (time, destination, source, number of the source's
 * event), whatever the order in which they were put in, so that a run is the same on every machine and with
 * every compiler.
 *
 * Two parts: events (datagrams, stream deliveries, loads), and one deadline per node, kept in an indexed heap
 * so that moving a deadline costs no dead event. A deadline comes after the events of the same time and
 * destination. */
#ifndef SIMNET_ENGINE_EVENTS_H
#define SIMNET_ENGINE_EVENTS_H
#include "node/base/time.h"
#include <stdbool.h>
#include <stddef.h>

#define SIM_WORLD 0xfffffffeu /* as source or destination: the world itself, no node */

struct sim_event {
    core_time at;
    uint32_t to, from;
    uint32_t number; /* per source; given by the queue's user, see sim_world_at */
    uint16_t kind;   /* enum sim_event_kind (world/world.h); SIM_EVENT_DEADLINE is 0 */
    uint16_t size;   /* datagram bytes */
    uint64_t a, b;   /* by kind */
    void *data;      /* by kind; who pops the event owns it */
};

struct sim_events;
struct sim_events *sim_events_new(uint32_t nodes); /* NULL: no memory */
/* `drop` is called for every event still in it (may be NULL). */
void sim_events_free(struct sim_events *q, void (*drop)(void *context, struct sim_event *e), void *context);
void sim_events_push(struct sim_events *q,
                     const struct sim_event *e); /* aborts with a message when memory is out */
/* The deadline of `node`; CORE_NEVER takes it away. */
void sim_events_deadline(struct sim_events *q, uint32_t node, core_time at);
/* The next event at or before `until`; false: none. A deadline is given as kind 0 with `to` set, and is
 * disarmed by this. */
bool sim_events_pop(struct sim_events *q, core_time until, struct sim_event *out);
core_time sim_events_next(struct sim_events *q); /* CORE_NEVER: empty */
#define SIM_NEAR 8
/* Events among which the next ones probably are, the likeliest first; deadlines as kind 0. A hint for
 * prefetching. */
uint32_t sim_events_near(const struct sim_events *q, struct sim_event out[SIM_NEAR]);
uint32_t sim_events_count(const struct sim_events *q);
size_t sim_events_bytes(const struct sim_events *q);
void sim_events_check(const struct sim_events *q); /* asserts the heap orders */
#endif
