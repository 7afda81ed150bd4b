#include "dht/diversity.h"
#include <string.h>

bool dht_prefix_limited(const struct net_addr *a, bool private_limits)
{
    return !private_limits && net_addr_scope(a) == NET_SCOPE_GLOBAL;
}

bool dht_prefix_same(const struct net_addr *a, const struct net_addr *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->ip, b->ip, whole) != 0)
        return false;
    return rest == 0 || ((a->ip[whole] ^ b->ip[whole]) >> (8 - rest)) == 0;
}

bool dht_same_site(const struct net_addr *a, const struct net_addr *b)
{
    if (net_addr_is_v4(a) != net_addr_is_v4(b))
        return false;
    return dht_prefix_same(a, b, net_addr_is_v4(a) ? 96 + 24 : 64);
}

struct net_addr dht_prefix_owner(const struct net_addr *a)
{
    struct net_addr out = {.port = 0};
    memcpy(out.ip, a->ip, net_addr_is_v4(a) ? 15 : 6);
    return out;
}

void dht_diversity_count(struct dht_diversity *d, const struct net_addr *candidate, const struct net_addr *other, bool same_bucket)
{
    bool v4 = net_addr_is_v4(candidate);
    if (v4 != net_addr_is_v4(other))
        return;
    d->address += dht_prefix_same(candidate, other, v4 ? 128 : 64);
    d->owner += dht_prefix_same(candidate, other, v4 ? 96 + 24 : 48);
    if (!same_bucket)
        return;
    d->site += dht_same_site(candidate, other);
    if (!v4) {
        d->p56 += dht_prefix_same(candidate, other, 56);
        d->p48 += dht_prefix_same(candidate, other, 48);
    }
}

bool dht_diversity_ok(const struct dht_diversity *d)
{
    return d->site < DHT_BUCKET_PER_SITE && d->p56 < DHT_BUCKET_PER_56 && d->p48 < DHT_BUCKET_PER_48 &&
           d->address < DHT_TABLE_PER_ADDRESS && d->owner < DHT_TABLE_PER_OWNER;
}
