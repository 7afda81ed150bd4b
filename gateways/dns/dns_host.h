/* The DNS gateway: UDP and TCP on one address, answers by dns_server.h. It answers for names and for zone
 * files, and never asks another server.
 *
 * Open to other computers it needs no account: it tells addresses and ids, nothing else, and is limited
 * (dns_limit.h). */
#ifndef SHOAL_DNS_HOST_H
#define SHOAL_DNS_HOST_H
#include "gateways/gateways_host.h"

#define DNS_PORT   8753        /* unless the user names another; taken: a free one */
#define DNS_SUFFIX "shoal.alt" /* RFC 9476: .alt is never asked of the public DNS */
#define DNS_ANSWER_MS                                                                                        \
    1800 /* then what is in memory is told, stale or not (RFC 8767, 5); a resolver asks again after some 5 s \
          */

int dns_start(struct gateways *g, char *message);
void dns_stop(struct gateways *g);
void dns_free(struct gateways *g);
const char *dns_address(const struct gateways *g);
/* For status and metrics: name and value of each counter; false at the end. */
bool dns_counter(const struct gateways *g, unsigned index, const char **name, uint64_t *value);
#endif
