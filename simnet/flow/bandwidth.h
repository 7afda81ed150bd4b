/* Access links shared by flows: max-min fair rates, each flow capped (window over round trip). Two tables, no time: the caller says when a
 * quantum is over.
 *
 * Every link offers a level; a flow's limit on one link is the smaller of its cap and the other link's level, and a link grants
 * min(level, limit). A rate is the smaller of the two grants, so that no link ever carries more than it can. Repeated, this is
 * the distributed computation of max-min fairness (Charny, Clark, Jain 1995); a quantum repeats it once, in index order, for the
 * links touched since the last one and for those a changed level reaches. Rates are bytes a second, integers. */
#ifndef SIMNET_FLOW_BANDWIDTH_H
#define SIMNET_FLOW_BANDWIDTH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BANDWIDTH_ENDLESS (UINT64_C(1) << 40) /* a link or cap without a limit [bytes/s] */

struct bandwidth;
/* Links 0 to links - 1, all endless. A level that moves by less than `ripple` ppm does not touch the links on the other side. Aborts with a
 * message when memory is out, as all of the simulator does; so does bandwidth_open. */
struct bandwidth *bandwidth_new(uint32_t links, uint32_t ripple);
void bandwidth_free(struct bandwidth *b);
void bandwidth_link(struct bandwidth *b, uint32_t link, uint64_t capacity); /* 0: endless */
/* A flow over two links, idle. Its number is below bandwidth_flows and may be that of a flow closed before. */
uint32_t bandwidth_open(struct bandwidth *b, uint32_t up, uint32_t down);
void bandwidth_close(struct bandwidth *b, uint32_t flow);
/* Starts a flow at once with what both links have left (half of it where it is not alone, nearly all where it is), at most `cap`; the next quantum gives it its share. Idle flows keep
 * their grant until the next quantum, so that a pause between two requests costs nothing. */
void bandwidth_start(struct bandwidth *b, uint32_t flow, uint64_t cap);
void bandwidth_stop(struct bandwidth *b, uint32_t flow);
void bandwidth_cap(struct bandwidth *b, uint32_t flow, uint64_t cap);
uint64_t bandwidth_rate(const struct bandwidth *b, uint32_t flow);
/* True when a link was touched: call bandwidth_quantum when the quantum ends. */
bool bandwidth_dirty(const struct bandwidth *b);
/* Recomputes; `changed` is told of every running flow whose rate moved, in order of links and flows. It must not call back into b. */
void bandwidth_quantum(struct bandwidth *b, void (*changed)(void *context, uint32_t flow), void *context);
size_t bandwidth_bytes(const struct bandwidth *b);
void bandwidth_check(const struct bandwidth *b); /* asserts that no link is overbooked */
#endif
