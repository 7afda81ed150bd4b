/* A core whose deadline stays in the past hangs a world of tests: its clock never moves again. So each node's
 * wakes at one moment are counted, with the bound that simnet has (simnet/world/world.c); real hosts slow
 * such a node down (node/host/wake_guard.h). */
#ifndef SHOAL_TESTS_SPIN_H
#define SHOAL_TESTS_SPIN_H
#include "node/base/assert.h"
#include "node/base/time.h"
#include <stdint.h>
#include <stdio.h>

#define SPIN_MOST 2000 /* expiring 65,536 records takes some 256 */

struct spin_watch {
    core_time at;
    uint32_t wakes;
};

/* Before each wake. */
static inline void spin_watch(struct spin_watch *s, core_time now, uint32_t node)
{
    s->wakes = s->at == now ? s->wakes + 1 : 0;
    s->at = now;
    if (s->wakes > SPIN_MOST)
        fprintf(stderr, "node %u was woken %u times at %.6f s: a deadline that never moves\n", node, s->wakes,
                (double)now / 1e6);
    core_assert(s->wakes <= SPIN_MOST);
}
#endif
