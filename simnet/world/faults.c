/* Faults that are no property of a path: partitions, clogged links, slow nodes, wrong clocks, full disks. Who
 * and when is a hash of the seed, so that a fault needs no state and no event. All of them end when the world
 * is quiet. */
#include "simnet/world/world.h"

#define CLOG_SLOT CORE_SECONDS(5) /* a link is clogged, or not, for so long */

enum { CUT, ISOLATED, CLOGGED, SLOW, CLOCK, CLOCK_BY, DISK };

static uint64_t hashed(const struct sim_world *w, uint64_t what, uint64_t who)
{
    return sim_hash(w->seed ^ (uint64_t)SIM_DRAW_FAULT << 56, what, who);
}

static bool apart(const struct sim_world *w, uint32_t a, uint32_t b)
{
    switch (w->config->fault.split) {
    case SIM_SPLIT_ONE: {
        uint32_t alone = (uint32_t)(hashed(w, ISOLATED, 0) % w->count);
        return (a == alone) != (b == alone);
    }
    case SIM_SPLIT_UNIFORM: /* each pair by itself: no node need see a majority */
        return hashed(w, CUT, a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a) & 1;
    default:
        return (a & 1) != (b & 1);
    }
}

bool sim_fault_cut(const struct sim_world *w, uint32_t from, uint32_t to)
{
    core_time at = w->begin + w->config->fault.split_at;
    if (w->quiet || !w->config->fault.split_for || w->now < at || w->now >= at + w->config->fault.split_for)
        return false;
    return apart(w, from, to) && (from < to || !w->config->fault.split_one_way);
}

core_time sim_fault_clogged(const struct sim_world *w, uint32_t from, uint32_t to, core_time at)
{
    core_time slot = at / CLOG_SLOT;
    if (w->quiet || !w->config->fault.clog)
        return at;
    uint64_t h = sim_hash(hashed(w, CLOGGED, (uint64_t)from << 32 | to), slot, 0);
    return h % SIM_PPM < w->config->fault.clog ? (slot + 1) * CLOG_SLOT + (h >> 44) : at;
}

core_time sim_fault_slow(const struct sim_world *w, uint32_t i)
{
    if (w->quiet || !w->config->fault.slow || hashed(w, SLOW, i) % SIM_PPM >= w->config->fault.slow)
        return 0;
    return w->config->fault.slow_by / 2 + sim_hash(w->seed, i, w->now) % (w->config->fault.slow_by / 2 + 1);
}

uint64_t sim_fault_unix_ms(const struct sim_world *w, uint32_t i)
{
    uint64_t right = SIM_UNIX_MS + w->now / 1000, reach = 2 * (w->config->fault.clock_off / 1000);
    if (w->quiet || !reach || hashed(w, CLOCK, i) % SIM_PPM >= w->config->fault.clock)
        return right;
    return right - reach / 2 + hashed(w, CLOCK_BY, i) % (reach + 1);
}

bool sim_fault_disk_full(const struct sim_world *w, uint32_t i)
{
    return !w->quiet && w->config->fault.disk_full &&
           sim_hash(hashed(w, DISK, i), w->now, 0) % SIM_PPM < w->config->fault.disk_full;
}
