/* DHT messages (docs/protocol.md, "DHT", "Messages"): one msgpack map per datagram, small unsigned keys in ascending order, unknown keys
 * ignored. Lists of contacts, providers and keys are single binaries of fixed stride. */
#ifndef SHOAL_DHT_MESSAGE_H
#define SHOAL_DHT_MESSAGE_H
#include "dht/dht.h"
#include "dht/pending.h"
#include "dht/token.h"

enum dht_type { DHT_PING, DHT_FIND, DHT_GET, DHT_PUT, DHT_CALL, DHT_TYPES };
#define DHT_REPLY_BIT 16
#define DHT_TYPE_MAX  31 /* above: dropped */

enum dht_family { DHT_V4, DHT_V6, DHT_FAMILIES };
#define DHT_WANT(family) (1u << (family))

#define DHT_FLAG_UNLISTED 1u
#define DHT_RENEW_SIZE    36 /* first and last 8 bytes of the range, count (4), XOR of the keys' first 16 bytes */

#define DHT_NODE_WIRE(family) (NODE_KEY_SIZE + ((family) == DHT_V4 ? 6u : 18u))
#define DHT_PUT_KEYS_MAX      30 /* keys in one put or withdrawal */
#define DHT_REPLY_RECORDS_MAX 6
#define DHT_PAD_MAX           400 /* three times this is a full datagram */

/* Most bytes of a reply's plaintext besides contacts and values. */
#define DHT_REPLY_HEAD 80

struct dht_message {
    uint8_t type;    /* enum dht_type, without the reply bit; may be unknown */
    bool reply, has_token, has_port, has_self, has_observed;
    uint8_t id[DHT_ID_SIZE], token[DHT_TOKEN_SIZE];
    uint32_t flags, want, kind;
    const uint8_t *key;      /* 32 bytes or NULL */
    struct bytes record;     /* put: the signed record */
    struct bytes keys;       /* put: provider keys, 32 bytes each */
    struct bytes renew;      /* put: "renew what you hold of mine in this range, if it is exactly this" */
    struct bytes withdraw;   /* put: provider keys of mine to forget, 32 bytes each */
    uint32_t first;          /* get: not a random stretch of the records but those from this one on, counted from 1; 0 = absent */
    struct bytes body;       /* call and its answer */
    uint16_t port, self_port;
    /* replies */
    int status;              /* 0, or a code below zero */
    struct net_addr observed;
    uint64_t unix_s;         /* 0 = unknown */
    struct bytes contacts[DHT_FAMILIES], providers[DHT_FAMILIES];
    struct bytes records[DHT_REPLY_RECORDS_MAX];
    uint32_t record_count;
    struct bytes results;    /* put: per key 0, or minus the error code */
    uint32_t held;           /* get: values known here, when not all fitted */
};

/* Writes and pads with zeroes to at least `pad_to` bytes (0: no padding). Returns the size, 0 when it does not fit. */
size_t dht_message_write(uint8_t *out, size_t cap, const struct dht_message *m, size_t pad_to);
/* ERR_MALFORMED. Spans are borrowed from `data`. */
int dht_message_read(struct dht_message *m, const uint8_t *data, size_t size);

void dht_node_to_wire(uint8_t *out, enum dht_family family, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr);
/* Entry i of a list. False when its address could never be a peer's: a wrong scope or port 0. */
bool dht_node_from_wire(struct node_addr *out, enum dht_family family, struct bytes list, uint32_t i);
static inline uint32_t dht_node_count(enum dht_family family, struct bytes list)
{
    return (uint32_t)(list.size / DHT_NODE_WIRE(family));
}
static inline enum dht_family dht_family_of(const struct net_addr *a)
{
    return net_addr_is_v4(a) ? DHT_V4 : DHT_V6;
}
#endif
