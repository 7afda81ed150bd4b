/* How much one address, and all together, may have of the gateways: connections, requests waiting, and bans for a time. A pure object: no clock,
 * no socket. Bounded: addresses with nothing open are forgotten, oldest first. IPv6 counts by /64. */
#ifndef SHOAL_LIMITS_H
#define SHOAL_LIMITS_H
#include "node/base/addr.h"
#include "node/base/pool.h"
#include "node/base/time.h"

struct limits_config {
    uint32_t open_max, open_per_address_max; /* connections */
    uint32_t addresses_max;                  /* remembered, with something open or banned */
    bool loopback_free;                      /* loopback is limited only in all, and never banned */
};
void limits_config_default(struct limits_config *c); /* 20,000; 256; 4,096; true */

struct limits;
struct limits *limits_new(const struct core_alloc *alloc, const struct limits_config *c);
void limits_free(struct limits *l);
/* 0; ERR_FULL: in all; ERR_BUSY: this address; ERR_PERMISSION: banned (*until). Each 0 is paid back with limits_leave. */
int limits_enter(struct limits *l, core_time now, const struct net_addr *from, core_time *until);
void limits_leave(struct limits *l, const struct net_addr *from);
void limits_ban(struct limits *l, const struct net_addr *from, core_time until); /* 0 lifts it */
uint32_t limits_bans(const struct limits *l, core_time now, struct net_addr *out, core_time *until, uint32_t max);
#endif
