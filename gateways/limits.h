/* How much one address, and all together, may have of the gateways: connections, attempts at passwords, and bans for a time. A pure object: no
 * clock, no socket. Bounded: addresses with nothing open are forgotten, oldest first, those that are banned last. IPv6 counts by /64. */
#ifndef SHOAL_LIMITS_H
#define SHOAL_LIMITS_H
#include "node/base/addr.h"
#include "node/base/pool.h"
#include "node/base/time.h"

struct limits_config {
    uint32_t open_max, open_per_address_max; /* connections */
    uint32_t addresses_max;                  /* remembered, with something open, a ban, or wrong passwords */
    bool loopback_free;                      /* loopback is limited only in all, and never banned */
    uint8_t seed[16];                        /* of the hash of addresses: random, so that nobody chooses ones that collide */
};
void limits_config_default(struct limits_config *c); /* 20,000; 256; 4,096; true; zeros */

struct limits;
struct limits *limits_new(const struct core_alloc *alloc, const struct limits_config *c);
void limits_free(struct limits *l); /* NULL is ignored */
/* Other numbers from now on; what is open already stays. addresses_max and seed are not taken over. */
void limits_change(struct limits *l, const struct limits_config *c);
void limits_config_of(const struct limits *l, struct limits_config *out);

/* 0; ERR_FULL: in all; ERR_BUSY: this address; ERR_PERMISSION: banned (*until, else 0). Each 0 is paid back with limits_leave. */
int limits_enter(struct limits *l, core_time now, const struct net_addr *from, core_time *until);
void limits_leave(struct limits *l, const struct net_addr *from);
uint32_t limits_open(const struct limits *l);

/* 0 lifts it, CORE_NEVER: until it is lifted. False: loopback is free, or every place is taken by addresses with something open. */
bool limits_ban(struct limits *l, core_time now, const struct net_addr *from, core_time until);
/* Bans in force, oldest first. Returns how many were written. */
uint32_t limits_bans(const struct limits *l, core_time now, struct net_addr *out, core_time *until, uint32_t max);

/* An attempt at a password, counted as wrong until limits_attempt_good: 0; ERR_BUSY: not before *until; ERR_PERMISSION: banned until then. Five
 * are free; then 1 s, 2 s, 4 s ... 5 minutes after each. Forgotten 15 minutes after the last. Loopback counts too. */
int limits_attempt(struct limits *l, core_time now, const struct net_addr *from, core_time *until);
void limits_attempt_good(struct limits *l, const struct net_addr *from);
core_time limits_attempt_at(const struct limits *l, core_time now, const struct net_addr *from); /* from when one is allowed; now = at once */

void limits_check(const struct limits *l); /* asserts its invariants */
#endif
