/* Time in the core: microseconds on the host's monotonic scale, always an argument, never read. The origin is the host's
 * business; only differences mean anything. Unix time is a separate value that the host may not know (unix_ms 0). */
#ifndef SHOAL_BASE_TIME_H
#define SHOAL_BASE_TIME_H
#include <stdint.h>

typedef uint64_t core_time; /* [us] */

#define CORE_NEVER       UINT64_MAX
#define CORE_MS(n)       ((core_time)(n) * 1000u)
#define CORE_SECONDS(n)  ((core_time)(n) * 1000000u)
#define CORE_MINUTES(n)  (CORE_SECONDS(60) * (core_time)(n))
#define CORE_HOURS(n)    (CORE_MINUTES(60) * (core_time)(n))

static inline core_time core_time_min(core_time a, core_time b)
{
    return a < b ? a : b;
}

/* a + b, saturating at CORE_NEVER. */
static inline core_time core_time_add(core_time a, core_time b)
{
    return a > CORE_NEVER - b ? CORE_NEVER : a + b;
}
#endif
