/* Nodes on the local network, found by signed multicast (node/channel/announce.h): IPv4 239.192.77.33 and IPv6 ff02::77:33, port 7734, hop limit 1.
 * Each node announces itself at the start, about once a minute, and soon after it heard a newcomer. What is heard becomes a node_hint with the
 * address it came from; nothing is passed on. Loop thread only. */
#ifndef SHOAL_HOST_NEIGHBOURS_H
#define SHOAL_HOST_NEIGHBOURS_H
#include "node/host/core.h"

#define NEIGHBOURS_PORT 7734

struct neighbours;
/* listen4, listen6: where the node's own sockets are bound, port 0 = not in this family. A family takes part when the node does; on the interface of
 * that address only, unless it is the unspecified one. NULL: not possible here (said in the log) or nothing to announce. */
struct neighbours *neighbours_new(struct host_core *core, const struct net_addr *listen4, const struct net_addr *listen6);
/* Stops at once; memory goes with the last close callback of the loop. NULL is ignored. */
void neighbours_close(struct neighbours *n);

struct neighbours_totals {
    uint64_t sent, heard, hints;   /* heard: well-formed, of this network, not our own */
    uint64_t foreign;              /* malformed, of another network, or from an address that is not local */
    uint64_t limited, bad;         /* over the rate; wrong signature */
};
void neighbours_totals(const struct neighbours *n, struct neighbours_totals *out);
#endif
