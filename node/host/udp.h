/* The node's datagram sockets: at most one per family, so that IPv4 and IPv6 can share a port. What arrives goes to node_datagram; what the
 * kernel refuses to take at once waits in a short queue, and beyond that is dropped, as the network would. Loop thread only. */
#ifndef SHOAL_HOST_UDP_H
#define SHOAL_HOST_UDP_H
#include "node/host/core.h"

#define UDP_QUEUE_MAX 256 /* datagrams waiting for the kernel, all sockets together */

struct udp;
struct udp *udp_new(struct host_core *core); /* NULL: no memory */
/* Binds to `addr` and receives from now on; *addr gets the real port. A UV error code on failure (UV_EADDRINUSE...). Once per family. */
int udp_open(struct udp *u, struct net_addr *addr);
/* For a node that takes no connections: a free port in each family that there is. Fails when there is none. */
int udp_open_unbound(struct udp *u);
void udp_shut(struct udp *u); /* closes the sockets opened so far; others may be opened at once */
void udp_send(struct udp *u, const struct net_addr *to, struct bytes bytes);

struct udp_totals {
    uint64_t received, received_bytes, sent, sent_bytes;
    uint64_t queued;      /* waited for the kernel, sent later */
    uint64_t dropped;     /* the queue was full, or there is no socket of that family */
    uint64_t failed;      /* the kernel said no: unreachable and the like */
};
void udp_totals(const struct udp *u, struct udp_totals *out);
/* Closes everything, then calls back (at once when nothing is open). udp_free may follow. */
void udp_close(struct udp *u, void (*closed)(void *context), void *context);
void udp_free(struct udp *u); /* NULL is ignored; nothing may be open */
#endif
