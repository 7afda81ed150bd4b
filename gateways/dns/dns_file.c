/* Answers from a zone that came from a file: RFC 1034, 4.3.2 step by step. */
#include "gateways/dns/dns_server.h"
#include "node/base/assert.h"

#define CHAIN_MAX 12 /* CNAMEs and DNAMEs followed */
#define YXDOMAIN  6

static bool put_set(struct dns_reply *r, enum dns_section section, const uint8_t *owner,
                    const struct dns_set *set)
{
    struct bytes data;
    for (const uint8_t *p = NULL; dns_set_next(set, &p, &data);)
        if (!dns_write_record(&r->w, section, owner, set->type, set->ttl, data))
            return false;
    return true;
}

/* RFC 2308, 3: the SOA with the time that "no" may be kept. */
static void put_negative(struct dns_reply *r, const struct dns_zone *z)
{
    const struct dns_set *soa = dns_zone_soa(z);
    dns_write_record(&r->w, DNS_AUTHORITY, dns_zone_apex(z)->wire, DNS_SOA, dns_zone_negative_ttl(z),
                     bytes_of(soa->data + 2, get_be16(soa->data)));
}

/* A set in the additional section that is only a help: all of it, or none, and no TC. */
static void put_help(struct dns_reply *r, const uint8_t *owner, const struct dns_set *set)
{
    struct dns_writer before = r->w;
    if (set && !put_set(r, DNS_ADDITIONAL, owner, set))
        r->w = before;
}

/* Addresses of a name that a record points to (RFC 1035, 3.3.9). glue: of a name below a delegation; false:
 * did not fit, and the referral is of no use without it (RFC 9471). */
static bool put_addresses(struct dns_reply *r, const struct dns_zone *z, const uint8_t *target, bool glue)
{
    struct dns_name name;
    const struct dns_node *node = NULL;
    dns_name_set(&name, target);
    if (!dns_name_within(&name, dns_zone_apex(z)))
        return true;
    if (glue)
        node = dns_zone_get(z, target);
    else if (dns_zone_find(z, &name, &node) != DNS_FOUND_NODE)
        return true;
    static const uint16_t types[] = {DNS_A, DNS_AAAA};
    for (unsigned i = 0; node && i < 2; i++) {
        const struct dns_set *set = dns_node_set(node, types[i]);
        if (set && glue && !put_set(r, DNS_ADDITIONAL, target, set))
            return false;
        if (set && !glue)
            put_help(r, target, set);
    }
    return true;
}

static void put_additional(struct dns_reply *r, const struct dns_zone *z, const struct dns_set *set)
{
    size_t skip = set->type == DNS_MX ? 2 : set->type == DNS_SRV ? 6 : 0;
    struct bytes data;
    if (set->type != DNS_MX && set->type != DNS_SRV && set->type != DNS_NS)
        return;
    for (const uint8_t *p = NULL; dns_set_next(set, &p, &data);)
        if (data.size > skip)
            put_addresses(r, z, data.data + skip, false);
}

static void put_referral(struct dns_reply *r, const struct dns_zone *z, const struct dns_node *cut)
{
    const struct dns_set *ns = dns_node_set(cut, DNS_NS), *ds = dns_node_set(cut, DNS_DS);
    struct dns_name apex, target;
    struct bytes data;
    if (!put_set(r, DNS_AUTHORITY, cut->wire, ns))
        return;
    if (ds && r->q->dnssec_ok)
        put_set(r, DNS_AUTHORITY, cut->wire, ds);
    dns_name_set(&apex, cut->wire);
    for (int needed = 1; needed >= 0; needed--) { /* glue without which nobody gets on comes first */
        for (const uint8_t *p = NULL; dns_set_next(ns, &p, &data);) {
            dns_name_set(&target, data.data);
            bool below = dns_name_within(&target, &apex);
            if (below == needed && !put_addresses(r, z, data.data, below))
                return;
        }
    }
}

/* Follows to `target` when it is in a zone of ours. */
static bool follow(struct dns_reply *r, const struct dns_zone **z, struct dns_name *name,
                   const uint8_t *target)
{
    dns_name_set(name, target);
    *z = dns_server_zone(r->server, name);
    return *z != NULL;
}

static bool follow_dname(struct dns_reply *r, const struct dns_zone **z, struct dns_name *name,
                         const struct dns_node *node)
{
    const struct dns_set *set = dns_node_set(node, DNS_DNAME);
    const uint8_t *target = set->data + 2;
    struct dns_name made;
    if (!put_set(r, DNS_ANSWER, node->wire, set))
        return false;
    if (dns_name_graft(&made, name, name->labels - node->labels, target) != 0) {
        r->w.rcode = YXDOMAIN; /* RFC 6672, 2.2 */
        return false;
    }
    if (!dns_write_record(&r->w, DNS_ANSWER, name->wire, DNS_CNAME, set->ttl, bytes_of(made.wire, made.size)))
        return false;
    return r->q->type != DNS_CNAME && follow(r, z, name, made.wire);
}

/* At a name that exists. True: go on with *name in *z. */
static bool at_node(struct dns_reply *r, const struct dns_zone **z, struct dns_name *name,
                    const struct dns_node *node)
{
    uint16_t type = r->q->type;
    const struct dns_set *set = dns_node_set(node, type), *cname = dns_node_set(node, DNS_CNAME);
    if (set) {
        if (put_set(r, DNS_ANSWER, name->wire, set))
            put_additional(r, *z, set);
    } else if (cname) {
        return put_set(r, DNS_ANSWER, name->wire, cname) && type != DNS_ANY &&
               follow(r, z, name, cname->data + 2);
    } else if (type == DNS_ANY && node->sets) {
        dns_reply_any(r, name->wire);
    } else {
        put_negative(r, *z);
    }
    return false;
}

void dns_reply_file(struct dns_reply *r, const struct dns_zone *z)
{
    struct dns_name name = r->q->name;
    bool more = true;
    r->w.flags |= DNS_FLAG_AA;
    for (unsigned i = 0; more && i < CHAIN_MAX; i++) {
        const struct dns_node *node = NULL;
        more = false;
        switch (dns_zone_find(z, &name, &node)) {
        case DNS_FOUND_CUT:
            if (r->q->type == DNS_DS &&
                node->labels == name.labels) { /* the parent's to answer (RFC 4035, 3.1.4.1) */
                more = at_node(r, &z, &name, node);
                break;
            }
            if (r->w.counts[DNS_ANSWER] == 0)
                r->w.flags &= (uint16_t)~DNS_FLAG_AA;
            put_referral(r, z, node);
            break;
        case DNS_FOUND_DNAME:
            more = follow_dname(r, &z, &name, node);
            break;
        case DNS_FOUND_NODE:
            more = at_node(r, &z, &name, node);
            break;
        case DNS_FOUND_NOTHING:
            r->w.rcode = DNS_NXDOMAIN; /* of the last name of a chain (RFC 6604) */
            put_negative(r, z);
        }
    }
}
