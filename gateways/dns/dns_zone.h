/* A zone in memory: names in a hash table, record sets behind each. Built once from a master file
 * (dns_master.h), then only read. Lookups follow RFC 1034, 4.3.2, RFC 4592 (wildcards, empty non-terminals),
 * RFC 6672 (DNAME) and RFC 2308. */
#ifndef SHOAL_DNS_ZONE_H
#define SHOAL_DNS_ZONE_H
#include "gateways/dns/dns_name.h"
#include "gateways/dns/dns_type.h"

#define DNS_ZONE_MESSAGE 512
#define DNS_SET_MAX                                                                                          \
    60000 /* bytes of one record set on the wire: it must fit a TCP answer with its question */

struct dns_set { /* records of one name and type */
    uint16_t type, count;
    uint32_t ttl, line; /* line: of the first record */
    uint32_t size,
        cap; /* of data: per record its size (2 bytes, big-endian) and its bytes, names not compressed */
    uint8_t *data;
    struct dns_set *next;
};

struct dns_node {
    struct dns_node *chain;
    uint32_t hash;
    uint8_t size, labels;
    bool cut;      /* a delegation: NS here, and not the apex */
    bool occluded; /* below a delegation or a DNAME: glue at most */
    struct dns_set *sets;
    uint8_t wire[]; /* with the case of the file */
};

struct dns_zone;
struct dns_zone *dns_zone_new(void); /* NULL: out of memory */
void dns_zone_free(struct dns_zone *z);

/* `line` for messages. The first SOA makes the apex. 0, ERR_NO_MEMORY, or ERR_MALFORMED with a sentence in
 * message (DNS_ZONE_MESSAGE bytes). */
int dns_zone_add(struct dns_zone *z, const struct dns_name *owner, uint16_t type, uint32_t ttl,
                 struct bytes data, uint32_t line, char *message);
/* Checks the whole and prepares lookups: an SOA, everything within the zone, CNAME alone. On error *line is
 * where (0: the file as a whole). */
int dns_zone_finish(struct dns_zone *z, uint32_t *line, char *message);

const struct dns_name *dns_zone_apex(const struct dns_zone *z);
const struct dns_set *dns_zone_soa(const struct dns_zone *z);
uint32_t dns_zone_negative_ttl(const struct dns_zone *z);
uint32_t dns_zone_records(const struct dns_zone *z);

enum dns_found {
    DNS_FOUND_NODE,   /* node: the name itself, or the wildcard that stands for it */
    DNS_FOUND_CUT,    /* node: the delegation at or above the name */
    DNS_FOUND_DNAME,  /* node: its owner, above the name */
    DNS_FOUND_NOTHING /* no such name */
};
/* `name` is within the zone. */
enum dns_found dns_zone_find(const struct dns_zone *z, const struct dns_name *name,
                             const struct dns_node **node);
/* Exactly this name, glue too. NULL: none. */
const struct dns_node *dns_zone_get(const struct dns_zone *z, const uint8_t *wire);
const struct dns_set *dns_node_set(const struct dns_node *node, uint16_t type);

/* for (p = NULL; dns_set_next(set, &p, &data);) */
static inline bool dns_set_next(const struct dns_set *set, const uint8_t **p, struct bytes *data)
{
    const uint8_t *at = *p ? *p : set->data;
    if (at == set->data + set->size)
        return false;
    *data = bytes_of(at + 2, get_be16(at));
    *p = at + 2 + data->size;
    return true;
}
#endif
