#include "gateways/dns/dns_query.h"

#define DO_BIT 0x8000

static int read_options(struct dns_query *q, struct bytes options)
{
    const uint8_t *p = options.data, *end = p + options.size;
    while (p < end) {
        if (end - p < 4)
            return DNS_FORMERR;
        uint16_t code = get_be16(p), size = get_be16(p + 2);
        p += 4;
        if (size > end - p)
            return DNS_FORMERR;
        if (code == DNS_OPTION_COOKIE &&
            q->cookie.size ==
                0) { /* RFC 7873, 5.2.2: other sizes are malformed; of several the first counts */
            if (size != DNS_COOKIE_CLIENT && (size < DNS_COOKIE_CLIENT + 8 || size > DNS_COOKIE_MAX))
                return DNS_FORMERR;
            q->cookie = bytes_of(p, size);
        } else if (code == DNS_OPTION_KEEPALIVE) {
            if (size != 0) /* RFC 7828, 3.2.1 */
                return DNS_FORMERR;
            q->keepalive = true;
        }
        p += size;
    }
    return DNS_NOERROR;
}

/* A record of a section after the question: 1 answer, 2 authority, 3 additional. `last` of all records. */
static int read_record(struct dns_query *q, size_t *at, unsigned section, bool last)
{
    struct bytes m = q->message;
    size_t start = *at;
    bool root = start < m.size && m.data[start] == 0;
    if (dns_name_skip(m, at) != 0 || m.size - *at < 10)
        return DNS_FORMERR;
    const uint8_t *fixed = m.data + *at;
    uint16_t type = get_be16(fixed), size = get_be16(fixed + 8);
    *at += 10;
    if (size > m.size - *at)
        return DNS_FORMERR;
    struct bytes data = bytes_of(m.data + *at, size);
    *at += size;
    if (type == DNS_TSIG) {
        if (section != 3 || !last) /* RFC 8945, 5.2 */
            return DNS_FORMERR;
        q->tsig_at = start;
    }
    if (type != DNS_OPT)
        return DNS_NOERROR;
    if (section != 3 || q->edns || !root) /* RFC 6891, 6.1.1 */
        return DNS_FORMERR;
    q->edns = true;
    q->udp_size = get_be16(fixed + 2);
    if (q->udp_size < DNS_UDP_PLAIN)
        q->udp_size = DNS_UDP_PLAIN;
    q->version = fixed[5];
    q->dnssec_ok = (get_be16(fixed + 6) & DO_BIT) != 0;
    return q->version == 0 ? read_options(q, data)
                           : DNS_NOERROR; /* another version's options are not ours to read */
}

static int read_question(struct dns_query *q, size_t *at)
{
    struct bytes m = q->message;
    if (dns_name_read(&q->name, m, at) != 0 || m.size - *at < 4)
        return DNS_FORMERR;
    q->type = get_be16(m.data + *at);
    q->class = get_be16(m.data + *at + 2);
    *at += 4;
    q->question_size = (uint16_t)(*at - DNS_HEADER_SIZE);
    q->has_question = true;
    return DNS_NOERROR;
}

int dns_query_read(struct dns_query *q, struct bytes message)
{
    /* Not the whole struct: a name is 255 bytes and is written when it is read. */
    q->question_size = 0;
    q->edns = q->dnssec_ok = q->keepalive = q->has_question = false;
    q->version = 0;
    q->udp_size = DNS_UDP_PLAIN;
    q->cookie = bytes_of(NULL, 0);
    q->tsig_at = 0;
    q->type = q->class = 0;
    q->name.size = 1;
    q->name.labels = 0;
    q->name.wire[0] = 0;
    q->message = message;
    if (message.size < DNS_HEADER_SIZE)
        return -1;
    const uint8_t *h = message.data;
    q->id = get_be16(h);
    q->flags = get_be16(h + 2);
    q->opcode = (uint8_t)(q->flags >> 11 & 15);
    if (q->flags & DNS_FLAG_QR)
        return -1;
    if (q->opcode != DNS_QUERY)
        return DNS_NOTIMP;
    uint16_t questions = get_be16(h + 4);
    size_t at = DNS_HEADER_SIZE;
    uint32_t left = (uint32_t)get_be16(h + 6) + get_be16(h + 8) + get_be16(h + 10);
    int rcode = DNS_NOERROR;
    if (questions > 1) /* RFC 9619 */
        return DNS_FORMERR;
    if (questions == 1)
        rcode = read_question(q, &at);
    for (unsigned section = 1; section <= 3; section++)
        for (uint16_t n = get_be16(h + 4 + 2 * section); n && rcode == DNS_NOERROR; n--)
            rcode = read_record(q, &at, section, --left == 0);
    if (q->edns &&
        q->version != 0) /* before all else that may be wrong: the asker learns which version we have */
        return DNS_BADVERS;
    if (rcode == DNS_NOERROR && (at != message.size || (questions == 0 && q->cookie.size == 0)))
        rcode = DNS_FORMERR;
    return rcode == DNS_NOERROR && q->tsig_at ? DNS_NOTAUTH : rcode;
}
