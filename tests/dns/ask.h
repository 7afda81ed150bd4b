/* Questions and answers as text, for the tests of gateways/dns: a query from its parts, an answer as one line
 * like "NOERROR aa an www.example. 60 A 192.0.2.1 au example. 300 SOA ..." */
#ifndef TESTS_DNS_ASK_H
#define TESTS_DNS_ASK_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the ones above first */
#include <cmocka.h>
#include "gateways/dns/dns_master.h"
#include "gateways/dns/dns_server.h"

#define LINE_MAX_SIZE 16384

struct question {
    const char *name;
    uint16_t type, class, flags; /* class 0: IN */
    bool edns;
    uint16_t udp_size, edns_flags; /* udp_size 0: 1232 */
    uint8_t version;
    struct bytes options; /* whole, with code and length */
};

static inline size_t make_query(uint8_t *out, const struct question *q)
{
    static const struct dns_name root = {1, 0, {0}};
    struct dns_name name;
    size_t n = DNS_HEADER_SIZE;
    memset(out, 0, n);
    put_be16(out, 0x1234);
    put_be16(out + 2, q->flags);
    put_be16(out + 4, 1);
    assert_int_equal(dns_name_from_text(&name, q->name, strlen(q->name), &root), 0);
    memcpy(out + n, name.wire, name.size);
    n += name.size;
    put_be16(out + n, q->type);
    put_be16(out + n + 2, q->class ? q->class : DNS_IN);
    n += 4;
    if (q->edns) {
        out[n] = 0;
        put_be16(out + n + 1, DNS_OPT);
        put_be16(out + n + 3, q->udp_size ? q->udp_size : 1232);
        out[n + 5] = 0;
        out[n + 6] = q->version;
        put_be16(out + n + 7, q->edns_flags);
        put_be16(out + n + 9, (uint16_t)q->options.size);
        if (q->options.size)
            memcpy(out + n + 11, q->options.data, q->options.size);
        n += 11 + q->options.size;
        put_be16(out + 10, 1);
    }
    return n;
}

static inline size_t show_data(char *out, size_t cap, struct bytes m, uint16_t type, size_t at, size_t size)
{
    const struct dns_type_info *info = dns_type_find(type);
    char text[DNS_NAME_TEXT_MAX];
    struct dns_name name;
    size_t n = 0, end = at + size;
    const char *layout = info && type != DNS_OPT ? info->layout : "";
    for (; *layout; layout++) {
        if (*layout == 'n' || *layout == 'N') {
            assert_int_equal(dns_name_read(&name, m, &at), 0);
            n += (size_t)snprintf(out + n, cap - n, " %s", dns_name_to_text(text, name.wire));
        } else if (*layout == '2') {
            n += (size_t)snprintf(out + n, cap - n, " %u", (unsigned)get_be16(m.data + at));
            at += 2;
        } else if (*layout == '4' || *layout == 't') {
            n += (size_t)snprintf(out + n, cap - n, " %u", (unsigned)get_be32(m.data + at));
            at += 4;
        } else if (*layout == 'a') {
            const uint8_t *p = m.data + at;
            n += (size_t)snprintf(out + n, cap - n, " %u.%u.%u.%u", p[0], p[1], p[2], p[3]);
            at += 4;
        } else if (*layout == '6') {
            struct net_addr a = {.port = 1};
            char address[NET_ADDR_TEXT_MAX];
            memcpy(a.ip, m.data + at, 16);
            net_addr_format(address, &a);
            n += (size_t)snprintf(out + n, cap - n, " %.*s", (int)(strlen(address) - 4), address + 1);
            at += 16;
        } else if (*layout == 'q' || *layout == 'Q') {
            do {
                n += (size_t)snprintf(out + n, cap - n, " \"%.*s\"", m.data[at], m.data + at + 1);
                at += m.data[at] + 1u;
            } while (*layout == 'Q' && at < end);
        } else {
            break;
        }
    }
    if (at < end)
        n += (size_t)snprintf(out + n, cap - n, " ");
    for (; at < end; at++)
        n += (size_t)snprintf(out + n, cap - n, "%02x", m.data[at]);
    return n;
}

/* Checks the answer's form as it goes: what cannot be read fails the test. */
static inline const char *show(struct bytes m)
{
    static char out[LINE_MAX_SIZE];
    static const char *const rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                         "NOTIMP",  "REFUSED", "YXDOMAIN"};
    static const char *const sections[] = {"", " an", " au", " ad"};
    size_t n = 0, at = DNS_HEADER_SIZE;
    uint16_t flags = get_be16(m.data + 2);
    assert_true(m.size >= DNS_HEADER_SIZE && (flags & DNS_FLAG_QR));
    unsigned rcode = flags & 15;
    n += rcode < 7 ? (size_t)snprintf(out, sizeof out, "%s", rcodes[rcode])
                   : (size_t)snprintf(out, sizeof out, "RCODE%u", rcode);
    n += (size_t)snprintf(out + n, sizeof out - n, "%s%s%s", flags & DNS_FLAG_AA ? " aa" : "",
                          flags & DNS_FLAG_TC ? " tc" : "", flags & DNS_FLAG_RD ? " rd" : "");
    struct dns_name name;
    for (unsigned i = get_be16(m.data + 4); i; i--) {
        assert_int_equal(dns_name_skip(m, &at), 0);
        at += 4;
    }
    for (unsigned section = 1; section < 4; section++) {
        for (unsigned i = get_be16(m.data + 4 + 2 * section); i; i--) {
            char text[DNS_NAME_TEXT_MAX], type_text[12];
            assert_int_equal(dns_name_read(&name, m, &at), 0);
            assert_true(m.size - at >= 10);
            uint16_t type = get_be16(m.data + at), size = get_be16(m.data + at + 8);
            uint32_t ttl = get_be32(m.data + at + 4);
            at += 10;
            assert_true(size <= m.size - at);
            if (type == DNS_OPT)
                n += (size_t)snprintf(out + n, sizeof out - n, " opt %u %u %04x", (unsigned)(ttl >> 24),
                                      (unsigned)(ttl >> 16 & 255), (unsigned)(ttl & 0xffff));
            else
                n += (size_t)snprintf(out + n, sizeof out - n, "%s %s %u %s", sections[section],
                                      dns_name_to_text(text, name.wire), ttl,
                                      dns_type_to_text(type_text, type));
            n += show_data(out + n, sizeof out - n, m, type, at, size);
            at += size;
        }
    }
    assert_int_equal(at, m.size);
    return out;
}

static const struct dns_asker loopback_asker = {.from = {{[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, 5353},
                                                .to = {{[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, 53}};

/* The answer as text; "later NAME" when it waits for a name, "nothing" when there is none. */
static inline const char *ask_bytes(struct dns_server *s, const struct dns_asker *asker, struct bytes query)
{
    static uint8_t out[DNS_MESSAGE_MAX];
    static char later[DNS_TEXT_MAX + 8] = "later ";
    size_t size =
        dns_answer(s, 1000000000, asker, query, out, asker->tcp ? sizeof out : DNS_UDP_MAX, later + 6);
    if (size == DNS_LATER)
        return later;
    return size ? show(bytes_of(out, size)) : "nothing";
}

static inline const char *ask(struct dns_server *s, const struct dns_asker *asker, const struct question *q)
{
    uint8_t query[2048];
    return ask_bytes(s, asker, bytes_of(query, make_query(query, q)));
}

static inline struct dns_zone *zone_of(const char *text)
{
    char message[DNS_ZONE_MESSAGE];
    uint32_t line;
    struct dns_zone *z = dns_zone_new();
    int r = dns_master_read(z, text, strlen(text), NULL, &line, message);
    if (r == 0)
        r = dns_zone_finish(z, &line, message);
    if (r != 0)
        fail_msg("line %u: %s", line, message);
    return z;
}

/* `expected` is how the text begins. */
static inline void assert_answer(const char *what, const char *got, const char *expected)
{
    if (strncmp(got, expected, strlen(expected)) != 0)
        fail_msg("%s:\n  got      %s\n  expected %s", what, got, expected);
}
#endif
