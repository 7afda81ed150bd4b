#include "gateways/dns/dns_server.h"
#include "node/base/assert.h"

#define AMPLIFY_MAX 3 /* answer to query in bytes, for an address that may be forged (RFC 9000's limit) */

static bool lower_name(struct dns_name *out, const char *text)
{
    static const struct dns_name root = {1, 0, {0}};
    struct dns_name name;
    if (dns_name_from_text(&name, text, strlen(text), &root) != 0 || name.labels == 0)
        return false;
    for (unsigned i = 0; i < name.size; i++)
        name.wire[i] = dns_lower[name.wire[i]];
    *out = name;
    return true;
}

int dns_server_add_suffix(struct dns_server *s, const char *text)
{
    struct dns_name name;
    if (!lower_name(&name, text))
        return ERR_MALFORMED;
    if (s->suffix_count == DNS_SUFFIXES_MAX)
        return ERR_FULL;
    for (unsigned i = 0; i < s->suffix_count; i++)
        if (dns_name_equal(&s->suffixes[i], &name))
            return ERR_EXISTS;
    s->suffixes[s->suffix_count++] = name;
    return 0;
}

int dns_server_add_zone(struct dns_server *s, struct dns_zone *z)
{
    if (s->zone_count == DNS_ZONES_MAX)
        return ERR_FULL;
    for (unsigned i = 0; i < s->zone_count; i++)
        if (dns_name_equal(dns_zone_apex(s->zones[i]), dns_zone_apex(z)))
            return ERR_EXISTS;
    for (unsigned i = 0; i < s->suffix_count; i++)
        if (dns_name_equal(&s->suffixes[i], dns_zone_apex(z)))
            return ERR_EXISTS;
    s->zones[s->zone_count++] = z;
    return 0;
}

bool dns_server_replace_zone(struct dns_server *s, struct dns_zone *old, struct dns_zone *fresh)
{
    if (!dns_name_equal(dns_zone_apex(old), dns_zone_apex(fresh)))
        return false;
    for (unsigned i = 0; i < s->zone_count; i++) {
        if (s->zones[i] == old) {
            s->zones[i] = fresh;
            dns_zone_free(old);
            return true;
        }
    }
    return false;
}

void dns_server_free_zones(struct dns_server *s)
{
    while (s->zone_count)
        dns_zone_free(s->zones[--s->zone_count]);
}

const struct dns_zone *dns_server_zone(const struct dns_server *s, const struct dns_name *name)
{
    const struct dns_zone *best = NULL;
    for (unsigned i = 0; i < s->zone_count; i++) {
        const struct dns_name *apex = dns_zone_apex(s->zones[i]);
        if (dns_name_within(name, apex) && (!best || apex->labels > dns_zone_apex(best)->labels))
            best = s->zones[i];
    }
    return best;
}

static const struct dns_name *suffix_of(const struct dns_server *s, const struct dns_name *name)
{
    const struct dns_name *best = NULL;
    for (unsigned i = 0; i < s->suffix_count; i++)
        if (dns_name_within(name, &s->suffixes[i]) && (!best || s->suffixes[i].labels > best->labels))
            best = &s->suffixes[i];
    return best;
}

void dns_reply_any(struct dns_reply *r, const uint8_t *owner)
{
    static const uint8_t hinfo[] = "\7RFC8482"; /* and an empty second text: the NUL */
    dns_write_record(&r->w, DNS_ANSWER, owner, DNS_HINFO, DNS_RFC8482_TTL, bytes_of(hinfo, sizeof hinfo));
}

static void reply(struct dns_reply *r)
{
    const struct dns_query *q = r->q;
    if (q->class != DNS_IN || q->type == DNS_AXFR || q->type == DNS_IXFR) {
        r->w.rcode = DNS_REFUSED; /* no transfers: the zone of names is not a list to give away */
        return;
    }
    const struct dns_zone *zone = dns_server_zone(r->server, &q->name);
    const struct dns_name *suffix = suffix_of(r->server, &q->name);
    if (zone && (!suffix || dns_zone_apex(zone)->labels > suffix->labels))
        dns_reply_file(r, zone);
    else if (suffix)
        dns_reply_names(r, suffix);
    else if (!dns_reply_reverse(r))
        r->w.rcode = DNS_REFUSED;
}

static void count(struct dns_server *s, const struct dns_writer *w)
{
    static const enum dns_counter by_rcode[] = {DNS_COUNT_ANSWERS,  DNS_COUNT_FORMERR, DNS_COUNT_OTHER,
                                                DNS_COUNT_NXDOMAIN, DNS_COUNT_OTHER,   DNS_COUNT_REFUSED};
    s->counters[w->rcode < 6 ? by_rcode[w->rcode] : DNS_COUNT_OTHER]++;
    if (w->flags & DNS_FLAG_TC)
        s->counters[DNS_COUNT_TRUNCATED]++;
    if (w->ede == DNS_EDE_STALE)
        s->counters[DNS_COUNT_STALE]++;
}

static void truncate(struct dns_reply *r)
{
    dns_write_clear(&r->w, r->q);
    r->w.flags |= DNS_FLAG_TC;
}

size_t dns_answer(struct dns_server *s, core_time now, const struct dns_asker *asker, struct bytes query,
                  uint8_t *out, size_t cap, char *later)
{
    struct dns_query q;
    struct dns_write_options options = {0};
    uint8_t cookie[DNS_COOKIE_WHOLE_SIZE];
    uint32_t now_s = (uint32_t)(now / 1000000);
    s->counters[DNS_COUNT_QUERIES] += later != NULL; /* counted once, however often it is asked */
    int rcode = dns_query_read(&q, query);
    if (rcode < 0) {
        s->counters[DNS_COUNT_DROPPED]++;
        return 0;
    }
    bool proven = asker->tcp || (q.cookie.size && dns_cookie_ok(q.cookie, s->secret, now_s, &asker->from));
    enum dns_verdict verdict = proven || !later ? DNS_PASS : dns_limit_take(&s->limit, now, &asker->from);
    if (verdict == DNS_DROP) {
        s->counters[DNS_COUNT_DROPPED]++;
        return 0;
    }
    if (q.cookie.size) {
        memcpy(cookie, q.cookie.data, DNS_COOKIE_CLIENT);
        dns_cookie_make(cookie, s->secret, now_s, &asker->from);
        options.cookie = cookie;
        options.cookie_size = sizeof cookie;
    }
    if (asker->tcp && q.keepalive)
        options.keepalive = s->keepalive;
    if (!asker->tcp) {
        size_t limit = q.edns ? q.udp_size : DNS_UDP_PLAIN;
        cap = limit < cap ? limit : cap;
        cap = cap < DNS_UDP_MAX ? cap : DNS_UDP_MAX;
    }
    struct dns_reply r = {.server = s, .asker = asker, .q = &q, .later = later};
    dns_write_begin(&r.w, out, cap, &q, &options);
    if (verdict == DNS_SLIP) {
        s->counters[DNS_COUNT_SLIPPED]++;
        r.w.flags |= DNS_FLAG_TC;
    } else if (rcode != DNS_NOERROR) {
        r.w.rcode = (uint16_t)rcode;
    } else if (q.has_question) {
        reply(&r);
        if (r.wait) {
            s->counters[DNS_COUNT_LATER]++;
            return DNS_LATER;
        }
    } /* else: a query for a cookie only (RFC 7873, 5.4) */
    if (r.w.full)
        truncate(&r);
    size_t size = dns_write_end(&r.w, &q, &options);
    if (!proven && size > AMPLIFY_MAX * query.size && net_addr_scope(&asker->from) == NET_SCOPE_GLOBAL) {
        uint16_t kept = r.w.rcode;
        dns_write_begin(&r.w, out, cap, &q, &options);
        r.w.rcode = kept;
        truncate(&r);
        size = dns_write_end(&r.w, &q, &options);
    }
    count(s, &r.w);
    return size;
}
