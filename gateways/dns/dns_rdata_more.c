/* Three record types whose text is a little language of its own: LOC, APL, SVCB and HTTPS. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/dns/dns_rdata.h"

/* ---- LOC (RFC 1876, 3) ---- */

/* A decimal number in units of 1/scale. "12.5" with scale 1000 is 12500. */
static bool read_decimal(const char *text, size_t size, unsigned places, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    unsigned after = 0;
    bool dot = false, digits = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.' && !dot) {
            dot = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || (dot && after == places) || value > max)
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
        after += dot;
        digits = true;
    }
    for (; after < places; after++)
        value *= 10;
    *out = value;
    return digits && value <= max;
}

static int loc_angle(struct dns_rdata *r, unsigned degrees_max, const char *letters)
{
    uint64_t part[3] = {0, 0, 0};
    for (unsigned i = 0; i < 4; i++) {
        const struct dns_token *t = dns_rdata_next(r, "a latitude or longitude");
        if (!t)
            return ERR_MALFORMED;
        char c = (char)(t->text[0] & ~0x20);
        if (i > 0 && t->size == 1 && (c == letters[0] || c == letters[1])) {
            uint64_t thousandths = (part[0] * 60 + part[1]) * 60000 + part[2];
            if (thousandths > degrees_max * UINT64_C(3600000))
                return dns_rdata_fail_word(r, t, "ends an angle that is too large");
            return dns_rdata_put_number(
                r, c == letters[0] ? 0x80000000u + thousandths : 0x80000000u - thousandths, 4);
        }
        uint64_t max = i == 0 ? degrees_max : i == 1 ? 59 : 59999;
        if (i == 3 || !read_decimal(t->text, t->size, i == 2 ? 3 : 0, max, &part[i]))
            break;
    }
    return dns_rdata_fail(r, "a LOC is written like 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m");
}

static int loc_length(struct dns_rdata *r, const char *text, size_t size, uint64_t *centimetres)
{
    if (size && (text[size - 1] == 'm' || text[size - 1] == 'M'))
        size--;
    return read_decimal(text, size, 2, UINT64_C(9000000000), centimetres)
               ? 0
               : dns_rdata_fail(r, "a length of LOC is written like 10.50m");
}

/* Base and power of ten in one byte. */
static int loc_precision(struct dns_rdata *r, uint64_t otherwise)
{
    uint64_t value = otherwise;
    unsigned power = 0;
    if (r->at < r->count) {
        const struct dns_token *t = &r->tokens[r->at++];
        if (loc_length(r, t->text, t->size, &value) != 0)
            return ERR_MALFORMED;
    }
    for (; value >= 10; value /= 10)
        power++;
    return dns_rdata_put_number(r, value << 4 | power, 1);
}

int dns_rdata_loc(struct dns_rdata *r)
{
    uint8_t latitude_longitude[8];
    size_t start = r->size;
    int e = loc_angle(r, 90, "NS");
    if (e == 0)
        e = loc_angle(r, 180, "EW");
    if (e != 0)
        return e;
    memcpy(latitude_longitude, r->out + start, 8);
    r->size = start;
    const struct dns_token *t = dns_rdata_next(r, "an altitude");
    if (!t)
        return ERR_MALFORMED;
    bool below = t->size && t->text[0] == '-';
    uint64_t altitude = 0;
    if (loc_length(r, t->text + below, t->size - below, &altitude) != 0 || (below && altitude > 10000000))
        return dns_rdata_fail_word(r, t, "is not an altitude from -100000.00m up");
    if (!below && altitude > UINT32_MAX - UINT64_C(10000000))
        return dns_rdata_fail_word(r, t, "is not an altitude up to 42849672.95m");
    e = dns_rdata_put_number(r, 0, 1); /* version */
    if (e == 0)
        e = loc_precision(r, 100);
    if (e == 0)
        e = loc_precision(r, 1000000);
    if (e == 0)
        e = loc_precision(r, 1000);
    if (e == 0)
        e = dns_rdata_put(r, latitude_longitude, 8);
    return e ? e : dns_rdata_put_number(r, below ? 10000000 - altitude : 10000000 + altitude, 4);
}

/* ---- APL (RFC 3123, 4): [!]family:address/prefix ... ---- */

int dns_rdata_apl(struct dns_rdata *r)
{
    while (r->at < r->count) {
        const struct dns_token *t = &r->tokens[r->at++];
        const char *p = t->text, *end = p + t->size;
        uint8_t ip[16], item[4];
        uint64_t prefix = 0;
        bool negated = p < end && *p == '!';
        p += negated;
        bool v6 = end - p > 2 && p[0] == '2' && p[1] == ':';
        const char *slash = memchr(p, '/', (size_t)(end - p));
        bool ok = slash && end - p > 2 && (v6 || (p[0] == '1' && p[1] == ':'));
        p += 2;
        ok = ok &&
             (v6 ? dns_rdata_ipv6(p, (size_t)(slash - p), ip) : dns_rdata_ipv4(p, (size_t)(slash - p), ip)) &&
             dns_number_read(slash + 1, (size_t)(end - slash - 1), v6 ? 128 : 32, &prefix);
        if (!ok)
            return dns_rdata_fail_word(r, t, "is not written like 1:192.0.2.0/24 or !2:2001:db8::/32");
        uint8_t size = v6 ? 16 : 4;
        while (size && ip[size - 1] == 0)
            size--;
        put_be16(item, v6 ? 2 : 1);
        item[2] = (uint8_t)prefix;
        item[3] = (uint8_t)(size | (negated ? 0x80 : 0));
        if (dns_rdata_put(r, item, 4) != 0 || dns_rdata_put(r, ip, size) != 0)
            return ERR_MALFORMED;
    }
    return 0;
}

/* ---- SVCB, HTTPS (RFC 9460, 2.1 and appendix A) ---- */

#define PARAMETERS_MAX 64

struct parameter {
    uint16_t key;
    uint32_t at; /* value within the scratch */
    uint32_t size;
};

static int key_of(const char *text, size_t size)
{
    static const char *const names[] = {"mandatory", "alpn",     "no-default-alpn", "port", "ipv4hint",
                                        "ech",       "ipv6hint", "dohpath",         "ohttp"};
    uint64_t n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0)
            return (int)i;
    if (size > 3 && size <= 8 && memcmp(text, "key", 3) == 0 && (text[3] != '0' || size == 4) &&
        dns_number_read(text + 3, size - 3, 65534, &n))
        return (int)n;
    return -1;
}

static int by_number(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* Items between commas; \, is a comma inside one (value-list of RFC 9460, appendix A.1). */
static bool next_item(const uint8_t **p, const uint8_t *end, uint8_t *item, size_t *size)
{
    *size = 0;
    while (*p < end && **p != ',') {
        if (**p == '\\' && *p + 1 < end)
            ++*p;
        if (*size == 255)
            return false;
        item[(*size)++] = *(*p)++;
    }
    return *size > 0;
}

/* The value of `key`, given as `value` with the zone file's escapes undone, as wire behind r->size. */
static bool put_value(struct dns_rdata *r, int key, const uint8_t *value, size_t value_size)
{
    const uint8_t *p = value, *end = value + value_size;
    uint16_t keys[PARAMETERS_MAX];
    unsigned key_count = 0;
    if (key == 2 || key == 8)
        return value_size == 0;
    if (key == 3) {
        uint64_t port;
        return dns_number_read((const char *)value, value_size, 65535, &port) &&
               dns_rdata_put_number(r, port, 2) == 0;
    }
    if (key == 5) {
        uint32_t bits = 0;
        unsigned have = 0, pads = 0;
        return value_size && dns_rdata_base64(r, (const char *)value, value_size, &bits, &have, &pads) == 0 &&
               dns_rdata_base64_end(r, bits, have, pads) == 0;
    }
    if (key == 7 || key > 8)
        return dns_rdata_put(r, value, value_size) == 0;
    do {
        uint8_t item[256], ip[16];
        size_t n;
        if (!next_item(&p, end, item + 1, &n))
            return false;
        item[0] = (uint8_t)n;
        bool ok = true;
        if (key == 1)
            ok = dns_rdata_put(r, item, n + 1) == 0;
        else if (key == 4)
            ok = dns_rdata_ipv4((char *)item + 1, n, ip) && dns_rdata_put(r, ip, 4) == 0;
        else if (key == 6)
            ok = dns_rdata_ipv6((char *)item + 1, n, ip) && dns_rdata_put(r, ip, 16) == 0;
        else if (key_of((char *)item + 1, n) > 0 && key_count < PARAMETERS_MAX)
            keys[key_count++] = (uint16_t)key_of((char *)item + 1, n);
        else
            ok = false;
        if (!ok)
            return false;
    } while (p < end && *p++ == ',');
    qsort(keys, key_count, sizeof *keys, by_number);
    for (unsigned i = 0; i < key_count; i++)
        if ((i && keys[i] == keys[i - 1]) || dns_rdata_put_number(r, keys[i], 2) != 0)
            return false;
    return p == end && (value_size == 0 || end[-1] != ',');
}

static int put_parameter(struct dns_rdata *r, const struct dns_token *t)
{
    const char *equals = memchr(t->text, '=', t->size);
    size_t key_size = equals ? (size_t)(equals - t->text) : t->size, n = 0;
    int key = key_of(t->text, key_size);
    uint8_t *value = malloc(UINT16_MAX);
    const char *text = equals ? equals + 1 : t->text + t->size;
    size_t size = (size_t)(t->text + t->size - text), at = r->size + 4;
    if (size >= 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    uint8_t head[4] = {0};
    bool ok = value && key >= 0 && dns_rdata_unescape(text, size, value, UINT16_MAX, &n) &&
              dns_rdata_put(r, head, 4) == 0 && put_value(r, key, value, n);
    free(value);
    if (!ok)
        return dns_rdata_fail_word(
            r, t, "is not a service parameter (RFC 9460), like alpn=h2,h3 or port=8443 or key65000=text");
    put_be16(r->out + at - 4, (uint16_t)key);
    put_be16(r->out + at - 2, (uint16_t)(r->size - at));
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return (int)((const struct parameter *)a)->key - (int)((const struct parameter *)b)->key;
}

int dns_rdata_svcb(struct dns_rdata *r)
{
    struct parameter list[PARAMETERS_MAX];
    unsigned count = 0;
    size_t start = r->size;
    while (r->at < r->count) {
        const struct dns_token *t = &r->tokens[r->at++];
        size_t at = r->size;
        if (count == PARAMETERS_MAX)
            return dns_rdata_fail(r, "more than 64 service parameters");
        if (put_parameter(r, t) != 0)
            return ERR_MALFORMED;
        list[count++] =
            (struct parameter){get_be16(r->out + at), (uint32_t)(at - start), (uint32_t)(r->size - at)};
    }
    if (count == 0)
        return 0;
    uint8_t *copy = malloc(r->size - start);
    if (!copy)
        return dns_rdata_fail(r, "not enough memory for the zone");
    memcpy(copy, r->out + start, r->size - start);
    qsort(list, count, sizeof *list, by_key);
    r->size = start;
    bool twice = false;
    for (unsigned i = 0; i < count; i++) {
        twice |= i && list[i].key == list[i - 1].key;
        dns_rdata_put(r, copy + list[i].at, list[i].size);
    }
    free(copy);
    return twice ? dns_rdata_fail(r, "a service parameter is given twice") : 0;
}
