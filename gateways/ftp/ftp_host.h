/* The FTP gateway on TCP, as one of the gateways (gateways_host.h): `[ftp] listen` and --ftp say where
 * (127.0.0.1:8021 unless told; off closes it),
 * `[ftp] ports`, `external`, `idle` and `anonymous` how. What is decided is decided by ftp_session.h; here
 * are sockets, and the bytes that move. */
#ifndef SHOAL_FTP_HOST_H
#define SHOAL_FTP_HOST_H
#include "gateways/gateways_host.h"

#define FTP_PORT 8021 /* unless the user names another; taken: a free one */

int ftp_start(struct gateways *g, char *message);
void ftp_stop(struct gateways *g);
void ftp_free(struct gateways *g);
const char *ftp_address(const struct gateways *g);
#endif
