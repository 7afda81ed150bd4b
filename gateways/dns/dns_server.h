/* From a query to its answer: bytes in, bytes out, no socket. What the answer depends on besides the query is
 * in struct dns_server: zones from files, the zones of names, where this node can be reached, limits.
 * Authoritative only: nothing is ever asked of another DNS server.
 *
 * The zones of names (DESIGN.md, "Names"), <z> being "shoal.alt" or another suffix from the configuration:
 *
 *     <z>                            SOA, NS, TXT; A and AAAA: the HTTP gateway as the asker can reach it
 *     node.<z>                       A, AAAA: this node as the asker reached it; the zone's name server
 *     <name>.<z>                     A, AAAA as <z>; TXT: who that is; MX: none (RFC 7505) until there is
 * mail _http._tcp.<name>.<z>          SRV: the gateway with its port node.<name>.<z>                A, AAAA:
 * the node's own addresses, from its profile
 *     _<service>._tcp.node.<name>.<z>  SRV: what the node itself offers
 *     <address>.in-addr.arpa, .ip6.arpa  PTR: this node and pinned nodes by their addresses
 *
 * <name> is a node id, a petname, a pinned nickname, "self", or a content id. */
#ifndef SHOAL_DNS_SERVER_H
#define SHOAL_DNS_SERVER_H
#include "gateways/dns/dns_limit.h"
#include "gateways/dns/dns_write.h"
#include "gateways/dns/dns_zone.h"

#define DNS_SUFFIXES_MAX  8
#define DNS_ZONES_MAX     16
#define DNS_SERVICES_MAX  8
#define DNS_ADDRESSES_MAX 8
#define DNS_TEXT_MAX      256      /* a label as UTF-8, with its NUL */
#define DNS_LATER         SIZE_MAX /* dns_answer: ask again when the name was looked for */

struct dns_service {
    char name[16]; /* "http" */
    uint16_t port;
};

struct dns_who {                 /* what a name stands for */
    bool is_content;             /* a content id; else a node */
    bool stale;                  /* the profile was not confirmed lately (RFC 8767) */
    char id[64];                 /* of node or content, as text */
    char nickname[DNS_TEXT_MAX]; /* "" = none */
    char site[64];               /* content id, "" = none */
    struct net_addr addresses[DNS_ADDRESSES_MAX];
    struct dns_service services[DNS_SERVICES_MAX];
    unsigned address_count, service_count;
};

/* What a name is, from memory, at once. 0; ERR_BUSY: out->id is set, its profile is not known; any other
 * error: there is no such name. */
typedef int (*dns_find)(void *owner, const char *text, struct dns_who *out);
/* The name of the node at this address (port ignored): petname or node id. False: none that is known. */
typedef bool (*dns_find_at)(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX]);
/* An address of the other family on the interface that has `beside`. False: none. */
typedef bool (*dns_beside)(void *owner, const struct net_addr *beside, bool v6, struct net_addr *out);

enum dns_counter {
    DNS_COUNT_QUERIES,
    DNS_COUNT_ANSWERS,
    DNS_COUNT_NXDOMAIN,
    DNS_COUNT_REFUSED,
    DNS_COUNT_FORMERR,
    DNS_COUNT_OTHER,
    DNS_COUNT_TRUNCATED,
    DNS_COUNT_SLIPPED,
    DNS_COUNT_DROPPED,
    DNS_COUNT_LATER,
    DNS_COUNT_STALE,
    DNS_COUNTERS
};

struct dns_server {
    struct dns_name suffixes[DNS_SUFFIXES_MAX]; /* lower-case */
    unsigned suffix_count;
    struct dns_zone *zones[DNS_ZONES_MAX];
    unsigned zone_count;
    struct net_addr http;                          /* where the HTTP gateway is bound; port 0: off */
    struct dns_service services[DNS_SERVICES_MAX]; /* of the gateways, for SRV of names */
    unsigned service_count;
    uint32_t serial;                 /* of the SOA of the zones of names */
    uint16_t keepalive;              /* TCP idle time-out told to those who ask [100 ms] */
    uint8_t secret[DNS_SECRET_SIZE]; /* of cookies */
    struct dns_limit limit;
    dns_find find; /* these three may be NULL */
    dns_find_at find_at;
    dns_beside beside;
    void *owner;
    uint64_t counters[DNS_COUNTERS];
};

struct dns_asker {
    struct net_addr from, to; /* to: this node's end, its address is the one that was asked */
    bool tcp;
};

/* Answers `query` into out (cap: DNS_UDP_MAX at least for UDP, DNS_MESSAGE_MAX for TCP). Returns the size; 0:
 * send nothing. DNS_LATER (never when `later` is NULL): the answer needs a profile that is not in memory;
 * `later` is the name to look for (DNS_TEXT_MAX bytes). Call again with NULL when it was found or the time is
 * up: then what there is is told. */
size_t dns_answer(struct dns_server *s, core_time now, const struct dns_asker *asker, struct bytes query,
                  uint8_t *out, size_t cap, char *later);

/* Adds a suffix, "shoal.alt" or "shoal.internal."; ERR_MALFORMED: not a name; ERR_FULL; ERR_EXISTS: there
 * already, or a file's zone. */
int dns_server_add_suffix(struct dns_server *s, const char *text);
/* Takes a finished zone. ERR_FULL, ERR_EXISTS. */
int dns_server_add_zone(struct dns_server *s, struct dns_zone *z);
/* `fresh` takes the place of `old`, which is freed. False: it has another apex; nothing was done. */
bool dns_server_replace_zone(struct dns_server *s, struct dns_zone *old, struct dns_zone *fresh);
void dns_server_free_zones(struct dns_server *s);

/* Inside of dns_server.c, dns_file.c and dns_names.c. */
#define DNS_RFC8482_TTL 3600

struct dns_reply { /* an answer being made */
    struct dns_server *server;
    const struct dns_asker *asker;
    const struct dns_query *q;
    struct dns_writer w;
    char *later;
    bool wait; /* set: nothing was written, `later` was */
};
void dns_reply_file(struct dns_reply *r, const struct dns_zone *z);
void dns_reply_names(struct dns_reply *r, const struct dns_name *suffix);
/* Is it a name of the reverse zones that we answer for? Then it did. */
bool dns_reply_reverse(struct dns_reply *r);
void dns_reply_any(struct dns_reply *r, const uint8_t *owner); /* RFC 8482 */
const struct dns_zone *dns_server_zone(const struct dns_server *s, const struct dns_name *name);
#endif
