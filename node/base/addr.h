/* A transport address in 18 bytes: never a sockaddr in a table (STYLE.md, "Leave behind"). */
#ifndef SHOAL_BASE_ADDR_H
#define SHOAL_BASE_ADDR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_addr {
    uint8_t ip[16]; /* IPv6, or IPv4 mapped as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
    uint16_t port;  /* host order; 0 = no address */
};
_Static_assert(sizeof(struct net_addr) == 18, "a contact must stay 64 bytes");

#define NET_ADDR_TEXT_MAX 56 /* "[ffff:...:ffff]:65535" and NUL */
#define NET_ADDR_WIRE_MAX 18 /* wire form: 4 or 16 address bytes, then the port big-endian; so 6 or 18 bytes */

enum net_scope { NET_SCOPE_LOOPBACK, NET_SCOPE_LINK_LOCAL, NET_SCOPE_PRIVATE, NET_SCOPE_GLOBAL, NET_SCOPE_INVALID };

bool net_addr_is_v4(const struct net_addr *a);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);    /* address and port */
bool net_addr_same_ip(const struct net_addr *a, const struct net_addr *b);
/* RFC 6890 classes; unspecified, multicast and broadcast are INVALID: never a peer. Unique-local IPv6 and RFC 1918, RFC 6598 are PRIVATE. */
enum net_scope net_addr_scope(const struct net_addr *a);
struct net_addr net_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* "10.0.0.1:7000" or "[::1]:7000". `out` has NET_ADDR_TEXT_MAX bytes; returns out. */
char *net_addr_format(char *out, const struct net_addr *a);
/* Numeric addresses only (names are resolved by the host). Whole string or ERR_MALFORMED. */
int net_addr_parse(struct net_addr *out, const char *text);

size_t net_addr_to_wire(uint8_t out[NET_ADDR_WIRE_MAX], const struct net_addr *a); /* 6 or 18 */
bool net_addr_from_wire(struct net_addr *out, const uint8_t *data, size_t size);   /* false unless 6 or 18 bytes */
#endif
