#include "gateways/dns/dns_write.h"
#include "node/base/assert.h"

#define OPT_SIZE    11
#define OPTION_SIZE 4
#define EDE_SIZE    (OPTION_SIZE + 2)
#define TSIG_ROOM   (2 * DNS_NAME_MAX + 26)
#define POINTER_MAX 0x3fff

static size_t opt_size(const struct dns_query *q, const struct dns_write_options *o)
{
    if (!q->edns)
        return 0;
    return OPT_SIZE + EDE_SIZE + (o->cookie_size ? OPTION_SIZE + o->cookie_size : 0) +
           (o->keepalive ? OPTION_SIZE + 2 : 0);
}

static void remember(struct dns_writer *w, size_t at)
{
    if (w->name_count < DNS_WRITE_NAMES_MAX && at <= POINTER_MAX)
        w->names[w->name_count++] = (uint16_t)at;
}

/* Question name and its suffixes. */
static void remember_question(struct dns_writer *w)
{
    for (size_t at = DNS_HEADER_SIZE; w->out[at]; at += w->out[at] + 1u)
        remember(w, at);
}

void dns_write_begin(struct dns_writer *w, uint8_t *out, size_t cap, const struct dns_query *q,
                     const struct dns_write_options *options)
{
    size_t reserve = opt_size(q, options) + (q->tsig_at ? TSIG_ROOM : 0);
    core_assert(cap >= DNS_UDP_PLAIN);
    core_assert(reserve + DNS_HEADER_SIZE + q->question_size <= cap || q->tsig_at);
    w->out = out;
    w->size = DNS_HEADER_SIZE + (size_t)q->question_size;
    w->cap = reserve + w->size < cap ? cap - reserve : w->size;
    w->flags = 0;
    w->rcode = DNS_NOERROR;
    w->ede = DNS_EDE_NONE;
    w->full = false;
    w->name_count = 0;
    memset(w->counts, 0, sizeof w->counts);
    if (q->question_size) {
        memcpy(out + DNS_HEADER_SIZE, q->message.data + DNS_HEADER_SIZE, q->question_size);
        w->counts[0] = 1;
        remember_question(w);
    }
}

void dns_write_clear(struct dns_writer *w, const struct dns_query *q)
{
    w->size = DNS_HEADER_SIZE + (size_t)q->question_size;
    w->counts[1] = w->counts[2] = w->counts[3] = 0;
    w->full = false;
    w->name_count = 0;
    if (q->question_size)
        remember_question(w);
}

/* Is the name written at `at` (pointers followed) the same as `wire`? */
static bool written_equal(const struct dns_writer *w, size_t at, const uint8_t *wire)
{
    for (;;) {
        const uint8_t *p = w->out + at;
        while ((*p & 0xc0) == 0xc0)
            p = w->out + ((size_t)(p[0] & 0x3f) << 8 | p[1]);
        if (*p != *wire)
            return false;
        if (*p == 0)
            return true;
        for (unsigned i = 1; i <= *p; i++)
            if (dns_lower[p[i]] != dns_lower[wire[i]])
                return false;
        at = (size_t)(p - w->out) + *p + 1u;
        wire += *wire + 1;
    }
}

static uint16_t find_written(const struct dns_writer *w, const uint8_t *wire)
{
    for (unsigned i = 0; i < w->name_count; i++) {
        const uint8_t *p = w->out + w->names[i];
        if (*p == *wire && dns_lower[p[1]] == dns_lower[wire[1]] && written_equal(w, w->names[i], wire))
            return w->names[i];
    }
    return 0;
}

/* Appends; the caller checked nothing: false when it does not fit. */
static bool put(struct dns_writer *w, const void *data, size_t size)
{
    if (size > w->cap - w->size)
        return false;
    memcpy(w->out + w->size, data, size);
    w->size += size;
    return true;
}

static bool put_name(struct dns_writer *w, const uint8_t *wire, bool compress)
{
    size_t start = w->size;
    uint16_t to = 0;
    while (*wire && !(compress && (to = find_written(w, wire)) != 0)) {
        if (!put(w, wire, *wire + 1u))
            return false;
        wire += *wire + 1;
    }
    uint8_t pointer[2];
    put_be16(pointer, (uint16_t)(0xc000 | to));
    if (to ? !put(w, pointer, 2) : !put(w, wire, 1))
        return false;
    for (size_t at = start; compress && w->out[at] && (w->out[at] & 0xc0) == 0; at += w->out[at] + 1u)
        remember(w, at);
    return true;
}

/* Fields before names have fixed sizes in the types whose names may be compressed. */
static bool put_data(struct dns_writer *w, const char *layout, struct bytes data)
{
    const uint8_t *p = data.data, *end = p + data.size;
    for (; *layout && p < end; layout++) {
        size_t size;
        if (*layout == 'n') {
            size = dns_wire_size(p);
            if (!put_name(w, p, true))
                return false;
        } else {
            size = *layout == '2' ? 2 : 4;
            if (!put(w, p, size))
                return false;
        }
        p += size;
    }
    return true;
}

bool dns_write_record(struct dns_writer *w, enum dns_section section, const uint8_t *owner, uint16_t type,
                      uint32_t ttl, struct bytes data)
{
    size_t before = w->size;
    uint8_t names_before = w->name_count, fixed[10];
    const struct dns_type_info *info = dns_type_find(type);
    bool compress = info && (strchr(info->layout, 'n') != NULL);
    put_be16(fixed, type);
    put_be16(fixed + 2, DNS_IN);
    put_be32(fixed + 4, ttl);
    put_be16(fixed + 8, (uint16_t)data.size);
    bool fits = put_name(w, owner, true) && put(w, fixed, sizeof fixed);
    size_t data_at = w->size;
    if (fits)
        fits = compress ? put_data(w, info->layout, data) : put(w, data.data, data.size);
    if (!fits || w->counts[section] == 0xffff) {
        w->size = before;
        w->name_count = names_before;
        w->full = true;
        return false;
    }
    put_be16(w->out + data_at - 2, (uint16_t)(w->size - data_at));
    w->counts[section]++;
    return true;
}

static void put_opt(struct dns_writer *w, const struct dns_query *q, const struct dns_write_options *o)
{
    uint8_t *p = w->out + w->size, *data = p + OPT_SIZE, *at = data;
    p[0] = 0;
    put_be16(p + 1, DNS_OPT);
    put_be16(p + 3, DNS_UDP_MAX);
    p[5] = (uint8_t)(w->rcode >> 4);
    p[6] = 0; /* version */
    put_be16(p + 7, q->dnssec_ok ? 0x8000 : 0);
    if (o->cookie_size) {
        put_be16(at, DNS_OPTION_COOKIE);
        put_be16(at + 2, o->cookie_size);
        memcpy(at + 4, o->cookie, o->cookie_size);
        at += OPTION_SIZE + o->cookie_size;
    }
    if (o->keepalive) {
        put_be16(at, DNS_OPTION_KEEPALIVE);
        put_be16(at + 2, 2);
        put_be16(at + 4, o->keepalive);
        at += OPTION_SIZE + 2;
    }
    if (w->ede != DNS_EDE_NONE) {
        put_be16(at, DNS_OPTION_EDE);
        put_be16(at + 2, 2);
        put_be16(at + 4, w->ede);
        at += EDE_SIZE;
    }
    put_be16(p + 9, (uint16_t)(at - data));
    w->size += (size_t)(at - p);
    w->counts[3]++;
}

/* RFC 8945, 5.2.1: the key is not known here; the answer's TSIG says BADKEY and is not signed. */
static void put_tsig(struct dns_writer *w, const struct dns_query *q)
{
    struct dns_name key, algorithm;
    size_t at = q->tsig_at;
    uint8_t *p = w->out + w->size;
    if (dns_name_read(&key, q->message, &at) != 0 || q->message.size - at < 10)
        return;
    size_t data_size = get_be16(q->message.data + at + 8), data_at = at + 10, end = data_at + data_size;
    at = data_at;
    if (dns_name_read(&algorithm, bytes_of(q->message.data, end), &at) != 0 || end - at < 10)
        return;
    memcpy(p, key.wire, key.size);
    p += key.size;
    put_be16(p, DNS_TSIG);
    put_be16(p + 2, DNS_CLASS_ANY);
    put_be32(p + 4, 0);
    put_be16(p + 8, (uint16_t)(algorithm.size + 16));
    memcpy(p + 10, algorithm.wire, algorithm.size);
    p += 10 + algorithm.size;
    memcpy(p, q->message.data + at, 8); /* time signed, fudge */
    put_be16(p + 8, 0);                 /* no MAC */
    put_be16(p + 10, q->id);
    put_be16(p + 12, 17); /* BADKEY */
    put_be16(p + 14, 0);
    w->size = (size_t)(p + 16 - w->out);
    w->counts[3]++;
}

size_t dns_write_end(struct dns_writer *w, const struct dns_query *q, const struct dns_write_options *options)
{
    uint8_t *h = w->out;
    if (q->edns)
        put_opt(w, q, options);
    if (q->tsig_at)
        put_tsig(w, q);
    uint16_t rcode = w->rcode & 15;
    put_be16(h, q->id);
    put_be16(h + 2, (uint16_t)(DNS_FLAG_QR | (unsigned)q->opcode << 11 | w->flags | (q->flags & DNS_FLAG_RD) |
                               rcode));
    for (unsigned i = 0; i < 4; i++)
        put_be16(h + 4 + 2 * i, w->counts[i]);
    return w->size;
}
