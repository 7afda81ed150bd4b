/* Who may sit beside whom: addresses cost something, identities nothing (docs/protocol.md, "DHT", "Diversity"). Prefix rules hold
 * for globally routable addresses only; a class, a ship or a loopback test shares one prefix honestly and is limited per node key. */
#ifndef SHOAL_DHT_DIVERSITY_H
#define SHOAL_DHT_DIVERSITY_H
#include "node/base/addr.h"

/* Most contacts of one prefix; a /64 (or an IPv4 address) is one customer, a /24, /56 or /48 perhaps one owner. */
#define DHT_BUCKET_PER_SITE   1 /* IPv4 /24, IPv6 /64 */
#define DHT_BUCKET_PER_56     2
#define DHT_BUCKET_PER_48     4
#define DHT_TABLE_PER_ADDRESS 1 /* IPv4 address, IPv6 /64 */
#define DHT_TABLE_PER_OWNER   8 /* IPv4 /24, IPv6 /48 */

bool dht_prefix_limited(const struct net_addr *a, bool private_limits);
bool dht_prefix_same(const struct net_addr *a, const struct net_addr *b, unsigned bits); /* bits of the 128-bit form */
bool dht_same_site(const struct net_addr *a, const struct net_addr *b); /* one /24 or one /64 */
/* The prefix that storage quotas count by: /24 or /48, the rest zero, port zero. */
struct net_addr dht_prefix_owner(const struct net_addr *a);

struct dht_diversity { /* how many neighbours of each kind were met */
    uint32_t site, p56, p48, address, owner;
};
void dht_diversity_count(struct dht_diversity *d, const struct net_addr *candidate, const struct net_addr *other, bool same_bucket);
bool dht_diversity_ok(const struct dht_diversity *d);
#endif
