/* Answers from the zones of names, made at the moment they are asked for: what a name is comes from the node,
 * where it is depends on the asker. */
#include <stdio.h>
#include "gateways/dns/dns_puny.h"
#include "gateways/dns/dns_server.h"
#include "node/base/assert.h"

#define NAME_TTL     60 /* [s] */
#define STALE_TTL    30 /* RFC 8767, 5 */
#define NEGATIVE_TTL 10 /* a name that somebody pins now is there soon */

/* ---- Records ---- */

/* `label` + suffix, or the suffix itself for NULL. */
static void below(struct dns_name *out, const char *label, const struct dns_name *suffix)
{
    *out = *suffix;
    if (label && dns_name_join(out, (const uint8_t *)label, strlen(label), suffix->wire) != 0)
        *out = *suffix; /* a suffix so long has no room for it */
}

static void put(struct dns_reply *r, uint16_t type, uint32_t ttl, const void *data, size_t size)
{
    dns_write_record(&r->w, DNS_ANSWER, r->q->name.wire, type, ttl, bytes_of(data, size));
}

/* SOA of `apex`; hostmaster and name server are of the zone `suffix`. */
static void put_soa(struct dns_reply *r, enum dns_section section, const struct dns_name *apex,
                    const struct dns_name *suffix)
{
    uint8_t data[2 * DNS_NAME_MAX + 20], *p = data;
    struct dns_name name;
    below(&name, "node", suffix);
    memcpy(p, name.wire, name.size);
    p += name.size;
    below(&name, "hostmaster", suffix);
    memcpy(p, name.wire, name.size);
    p += name.size;
    put_be32(p, r->server->serial);
    put_be32(p + 4, 3600);
    put_be32(p + 8, 600);
    put_be32(p + 12, 86400);
    put_be32(p + 16, NEGATIVE_TTL);
    bool negative = section == DNS_AUTHORITY;
    dns_write_record(&r->w, section, apex->wire, DNS_SOA, negative ? NEGATIVE_TTL : 3600,
                     bytes_of(data, (size_t)(p + 20 - data)));
}

static void no(struct dns_reply *r, const struct dns_name *apex, const struct dns_name *suffix,
               uint16_t rcode)
{
    r->w.rcode = rcode;
    put_soa(r, DNS_AUTHORITY, apex, suffix);
}

static bool is_loopback(const struct net_addr *a)
{
    struct net_addr b = *a;
    b.port = 1;
    return net_addr_scope(&b) == NET_SCOPE_LOOPBACK;
}

static bool is_any(const struct net_addr *a)
{
    static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff}, v6[16] = {0};
    return memcmp(a->ip, v4, 16) == 0 || memcmp(a->ip, v6, 16) == 0;
}

/* `bound` as the asker can reach it, in one family. False: not at all. */
static bool reach(const struct dns_reply *r, const struct net_addr *bound, bool v6, struct net_addr *out)
{
    const struct net_addr *to = &r->asker->to;
    bool bound_v6 = !net_addr_is_v4(bound), any = is_any(bound), local = is_loopback(&r->asker->from);
    if (bound->port == 0 || (!bound_v6 && v6) || (bound_v6 && !any && !v6))
        return false; /* [::] takes IPv4 too */
    if (!any) {
        struct net_addr b = *bound;
        *out = b;
        if (is_loopback(&b))
            return local;
        return net_addr_scope(&b) != NET_SCOPE_LINK_LOCAL || net_addr_is_v4(&b);
    }
    if (local) {
        *out = net_addr_v4(127, 0, 0, 1, bound->port);
        if (v6)
            *out = (struct net_addr){.ip = {[15] = 1}, .port = bound->port};
        return true;
    }
    if (is_loopback(to))
        return false;
    if (net_addr_is_v4(to) != v6) { /* the address that was asked is of this family */
        *out = *to;
        return v6 ? net_addr_scope(to) != NET_SCOPE_LINK_LOCAL : true;
    }
    return r->server->beside && r->server->beside(r->server->owner, to, v6, out);
}

static bool put_address(struct dns_reply *r, uint32_t ttl, const struct net_addr *a)
{
    bool v4 = net_addr_is_v4(a);
    if (r->q->type != (v4 ? DNS_A : DNS_AAAA))
        return false;
    put(r, r->q->type, ttl, a->ip + (v4 ? 12 : 0), v4 ? 4 : 16);
    return true;
}

static bool put_reach(struct dns_reply *r, const struct net_addr *bound)
{
    struct net_addr a;
    bool v6 = r->q->type == DNS_AAAA;
    if ((r->q->type != DNS_A && !v6) || !reach(r, bound, v6, &a))
        return false;
    return put_address(r, NAME_TTL, &a);
}

static void put_text(struct dns_reply *r, uint32_t ttl, const char *key, const char *value)
{
    uint8_t data[256];
    int n = snprintf((char *)data + 1, sizeof data - 1, "%s=%s", key, value);
    data[0] = (uint8_t)(n < 254 ? n : 254);
    put(r, DNS_TXT, ttl, data, data[0] + 1u);
}

static void put_srv(struct dns_reply *r, uint32_t ttl, uint16_t port, const uint8_t *target)
{
    uint8_t data[6 + DNS_NAME_MAX] = {0};
    size_t size = dns_wire_size(target);
    put_be16(data + 4, port);
    memcpy(data + 6, target, size);
    put(r, DNS_SRV, ttl, data, 6 + size);
}

/* ---- Names ---- */

static bool label_is(const uint8_t *label, const char *text)
{
    return *label == strlen(text) && memcmp(label + 1, text, *label) == 0;
}

static const struct dns_service *service_of(const struct dns_service *list, unsigned count,
                                            const uint8_t *label)
{
    for (unsigned i = 0; i < count; i++) {
        size_t n = strlen(list[i].name);
        if (*label == n + 1 && label[1] == '_' && memcmp(label + 2, list[i].name, n) == 0)
            return &list[i];
    }
    return NULL;
}

/* The zone's own name. */
static void at_apex(struct dns_reply *r, const struct dns_name *suffix)
{
    struct dns_name ns;
    switch (r->q->type) {
    case DNS_SOA:
        put_soa(r, DNS_ANSWER, suffix, suffix);
        break;
    case DNS_NS:
        below(&ns, "node", suffix);
        put(r, DNS_NS, 3600, ns.wire, ns.size);
        break;
    case DNS_TXT:
        put_text(r, NAME_TTL, "shoal", SHOAL_VERSION);
        break;
    case DNS_ANY:
        dns_reply_any(r, r->q->name.wire);
        break;
    default:
        put_reach(r, &r->server->http);
    }
    if (r->w.counts[DNS_ANSWER] == 0)
        no(r, suffix, suffix, DNS_NOERROR);
}

/* <name>.<z> */
static void at_name(struct dns_reply *r, const struct dns_who *who, const struct dns_name *suffix)
{
    static const uint8_t no_mail[3] = {0}; /* RFC 7505 */
    uint32_t ttl = who->stale ? STALE_TTL : NAME_TTL;
    switch (r->q->type) {
    case DNS_TXT:
        put_text(r, ttl, who->is_content ? "content" : "node", who->id);
        if (who->nickname[0])
            put_text(r, ttl, "nickname", who->nickname);
        if (who->site[0])
            put_text(r, ttl, "site", who->site);
        break;
    case DNS_MX:
        put(r, DNS_MX, NAME_TTL, no_mail, sizeof no_mail);
        break;
    case DNS_ANY:
        dns_reply_any(r, r->q->name.wire);
        break;
    default:
        put_reach(r, &r->server->http);
    }
    if (r->w.counts[DNS_ANSWER] == 0)
        no(r, suffix, suffix, DNS_NOERROR);
}

/* node.<name>.<z> */
static void at_node(struct dns_reply *r, const struct dns_who *who, const struct dns_name *suffix)
{
    if (r->q->type == DNS_ANY)
        dns_reply_any(r, r->q->name.wire);
    bool local = is_loopback(&r->asker->from);
    for (unsigned i = 0; i < who->address_count; i++) {
        struct net_addr a = who->addresses[i];
        bool seen = false;
        for (unsigned k = 0; k < i; k++)
            seen |= net_addr_same_ip(&a, &who->addresses[k]);
        if (!seen && net_addr_scope(&a) != NET_SCOPE_INVALID && (local || !is_loopback(&a)))
            put_address(r, who->stale ? STALE_TTL : NAME_TTL, &a);
    }
    if (r->w.counts[DNS_ANSWER] == 0)
        no(r, suffix, suffix, DNS_NOERROR);
}

/* _<service>._tcp.<at>, where `list` is served at the name two labels further. */
static void at_service(struct dns_reply *r, const struct dns_service *list, unsigned count, bool stale,
                       const struct dns_name *suffix)
{
    const struct dns_service *s = service_of(list, count, r->q->name.wire);
    if (!s) {
        no(r, suffix, suffix, DNS_NXDOMAIN);
        return;
    }
    if (r->q->type == DNS_SRV)
        put_srv(r, stale ? STALE_TTL : NAME_TTL, s->port, dns_name_suffix(&r->q->name, 2));
    else if (r->q->type == DNS_ANY)
        dns_reply_any(r, r->q->name.wire);
    if (r->w.counts[DNS_ANSWER] == 0)
        no(r, suffix, suffix, DNS_NOERROR);
}

/* What stands below <name>: the labels before it, from the right. */
enum place {
    PLACE_NAME,
    PLACE_NODE,
    PLACE_TCP,
    PLACE_SERVICE,
    PLACE_NODE_TCP,
    PLACE_NODE_SERVICE,
    PLACE_NONE
};

static enum place place_of(const struct dns_name *name, unsigned depth)
{
    if (depth == 1)
        return PLACE_NAME;
    const uint8_t *first = dns_name_suffix(name, depth - 2);
    bool node = label_is(first, "node");
    if (depth == 2)
        return node ? PLACE_NODE : label_is(first, "_tcp") ? PLACE_TCP : PLACE_NONE;
    if (depth == 3 && node)
        return label_is(dns_name_suffix(name, 0), "_tcp") ? PLACE_NODE_TCP : PLACE_NONE;
    if (depth == 3)
        return label_is(first, "_tcp") ? PLACE_SERVICE : PLACE_NONE;
    return depth == 4 && node && label_is(dns_name_suffix(name, 1), "_tcp") ? PLACE_NODE_SERVICE : PLACE_NONE;
}

static bool needs_profile(enum place place, uint16_t type)
{
    switch (place) {
    case PLACE_NAME:
        return type == DNS_TXT;
    case PLACE_NODE:
        return type == DNS_A || type == DNS_AAAA;
    case PLACE_NODE_SERVICE:
        return true;
    default:
        return false;
    }
}

static void at_place(struct dns_reply *r, enum place place, const struct dns_who *who,
                     const struct dns_name *suffix)
{
    const struct dns_server *s = r->server;
    switch (place) {
    case PLACE_NAME:
        at_name(r, who, suffix);
        break;
    case PLACE_NODE:
        at_node(r, who, suffix);
        break;
    case PLACE_SERVICE:
        at_service(r, s->services, s->service_count, false, suffix);
        break;
    case PLACE_NODE_SERVICE:
        at_service(r, who->services, who->service_count, who->stale, suffix);
        break;
    case PLACE_TCP: /* exist because names below them do (RFC 8020) */
        no(r, suffix, suffix, s->service_count ? DNS_NOERROR : DNS_NXDOMAIN);
        break;
    default:
        no(r, suffix, suffix, DNS_NOERROR);
    }
}

void dns_reply_names(struct dns_reply *r, const struct dns_name *suffix)
{
    const struct dns_name *name = &r->q->name;
    struct dns_server *s = r->server;
    struct dns_who who;
    char text[DNS_TEXT_MAX];
    unsigned depth = (unsigned)(name->labels - suffix->labels);
    r->w.flags |= DNS_FLAG_AA;
    if (depth == 0) {
        at_apex(r, suffix);
        return;
    }
    const uint8_t *label = dns_name_suffix(name, depth - 1);
    if (depth == 1 && label_is(label, "node")) {
        struct net_addr to = r->asker->to;
        to.port = 1;
        if (!put_reach(r, &to))
            no(r, suffix, suffix, DNS_NOERROR);
        return;
    }
    enum place place = depth <= 4 ? place_of(name, depth) : PLACE_NONE;
    int found = ERR_NOT_FOUND;
    if (place != PLACE_NONE && s->find && dns_label_to_utf8(text, sizeof text, label + 1, *label))
        found = s->find(s->owner, text, &who);
    bool node_only = place == PLACE_NODE || place == PLACE_NODE_TCP || place == PLACE_NODE_SERVICE;
    if ((found != 0 && found != ERR_BUSY) || (node_only && who.is_content)) {
        no(r, suffix, suffix, DNS_NXDOMAIN);
        return;
    }
    bool needed = needs_profile(place, r->q->type);
    if (found == ERR_BUSY && needed) {
        if (r->later) {
            memcpy(r->later, text, sizeof text);
            r->wait = true;
            return;
        }
        if (place != PLACE_NAME) { /* nobody told us: not the same as "there is none" */
            r->w.rcode = DNS_SERVFAIL;
            r->w.flags &= (uint16_t)~DNS_FLAG_AA;
            r->w.ede = DNS_EDE_NO_AUTHORITY;
            return;
        }
    }
    if (needed && who.stale)
        r->w.ede = DNS_EDE_STALE;
    at_place(r, place, &who, suffix);
}

/* ---- Reverse ---- */

/* 4 or 32 labels before in-addr.arpa or ip6.arpa to an address. */
static bool reverse_address(const struct dns_name *name, struct net_addr *out)
{
    static const uint8_t v4[] = "\7in-addr\4arpa", v6[] = "\3ip6\4arpa"; /* each with the root's zero */
    memset(out, 0, sizeof *out);
    if (name->labels == 6 && memcmp(dns_name_suffix(name, 4), v4, sizeof v4) == 0) {
        uint8_t ip[4];
        for (unsigned i = 0; i < 4; i++) {
            const uint8_t *l = dns_name_suffix(name, i);
            unsigned value = 0;
            for (unsigned k = 1; k <= *l; k++) {
                if (l[k] < '0' || l[k] > '9' || *l > 3 || (*l > 1 && l[1] == '0'))
                    return false;
                value = value * 10 + (unsigned)(l[k] - '0');
            }
            if (value > 255)
                return false;
            ip[3 - i] = (uint8_t)value;
        }
        *out = net_addr_v4(ip[0], ip[1], ip[2], ip[3], 0);
        return true;
    }
    if (name->labels != 34 || memcmp(dns_name_suffix(name, 32), v6, sizeof v6) != 0)
        return false;
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t *l = dns_name_suffix(name, i);
        int digit = *l != 1                      ? -1
                    : l[1] >= '0' && l[1] <= '9' ? l[1] - '0'
                    : l[1] >= 'a' && l[1] <= 'f' ? l[1] - 'a' + 10
                                                 : -1;
        if (digit < 0)
            return false;
        out->ip[15 - i / 2] = (uint8_t)(out->ip[15 - i / 2] | digit << (i % 2 * 4));
    }
    return true;
}

bool dns_reply_reverse(struct dns_reply *r)
{
    struct dns_server *s = r->server;
    struct net_addr a;
    char text[DNS_TEXT_MAX];
    uint8_t label[DNS_LABEL_MAX];
    struct dns_name target;
    if (s->suffix_count == 0 || !s->find_at || !reverse_address(&r->q->name, &a) ||
        !s->find_at(s->owner, &a, text))
        return false;
    const struct dns_name *suffix = &s->suffixes[0];
    size_t size = dns_label_from_utf8(label, text);
    if (size == 0 || dns_name_join(&target, label, size, suffix->wire) != 0)
        return false;
    r->w.flags |= DNS_FLAG_AA;
    if (r->q->type == DNS_PTR)
        put(r, DNS_PTR, NAME_TTL, target.wire, target.size);
    else if (r->q->type == DNS_ANY)
        dns_reply_any(r, r->q->name.wire);
    else if (r->q->type == DNS_SOA)
        put_soa(r, DNS_ANSWER, &r->q->name, suffix);
    else
        no(r, &r->q->name, suffix, DNS_NOERROR);
    return true;
}
