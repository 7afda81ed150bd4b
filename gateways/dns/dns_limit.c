#include "gateways/dns/dns_limit.h"
#include <sodium.h>

_Static_assert(crypto_shorthash_siphash24_KEYBYTES == DNS_SECRET_SIZE, "SipHash takes 16 bytes");

void dns_limit_init(struct dns_limit *l, uint32_t rate, const uint8_t secret[DNS_SECRET_SIZE])
{
    memset(l, 0, sizeof *l);
    l->rate = rate;
    memcpy(l->secret, secret, DNS_SECRET_SIZE);
}

static uint64_t prefix_of(const struct dns_limit *l, const struct net_addr *from)
{
    uint8_t prefix[16] = {0}, hash[8];
    memcpy(prefix, from->ip, net_addr_is_v4(from) ? 15 : 7);
    crypto_shorthash_siphash24(hash, prefix, sizeof prefix, l->secret);
    uint64_t h = get_be64(hash);
    return h ? h : 1;
}

enum dns_verdict dns_limit_take(struct dns_limit *l, core_time now, const struct net_addr *from)
{
    if (l->rate == 0 || net_addr_scope(from) == NET_SCOPE_LOOPBACK)
        return DNS_PASS;
    uint64_t prefix = prefix_of(l, from), full = (uint64_t)l->rate * 1000;
    unsigned set = (unsigned)(prefix % DNS_LIMIT_SETS), way = 0;
    for (unsigned i = 0; i < DNS_LIMIT_WAYS; i++) {
        if (l->slot[set][i].prefix == prefix) {
            way = i;
            break;
        }
        if (l->slot[set][i].at < l->slot[set][way].at || l->slot[set][i].prefix == 0)
            way = i;
    }
    if (l->slot[set][way].prefix != prefix) {
        l->slot[set][way].prefix = prefix;
        l->slot[set][way].at = now;
        l->slot[set][way].thousandths = (uint32_t)full;
        l->slot[set][way].slipped = true;
    }
    uint64_t more = (now - l->slot[set][way].at) / 1000 * l->rate; /* thousandths of an answer */
    if (more) {
        uint64_t sum = l->slot[set][way].thousandths + more;
        l->slot[set][way].thousandths = (uint32_t)(sum < full ? sum : full);
        l->slot[set][way].at += (now - l->slot[set][way].at) / 1000 * 1000;
    }
    if (l->slot[set][way].thousandths >= 1000) {
        l->slot[set][way].thousandths -= 1000;
        return DNS_PASS;
    }
    l->slot[set][way].slipped = !l->slot[set][way].slipped;
    return l->slot[set][way].slipped ? DNS_DROP : DNS_SLIP;
}

/* Version 1, three zeros, time, then SipHash-2-4 of client part, these, and the address (RFC 9018, 4). */
static void server_part(uint8_t cookie[DNS_COOKIE_WHOLE_SIZE], const uint8_t secret[DNS_SECRET_SIZE],
                        uint32_t time_s, const struct net_addr *from)
{
    uint8_t input[32];
    bool v4 = net_addr_is_v4(from);
    size_t address = v4 ? 4 : 16;
    memset(cookie + 8, 0, 4);
    cookie[8] = 1;
    put_be32(cookie + 12, time_s);
    memcpy(input, cookie, 16);
    memcpy(input + 16, from->ip + (v4 ? 12 : 0), address);
    crypto_shorthash_siphash24(cookie + 16, input, 16 + address, secret);
}

void dns_cookie_make(uint8_t cookie[DNS_COOKIE_WHOLE_SIZE], const uint8_t secret[DNS_SECRET_SIZE],
                     uint32_t now_s, const struct net_addr *from)
{
    server_part(cookie, secret, now_s, from);
}

bool dns_cookie_ok(struct bytes cookie, const uint8_t secret[DNS_SECRET_SIZE], uint32_t now_s,
                   const struct net_addr *from)
{
    uint8_t ours[DNS_COOKIE_WHOLE_SIZE];
    if (cookie.size != DNS_COOKIE_WHOLE_SIZE)
        return false;
    uint32_t made = get_be32(cookie.data + 12);
    if (made > now_s || now_s - made > DNS_COOKIE_LIFE_S)
        return false;
    memcpy(ours, cookie.data, 8);
    server_part(ours, secret, made, from);
    return sodium_memcmp(ours, cookie.data, sizeof ours) == 0;
}
