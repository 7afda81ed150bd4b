/* Whose program is at the other end of a connection on this computer? */
#ifndef SHOAL_WEB_PEER_HOST_H
#define SHOAL_WEB_PEER_HOST_H
#include <stdbool.h>
#include <sys/types.h>
#include "node/base/addr.h"

/* The user id that owns the socket `peer`, connected to our `local`, both on loopback. False: not known (no such connection any more, or the system
 * does not tell). One question to the kernel (sock_diag), some 20 us. */
bool web_peer_user(const struct net_addr *local, const struct net_addr *peer, uid_t *out);
#endif
