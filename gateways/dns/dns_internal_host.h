/* Inside of dns*_host.c: one gateway, its UDP socket, its TCP connections, and queries that wait for a name.
 */
#ifndef SHOAL_DNS_INTERNAL_HOST_H
#define SHOAL_DNS_INTERNAL_HOST_H
#include <uv.h>
#include "gateways/dns/dns_host.h"
#include "gateways/dns/dns_server.h"

#define DNS_BATCH           64 /* datagrams taken by one call of the system */
#define DNS_BATCHES         8  /* in one turn of the loop: the other gateways wait no longer than that */
#define DNS_CONNECTIONS_MAX 512
#define DNS_PER_ADDRESS_MAX 64           /* connections of one IPv4 address or IPv6 /64, but for loopback */
#define DNS_IDLE_MS         10000        /* RFC 7766, 6.2.3 */
#define DNS_MESSAGE_MS      5000         /* from the first byte of a query to its last */
#define DNS_WRITE_MS        10000        /* for a reader that does not read */
#define DNS_PENDING_MAX     (64u * 1024) /* bytes of answers on their way; then no query more is read */
#define DNS_BUFFERED_MAX    (16u << 20) /* bytes of all connections' buffers; who needs more then is closed */
#define DNS_WAITING_MAX     256         /* queries waiting for a name; more are answered from memory */
#define DNS_WAITING_SOURCE  16          /* of one address or connection */

struct dns_conn;
struct dns_gateway;
struct names_call;

struct dns_waiting { /* a query whose name is being looked for */
    struct dns_gateway *d;
    struct dns_waiting *prev, *next;
    struct dns_asker asker;
    struct dns_conn *conn; /* NULL: UDP, or the connection is gone and nobody waits any more */
    struct names_call *call;
    size_t size;
    uint8_t query[];
};

struct dns_udp_buffers;
struct dns_file;

struct dns_gateway {
    struct gateways *g;
    struct dns_server server;
    struct net_addr address;
    char address_text[NET_ADDR_TEXT_MAX];
    uint8_t *scratch; /* one TCP answer with its length: 2 + DNS_MESSAGE_MAX */

    int fd;        /* UDP; -1: none */
    bool wants_to; /* bound to every address: the one that was asked is told by the system with each datagram
                    */
    uv_poll_t poll;
    struct dns_udp_buffers *buffers;

    int listener_fd; /* -1: none, or the handle's */
    uv_tcp_t listener;
    struct dns_conn *first;
    uint32_t connections;
    size_t buffered;

    struct dns_waiting *waiting;
    uint32_t waiting_count;

    struct net_addr mine[DNS_ADDRESSES_MAX], beside_of,
        beside; /* what the system told of its interfaces, for a second */
    uint32_t mine_count;
    uint64_t mine_at, beside_at; /* [ns]; 0: never */
    bool beside_v6, beside_found;

    struct dns_file *files; /* dns_zones_host.c; DNS_ZONES_MAX and one */
    unsigned file_count;
    uv_timer_t watch;

    bool closing, udp_open, tcp_open, watching;
};

/* dns_zones_host.c. load: what `[dns] zone-file` names, or a sentence in message. watch: reads again what
 * changes. */
int dns_zones_load(struct dns_gateway *d, char *message);
int dns_zones_watch(struct dns_gateway *d);
void dns_zones_stop(struct dns_gateway *d);

/* dns_udp_host.c. UV errors. Bind takes the port (0: a free one, told back); start begins to answer; stop
 * undoes either. */
int dns_udp_bind(struct dns_gateway *d, struct net_addr *address);
int dns_udp_start(struct dns_gateway *d);
void dns_udp_stop(struct dns_gateway *d);
void dns_udp_free(struct dns_gateway *d);
void dns_udp_send(struct dns_gateway *d, const struct dns_asker *asker, const uint8_t *data, size_t size);

/* dns_tcp_host.c */
int dns_tcp_bind(struct dns_gateway *d, struct net_addr *address);
int dns_tcp_start(struct dns_gateway *d);
void dns_tcp_stop(struct dns_gateway *d);
void dns_tcp_late(struct dns_conn *c, const uint8_t *data, size_t size); /* an answer that waited */

/* dns_names_host.c */
void dns_names_start(struct dns_gateway *d);
/* Keeps the query until its name was found or the time is up. False: too many wait; answer from memory. */
bool dns_names_wait(struct dns_gateway *d, const struct dns_asker *asker, struct dns_conn *conn,
                    struct bytes query, const char *text);
void dns_names_forget(struct dns_gateway *d, const struct dns_conn *conn); /* it is gone; NULL: all */
#endif
