#include "gateways/dns/dns_zone.h"
#include <stdio.h>
#include <stdlib.h>
#include "node/base/assert.h"

#define TABLE_MIN 64u

struct dns_zone {
    struct dns_node **table;
    uint32_t table_size, node_count, record_count; /* table_size: a power of two */
    struct dns_name apex;
    bool has_apex;
    const struct dns_set *soa;
};

struct dns_zone *dns_zone_new(void)
{
    struct dns_zone *z = calloc(1, sizeof *z);
    if (z)
        z->table = calloc(TABLE_MIN, sizeof *z->table);
    if (z && !z->table) {
        free(z);
        return NULL;
    }
    if (z)
        z->table_size = TABLE_MIN;
    return z;
}

static void node_free(struct dns_node *n)
{
    for (struct dns_set *s = n->sets, *next; s; s = next) {
        next = s->next;
        free(s->data);
        free(s);
    }
    free(n);
}

void dns_zone_free(struct dns_zone *z)
{
    if (!z)
        return;
    for (uint32_t i = 0; i < z->table_size; i++) {
        for (struct dns_node *n = z->table[i], *next; n; n = next) {
            next = n->chain;
            node_free(n);
        }
    }
    free(z->table);
    free(z);
}

const struct dns_name *dns_zone_apex(const struct dns_zone *z)
{
    return &z->apex;
}

const struct dns_set *dns_zone_soa(const struct dns_zone *z)
{
    return z->soa;
}

uint32_t dns_zone_records(const struct dns_zone *z)
{
    return z->record_count;
}

uint32_t dns_zone_negative_ttl(const struct dns_zone *z)
{
    struct bytes data = bytes_of(z->soa->data + 2, get_be16(z->soa->data));
    uint32_t minimum = get_be32(data.data + data.size - 4);
    return minimum < z->soa->ttl ? minimum : z->soa->ttl;
}

/* ---- Building ---- */

static struct dns_node *lookup(const struct dns_zone *z, const uint8_t *wire, size_t size)
{
    uint32_t hash = dns_wire_hash(wire, size);
    struct dns_node *n = z->table[hash & (z->table_size - 1)];
    while (n && !(n->hash == hash && n->size == size && dns_wire_equal(n->wire, wire, size)))
        n = n->chain;
    return n;
}

static bool grow(struct dns_zone *z)
{
    uint32_t size = z->table_size * 2;
    struct dns_node **table = calloc(size, sizeof *table);
    if (!table)
        return false;
    for (uint32_t i = 0; i < z->table_size; i++) {
        for (struct dns_node *n = z->table[i], *next; n; n = next) {
            next = n->chain;
            n->chain = table[n->hash & (size - 1)];
            table[n->hash & (size - 1)] = n;
        }
    }
    free(z->table);
    z->table = table;
    z->table_size = size;
    return true;
}

static struct dns_node *node_at(struct dns_zone *z, const uint8_t *wire, size_t size, unsigned labels)
{
    struct dns_node *n = lookup(z, wire, size);
    if (n)
        return n;
    if (z->node_count >= z->table_size && !grow(z))
        return NULL;
    n = calloc(1, sizeof *n + size);
    if (!n)
        return NULL;
    memcpy(n->wire, wire, size);
    n->size = (uint8_t)size;
    n->labels = (uint8_t)labels;
    n->hash = dns_wire_hash(wire, size);
    n->chain = z->table[n->hash & (z->table_size - 1)];
    z->table[n->hash & (z->table_size - 1)] = n;
    z->node_count++;
    return n;
}

static bool is_there(const struct dns_set *set, struct bytes data)
{
    struct bytes have;
    for (const uint8_t *p = NULL; dns_set_next(set, &p, &have);)
        if (bytes_equal(have, data))
            return true;
    return false;
}

static int set_append(struct dns_set *set, struct bytes data)
{
    uint32_t need = set->size + 2 + (uint32_t)data.size;
    if (need > set->cap) {
        uint32_t cap = set->count ? need * 2 : need;
        uint8_t *grown = realloc(set->data, cap);
        if (!grown)
            return ERR_NO_MEMORY;
        set->data = grown;
        set->cap = cap;
    }
    put_be16(set->data + set->size, (uint16_t)data.size);
    if (data.size)
        memcpy(set->data + set->size + 2, data.data, data.size);
    set->size = need;
    set->count++;
    return 0;
}

static int say(char *message, const char *format, const struct dns_name *name)
{
    char text[DNS_NAME_TEXT_MAX];
    snprintf(message, DNS_ZONE_MESSAGE, format, dns_name_to_text(text, name->wire));
    return ERR_MALFORMED;
}

static struct dns_set *set_of(struct dns_node *node, uint16_t type, uint32_t ttl, uint32_t line)
{
    struct dns_set **p = &node->sets;
    while (*p && (*p)->type != type)
        p = &(*p)->next;
    if (!*p && (*p = calloc(1, sizeof **p))) {
        (*p)->type = type;
        (*p)->ttl = ttl;
        (*p)->line = line;
    }
    return *p;
}

int dns_zone_add(struct dns_zone *z, const struct dns_name *owner, uint16_t type, uint32_t ttl,
                 struct bytes data, uint32_t line, char *message)
{
    struct dns_node *node = node_at(z, owner->wire, owner->size, owner->labels);
    struct dns_set *set = node ? set_of(node, type, ttl, line) : NULL;
    if (!set)
        return snprintf(message, DNS_ZONE_MESSAGE, "not enough memory for the zone"), ERR_NO_MEMORY;
    if (set->count && is_there(set, data))
        return 0;
    if (type == DNS_SOA && z->has_apex)
        return say(message, "a second SOA, at %.300s: a zone has one", owner);
    if ((type == DNS_CNAME || type == DNS_DNAME) && set->count)
        return say(message,
                   type == DNS_CNAME ? "%.300s has two different CNAMEs" : "%.300s has two different DNAMEs",
                   owner);
    if (set->size + data.size + 12u * set->count > DNS_SET_MAX || set->count == UINT16_MAX)
        return say(message, "the records of this type at %.300s are too large for one answer (60,000 bytes)",
                   owner);
    if (ttl < set->ttl) /* RFC 2181, 5.2: one time for the whole set */
        set->ttl = ttl;
    if (set_append(set, data) != 0)
        return snprintf(message, DNS_ZONE_MESSAGE, "not enough memory for the zone"), ERR_NO_MEMORY;
    if (type == DNS_SOA) {
        z->apex = *owner;
        z->has_apex = true;
        z->soa = set;
    }
    z->record_count++;
    return 0;
}

/* ---- Checking ---- */

static int check_node(const struct dns_zone *z, const struct dns_node *n, uint32_t *line, char *message)
{
    struct dns_name name;
    const struct dns_set *cname = dns_node_set(n, DNS_CNAME), *other;
    dns_name_set(&name, n->wire);
    *line = n->sets ? n->sets->line : 0;
    if (!dns_name_within(&name, &z->apex))
        return say(message, "%.300s is outside the zone", &name);
    for (other = n->sets; cname && other; other = other->next) { /* RFC 1034, 3.6.2; RFC 4035, 2.5 */
        if (other->type != DNS_CNAME && other->type != DNS_RRSIG && other->type != DNS_NSEC &&
            other->type != DNS_NSEC3) {
            *line = other->line > cname->line ? other->line : cname->line;
            return say(message, "%.300s has a CNAME and other records too: a CNAME stands alone", &name);
        }
    }
    return 0;
}

/* Names between this one and the apex exist too, without records (RFC 4592, 2.2.2). */
static int fill_above(struct dns_zone *z, const struct dns_node *n)
{
    struct dns_name name;
    dns_name_set(&name, n->wire);
    for (unsigned strip = 1; name.labels > z->apex.labels + strip; strip++) {
        const uint8_t *suffix = dns_name_suffix(&name, strip);
        size_t size = (size_t)(name.wire + name.size - suffix);
        if (lookup(z, suffix, size))
            continue;
        if (!node_at(z, suffix, size, name.labels - strip))
            return ERR_NO_MEMORY;
    }
    return 0;
}

/* All nodes, in a list of their own: filling in changes the table. */
static struct dns_node **nodes_of(const struct dns_zone *z)
{
    struct dns_node **all = malloc(z->node_count * sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; all && i < z->table_size; i++)
        for (struct dns_node *node = z->table[i]; node; node = node->chain)
            all[n++] = node;
    core_assert(!all || n == z->node_count);
    return all;
}

static bool occluded(const struct dns_zone *z, const struct dns_node *n)
{
    struct dns_name name;
    dns_name_set(&name, n->wire);
    for (unsigned strip = 1; name.labels >= z->apex.labels + strip; strip++) {
        const uint8_t *suffix = dns_name_suffix(&name, strip);
        const struct dns_node *above = lookup(z, suffix, (size_t)(name.wire + name.size - suffix));
        if (above && (above->cut || dns_node_set(above, DNS_DNAME)))
            return true;
    }
    return false;
}

int dns_zone_finish(struct dns_zone *z, uint32_t *line, char *message)
{
    *line = 0;
    if (!z->has_apex) {
        snprintf(message, DNS_ZONE_MESSAGE, "no SOA record: a zone begins with one");
        return ERR_MALFORMED;
    }
    uint32_t count = z->node_count, bad_line = 0;
    struct dns_node **all = nodes_of(z);
    int r = all ? 0 : ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count && r != ERR_NO_MEMORY;
         i++) { /* of several mistakes the one on the first line is told */
        char text[DNS_ZONE_MESSAGE];
        int one = check_node(z, all[i], line, text);
        if (one != 0 && (r == 0 || *line < bad_line)) {
            bad_line = *line;
            memcpy(message, text, sizeof text);
            r = one;
        }
    }
    for (uint32_t i = 0; i < count && r == 0; i++) {
        all[i]->cut = all[i]->labels > z->apex.labels && dns_node_set(all[i], DNS_NS);
        r = fill_above(z, all[i]);
    }
    free(all);
    all = r == 0 ? nodes_of(z) : NULL;
    if (r == 0 && !all)
        r = ERR_NO_MEMORY;
    for (uint32_t i = 0; r == 0 && i < z->node_count; i++)
        all[i]->occluded = all[i]->labels > z->apex.labels && occluded(z, all[i]);
    free(all);
    *line = bad_line;
    if (r == ERR_NO_MEMORY)
        snprintf(message, DNS_ZONE_MESSAGE, "not enough memory for the zone");
    return r;
}

/* ---- Lookup ---- */

const struct dns_node *dns_zone_get(const struct dns_zone *z, const uint8_t *wire)
{
    return lookup(z, wire, dns_wire_size(wire));
}

const struct dns_set *dns_node_set(const struct dns_node *node, uint16_t type)
{
    const struct dns_set *s = node->sets;
    while (s && s->type != type)
        s = s->next;
    return s;
}

enum dns_found dns_zone_find(const struct dns_zone *z, const struct dns_name *name,
                             const struct dns_node **node)
{
    const struct dns_node *closest = lookup(z, name->wire, name->size);
    if (closest && !closest->occluded) {
        *node = closest;
        return closest->cut ? DNS_FOUND_CUT : DNS_FOUND_NODE;
    }
    /* From the apex down, so that the topmost cut or DNAME wins; the last name that exists is the closest
     * encloser. */
    for (unsigned strip = name->labels - z->apex.labels; strip > 0; strip--) {
        const uint8_t *suffix = dns_name_suffix(name, strip);
        const struct dns_node *n = lookup(z, suffix, (size_t)(name->wire + name->size - suffix));
        if (!n)
            break;
        closest = *node = n;
        if (n->cut)
            return DNS_FOUND_CUT;
        if (dns_node_set(n, DNS_DNAME))
            return DNS_FOUND_DNAME;
    }
    core_assert(closest);
    struct dns_name star;
    if (dns_name_join(&star, (const uint8_t *)"*", 1, closest->wire) == 0) {
        const struct dns_node *n = lookup(z, star.wire, star.size);
        if (n) {
            *node = n;
            return n->cut ? DNS_FOUND_CUT : DNS_FOUND_NODE;
        }
    }
    return DNS_FOUND_NOTHING;
}
