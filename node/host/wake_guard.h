/* A core whose deadline stays in the past would have the loop wake it for ever: a whole processor for
 * nothing, and nobody told. Once that was so (names, 2026-11). The simulator fails on it; here, in the hands
 * of a person, the loop goes on, slower, and says so once. */
#ifndef SHOAL_HOST_WAKE_GUARD_H
#define SHOAL_HOST_WAKE_GUARD_H
#include <stdbool.h>
#include "node/base/time.h"

#define WAKE_GUARD_IDLE                                                                                      \
    2000 /* wakes in a row that did nothing and were due again at once; expiring 65,536 records takes some   \
            256 */
#define WAKE_GUARD_MS 20 /* from then on between two of them: at most 50 a second */

struct wake_guard {
    uint32_t idle;
    bool spinning; /* set once; the host logs it when it becomes true */
};

/* Milliseconds until the timer, rounded up: a wake before the deadline does nothing and would only come
 * again. Not for CORE_NEVER. */
static inline uint64_t wake_guard_ms(const struct wake_guard *g, core_time deadline, core_time now)
{
    uint64_t ms = deadline <= now ? 0 : (deadline - now + 999) / 1000;
    return ms == 0 && g->idle >= WAKE_GUARD_IDLE ? WAKE_GUARD_MS : ms;
}

/* After each wake; did: it had effects. True when the host should say that the node spins: once in the life
 * of the guard. */
static inline bool wake_guard_woken(struct wake_guard *g, bool did, core_time deadline, core_time now)
{
    g->idle = did || deadline > now ? 0 : g->idle < WAKE_GUARD_IDLE ? g->idle + 1 : WAKE_GUARD_IDLE;
    bool first = g->idle == WAKE_GUARD_IDLE && !g->spinning;
    g->spinning = g->spinning || first;
    return first;
}
#endif
