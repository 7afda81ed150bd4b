/* How many answers an address gets over UDP, and its cookie (RFC 7873, RFC 9018). Sources of datagrams can be
 * forged: without a limit this node would be a tool to flood others with. Pure: time and secrets are
 * arguments. */
#ifndef SHOAL_DNS_LIMIT_H
#define SHOAL_DNS_LIMIT_H
#include "node/base/addr.h"
#include "node/base/bytes.h"
#include "node/base/time.h"

#define DNS_SECRET_SIZE       16
#define DNS_COOKIE_WHOLE_SIZE 24   /* client 8, server 16 [bytes] */
#define DNS_COOKIE_LIFE_S     3600 /* RFC 9018, 4.3 */
#define DNS_LIMIT_SETS        1024
#define DNS_LIMIT_WAYS        4

enum dns_verdict {
    DNS_PASS,
    DNS_SLIP, /* answer empty with TC: a true asker comes again over TCP, and nothing is amplified */
    DNS_DROP
};

struct dns_limit { /* one bucket for each IPv4 /24 and IPv6 /56; when a set is full the one that was quiet
                      longest is forgotten */
    uint32_t rate; /* answers a second, and at once; 0: no limit */
    uint8_t secret[DNS_SECRET_SIZE];
    struct {
        uint64_t prefix; /* keyed hash; 0: free */
        core_time at;    /* of the last refill */
        uint32_t thousandths;
        bool slipped;
    } slot[DNS_LIMIT_SETS][DNS_LIMIT_WAYS];
};

void dns_limit_init(struct dns_limit *l, uint32_t rate, const uint8_t secret[DNS_SECRET_SIZE]);
/* Counts one answer. Loopback is never limited: nobody elsewhere can send from there. */
enum dns_verdict dns_limit_take(struct dns_limit *l, core_time now, const struct net_addr *from);

/* Client part in cookie[0..7]; writes the server part behind it. now: any seconds that only grow. */
void dns_cookie_make(uint8_t cookie[DNS_COOKIE_WHOLE_SIZE], const uint8_t secret[DNS_SECRET_SIZE],
                     uint32_t now_s, const struct net_addr *from);
/* Did we make this cookie, for this address, not too long ago? Other sizes than ours: no. */
bool dns_cookie_ok(struct bytes cookie, const uint8_t secret[DNS_SECRET_SIZE], uint32_t now_s,
                   const struct net_addr *from);
#endif
