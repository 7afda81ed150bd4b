/* From the words of a record to its data, field by field as the type's layout says (dns_type.h). */
#include "gateways/dns/dns_rdata.h"
#include <stdio.h>
#include <stdlib.h>

int dns_rdata_fail(struct dns_rdata *r, const char *text)
{
    snprintf(r->message, DNS_ZONE_MESSAGE, "%s", text);
    return ERR_MALFORMED;
}

int dns_rdata_fail_word(struct dns_rdata *r, const struct dns_token *t, const char *text)
{
    snprintf(r->message, DNS_ZONE_MESSAGE, "\"%.*s\" %s", (int)(t->size < 80 ? t->size : 80), t->text, text);
    return ERR_MALFORMED;
}

const struct dns_token *dns_rdata_next(struct dns_rdata *r, const char *what)
{
    if (r->at < r->count)
        return &r->tokens[r->at++];
    snprintf(r->message, DNS_ZONE_MESSAGE, "the record ends where %s should stand", what);
    return NULL;
}

int dns_rdata_put(struct dns_rdata *r, const void *data, size_t size)
{
    if (size > UINT16_MAX - r->size)
        return dns_rdata_fail(r, "the data of the record is over 65,535 bytes");
    memcpy(r->out + r->size, data, size);
    r->size += size;
    return 0;
}

int dns_rdata_put_number(struct dns_rdata *r, uint64_t value, unsigned bytes)
{
    uint8_t be[8];
    put_be64(be, value);
    return dns_rdata_put(r, be + 8 - bytes, bytes);
}

bool dns_rdata_unescape(const char *text, size_t size, uint8_t *out, size_t max, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned value = (uint8_t)text[i];
        if (text[i] == '\\') {
            if (++i == size)
                return false;
            value = (uint8_t)text[i];
            if (value >= '0' && value <= '9') {
                value = 0;
                for (unsigned k = 0; k < 3; k++) {
                    if (i + k >= size || text[i + k] < '0' || text[i + k] > '9')
                        return false;
                    value = value * 10 + (unsigned)(text[i + k] - '0');
                }
                i += 2;
                if (value > 255)
                    return false;
            }
        }
        if (*n == max)
            return false;
        out[(*n)++] = (uint8_t)value;
    }
    return true;
}

/* ---- Fields ---- */

static int put_field_number(struct dns_rdata *r, unsigned bytes)
{
    const struct dns_token *t = dns_rdata_next(r, "a number");
    uint64_t value, max = (UINT64_C(1) << (8 * bytes)) - 1;
    if (!t)
        return ERR_MALFORMED;
    if (!dns_number_read(t->text, t->size, max, &value))
        return dns_rdata_fail_word(r, t,
                                   bytes == 1   ? "is not a number from 0 to 255"
                                   : bytes == 2 ? "is not a number from 0 to 65535"
                                                : "is not a number from 0 to 4294967295");
    return dns_rdata_put_number(r, value, bytes);
}

static int put_field_name(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a name");
    struct dns_name name;
    if (!t)
        return ERR_MALFORMED;
    int e = dns_name_from_text(&name, t->text, t->size, r->origin);
    if (e == ERR_RANGE)
        return dns_rdata_fail_word(r, t, "is too long for a name: 63 bytes a label, 255 in all");
    if (e != 0)
        return dns_rdata_fail_word(r, t,
                                   r->origin
                                       ? "is not a domain name"
                                       : "is not a domain name with its final dot, and no $ORIGIN was given");
    return dns_rdata_put(r, name.wire, name.size);
}

static int put_field_time(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a time");
    uint32_t value;
    if (!t)
        return ERR_MALFORMED;
    if (!dns_time_read(t->text, t->size, &value))
        return dns_rdata_fail_word(r, t, "is not a time: seconds, or like 1h30m");
    return dns_rdata_put_number(r, value, 4);
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int put_field_date(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a date");
    uint64_t v;
    if (!t)
        return ERR_MALFORMED;
    if (t->size <= 10 && dns_number_read(t->text, t->size, UINT32_MAX, &v))
        return dns_rdata_put_number(r, v, 4);
    if (t->size != 14 || !dns_number_read(t->text, 14, UINT64_MAX, &v))
        return dns_rdata_fail_word(r, t, "is not a date like 20261124120000");
    int64_t second = (int64_t)(v % 100), minute = (int64_t)(v / 100 % 100), hour = (int64_t)(v / 10000 % 100);
    int64_t day = (int64_t)(v / 1000000 % 100), month = (int64_t)(v / 100000000 % 100),
            year = (int64_t)(v / 10000000000);
    if (second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 || month > 12 ||
        year < 1970)
        return dns_rdata_fail_word(r, t, "is not a date like 20261124120000");
    int64_t all = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return dns_rdata_put_number(r, (uint64_t)all & UINT32_MAX, 4); /* serial arithmetic (RFC 4034, 3.1.5) */
}

static int put_string(struct dns_rdata *r, const struct dns_token *t)
{
    uint8_t text[256];
    size_t n;
    if (!dns_rdata_unescape(t->text, t->size, text + 1, 255, &n))
        return dns_rdata_fail_word(r, t, "is over 255 bytes, or has a bad escape (\\X and \\DDD are known)");
    text[0] = (uint8_t)n;
    return dns_rdata_put(r, text, n + 1);
}

static int put_field_strings(struct dns_rdata *r)
{
    int e = 0;
    if (r->at == r->count)
        return dns_rdata_fail(r, "the record ends where a text should stand");
    while (r->at < r->count && e == 0)
        e = put_string(r, &r->tokens[r->at++]);
    return e;
}

/* The rest of the data as one text (URI, CAA). */
static int put_field_rest(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a text");
    size_t n;
    if (!t)
        return ERR_MALFORMED;
    if (!dns_rdata_unescape(t->text, t->size, r->out + r->size, UINT16_MAX - r->size, &n))
        return dns_rdata_fail_word(r, t, "is too long, or has a bad escape (\\X and \\DDD are known)");
    r->size += n;
    return 0;
}

bool dns_rdata_ipv4(const char *text, size_t size, uint8_t out[4])
{
    unsigned part = 0, value = 0, digits = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] >= '0' && text[i] <= '9') {
            if (digits && value == 0)
                return false; /* 010 is 8 to some and 10 to others */
            value = value * 10 + (unsigned)(text[i] - '0');
            digits++;
            if (value > 255)
                return false;
        } else {
            if (digits == 0 || part == 4 || (i < size && (text[i] != '.' || part == 3)))
                return false;
            out[part++] = (uint8_t)value;
            value = digits = 0;
        }
    }
    return part == 4;
}

bool dns_rdata_ipv6(const char *text, size_t size, uint8_t out[16])
{
    char whole[64];
    struct net_addr a;
    if (size < 2 || size > 45 || memchr(text, '%', size))
        return false;
    snprintf(whole, sizeof whole, "[%.*s]:1", (int)size, text);
    if (!memchr(text, ':', size) || net_addr_parse(&a, whole) != 0)
        return false;
    memcpy(out, a.ip, 16);
    return true;
}

static int put_field_address(struct dns_rdata *r, bool v6)
{
    const struct dns_token *t = dns_rdata_next(r, "an address");
    uint8_t ip[16];
    if (!t)
        return ERR_MALFORMED;
    if (v6 ? !dns_rdata_ipv6(t->text, t->size, ip) : !dns_rdata_ipv4(t->text, t->size, ip))
        return dns_rdata_fail_word(r, t, v6 ? "is not an IPv6 address" : "is not an IPv4 address");
    return dns_rdata_put(r, ip, v6 ? 16 : 4);
}

static int digit_of(char c)
{
    c = (char)dns_lower[(uint8_t)c];
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal digits of one word, or of all that are left (a long value is often cut into words). */
static int put_hex(struct dns_rdata *r, const char *what, bool all)
{
    bool half = false;
    uint8_t byte = 0;
    do {
        const struct dns_token *t = dns_rdata_next(r, what);
        if (!t)
            return ERR_MALFORMED;
        for (uint32_t i = 0; i < t->size; i++) {
            int d = digit_of(t->text[i]);
            if (d < 0)
                return dns_rdata_fail_word(r, t, "is not hexadecimal");
            byte = (uint8_t)(byte << 4 | d);
            half = !half;
            if (!half && dns_rdata_put(r, &byte, 1) != 0)
                return ERR_MALFORMED;
        }
    } while (all && r->at < r->count);
    return half ? dns_rdata_fail(r, "hexadecimal digits come in pairs") : 0;
}

int dns_rdata_base64(struct dns_rdata *r, const char *text, size_t size, uint32_t *bits, unsigned *have,
                     unsigned *pads)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (text[i] == '=') {
            ++*pads;
            continue;
        }
        if (!at || *pads)
            return dns_rdata_fail(r, "the data is not base64");
        *bits = *bits << 6 | (uint32_t)(at - alphabet);
        if (++*have == 4) {
            uint8_t three[3] = {(uint8_t)(*bits >> 16), (uint8_t)(*bits >> 8), (uint8_t)*bits};
            *have = 0;
            *bits = 0;
            if (dns_rdata_put(r, three, 3) != 0)
                return ERR_MALFORMED;
        }
    }
    return 0;
}

int dns_rdata_base64_end(struct dns_rdata *r, uint32_t bits, unsigned have, unsigned pads)
{
    if ((have == 0) != (pads == 0) || (have && (have == 1 || have + pads != 4)))
        return dns_rdata_fail(r, "the base64 is cut short");
    bits <<= 6 * (4 - have);
    uint8_t three[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), 0};
    return have ? dns_rdata_put(r, three, have - 1) : 0;
}

static int put_base64(struct dns_rdata *r)
{
    uint32_t bits = 0;
    unsigned have = 0, pads = 0;
    if (r->at == r->count)
        return dns_rdata_fail(r, "the record ends where base64 should stand");
    while (r->at < r->count) {
        const struct dns_token *t = &r->tokens[r->at++];
        if (dns_rdata_base64(r, t->text, t->size, &bits, &have, &pads) != 0)
            return ERR_MALFORMED;
    }
    return dns_rdata_base64_end(r, bits, have, pads);
}

/* Length byte, then bytes from base32hex (RFC 4648, 7) without padding. */
static int put_field_base32hex(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a hash");
    uint8_t out[256];
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 1;
    if (!t)
        return ERR_MALFORMED;
    for (uint32_t i = 0; i < t->size; i++) {
        char c = (char)dns_lower[(uint8_t)t->text[i]];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
        if (v < 0 || n > 255)
            return dns_rdata_fail_word(r, t, "is not base32hex of at most 255 bytes");
        bits = bits << 5 | (uint32_t)v;
        have += 5;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    out[0] = (uint8_t)(n - 1);
    return dns_rdata_put(r, out, n);
}

static int put_field_salt(struct dns_rdata *r)
{
    size_t at = r->size;
    if (r->at < r->count && r->tokens[r->at].size == 1 && r->tokens[r->at].text[0] == '-') {
        r->at++;
        return dns_rdata_put_number(r, 0, 1);
    }
    int e = dns_rdata_put_number(r, 0, 1);
    if (e == 0)
        e = put_hex(r, "a salt", false);
    if (e == 0 && r->size - at - 1 > 255)
        return dns_rdata_fail(r, "the salt is over 255 bytes");
    r->out[at] = (uint8_t)(r->size - at - 1);
    return e;
}

static int put_field_type(struct dns_rdata *r)
{
    const struct dns_token *t = dns_rdata_next(r, "a type");
    int type = t ? dns_type_from_text(t->text, t->size) : -1;
    if (!t)
        return ERR_MALFORMED;
    return type < 0 ? dns_rdata_fail_word(r, t, "is not a record type")
                    : dns_rdata_put_number(r, (uint64_t)type, 2);
}

/* RFC 4034, 4.1.2: windows of 256 types, each with a bitmap as short as it can be. */
static int put_field_bitmap(struct dns_rdata *r)
{
    static const size_t all = 65536 / 8;
    uint8_t *set = calloc(1, all);
    int e = set ? 0 : dns_rdata_fail(r, "not enough memory for the zone");
    while (e == 0 && r->at < r->count) {
        const struct dns_token *t = &r->tokens[r->at++];
        int type = dns_type_from_text(t->text, t->size);
        if (type < 0)
            e = dns_rdata_fail_word(r, t, "is not a record type");
        else
            set[type / 8] |= (uint8_t)(0x80 >> type % 8);
    }
    for (unsigned window = 0; e == 0 && window < 256; window++) {
        unsigned size = 32;
        while (size && set[window * 32 + size - 1] == 0)
            size--;
        if (size == 0)
            continue;
        uint8_t head[2] = {(uint8_t)window, (uint8_t)size};
        e = dns_rdata_put(r, head, 2);
        if (e == 0)
            e = dns_rdata_put(r, set + window * 32, size);
    }
    free(set);
    return e;
}

static int put_field_mnemonic(struct dns_rdata *r, bool certificate)
{
    static const struct {
        const char *name;
        uint16_t value;
        bool certificate;
    } names[] = {{"RSAMD5", 1, false},
                 {"DH", 2, false},
                 {"DSA", 3, false},
                 {"RSASHA1", 5, false},
                 {"DSA-NSEC3-SHA1", 6, false},
                 {"RSASHA1-NSEC3-SHA1", 7, false},
                 {"RSASHA256", 8, false},
                 {"RSASHA512", 10, false},
                 {"ECC-GOST", 12, false},
                 {"ECDSAP256SHA256", 13, false},
                 {"ECDSAP384SHA384", 14, false},
                 {"ED25519", 15, false},
                 {"ED448", 16, false},
                 {"INDIRECT", 252, false},
                 {"PRIVATEDNS", 253, false},
                 {"PRIVATEOID", 254, false},
                 {"PKIX", 1, true},
                 {"SPKI", 2, true},
                 {"PGP", 3, true},
                 {"IPKIX", 4, true},
                 {"ISPKI", 5, true},
                 {"IPGP", 6, true},
                 {"ACPKIX", 7, true},
                 {"IACPKIX", 8, true},
                 {"URI", 253, true},
                 {"OID", 254, true}};
    for (size_t i = 0; r->at < r->count && i < sizeof names / sizeof *names; i++) {
        const struct dns_token *t = &r->tokens[r->at];
        if (names[i].certificate == certificate && strlen(names[i].name) == t->size &&
            strncasecmp(names[i].name, t->text, t->size) == 0) {
            r->at++;
            return dns_rdata_put_number(r, names[i].value, certificate ? 2 : 1);
        }
    }
    return put_field_number(r, certificate ? 2 : 1);
}

/* Groups of hexadecimal digits with ':' (NID, L64: four of up to four) or '-' (EUI: of two). */
static int put_field_groups(struct dns_rdata *r, unsigned groups, unsigned bytes, char between)
{
    const struct dns_token *t = dns_rdata_next(r, "groups of hexadecimal digits");
    uint32_t i = 0;
    if (!t)
        return ERR_MALFORMED;
    for (unsigned g = 0; g < groups; g++) {
        unsigned value = 0, digits = 0;
        while (i < t->size && digits < 2 * bytes && digit_of(t->text[i]) >= 0) {
            value = value << 4 | (unsigned)digit_of(t->text[i++]);
            digits++;
        }
        bool last = g + 1 == groups;
        if (digits == 0 || (bytes == 1 && digits != 2) ||
            (last ? i != t->size : i == t->size || t->text[i++] != between))
            return dns_rdata_fail_word(r, t,
                                       bytes == 1 ? "is not written like 00-00-5e-00-53-2a"
                                                  : "is not written like 2001:db8:1140:1000");
        if (dns_rdata_put_number(r, value, bytes) != 0)
            return ERR_MALFORMED;
    }
    return 0;
}

/* IPSECKEY (RFC 4025): the type of gateway was the second of the three bytes before. */
static int put_field_gateway(struct dns_rdata *r)
{
    switch (r->out[r->size - 2]) {
    case 0: {
        const struct dns_token *t = dns_rdata_next(r, "a gateway");
        if (t && (t->size != 1 || t->text[0] != '.'))
            return dns_rdata_fail_word(r, t, "should be a dot: gateway type 0 has none");
        return t ? 0 : ERR_MALFORMED;
    }
    case 1:
        return put_field_address(r, false);
    case 2:
        return put_field_address(r, true);
    case 3:
        return put_field_name(r);
    default:
        return dns_rdata_fail(r, "the gateway's type is none of 0, 1, 2, 3");
    }
}

static int put_field(struct dns_rdata *r, char kind)
{
    const struct dns_token *t;
    switch (kind) {
    case 'n':
    case 'N':
        return put_field_name(r);
    case '1':
    case '2':
    case '4':
        return put_field_number(r, (unsigned)(kind - '0'));
    case 't':
        return put_field_time(r);
    case 'k':
        return put_field_date(r);
    case 'a':
    case '6':
        return put_field_address(r, kind == '6');
    case 'i':
        return put_field_groups(r, 4, 2, ':');
    case 'e':
    case 'E':
        return put_field_groups(r, kind == 'e' ? 6 : 8, 1, '-');
    case '?':
        return r->at < r->count ? put_string(r, &r->tokens[r->at++]) : 0;
    case 'q':
        t = dns_rdata_next(r, "a text");
        return t ? put_string(r, t) : ERR_MALFORMED;
    case 'Q':
        return put_field_strings(r);
    case 'U':
        return put_field_rest(r);
    case 'x':
        return put_hex(r, "hexadecimal data", true);
    case 'b':
        return put_base64(r);
    case 'T':
        return put_field_type(r);
    case 'B':
        return put_field_bitmap(r);
    case 'A':
    case 'C':
        return put_field_mnemonic(r, kind == 'C');
    case 'h':
        return put_field_salt(r);
    case 'H':
        return put_field_base32hex(r);
    case 'G':
        return put_field_gateway(r);
    case 'L':
        return dns_rdata_loc(r);
    case 'P':
        return dns_rdata_apl(r);
    default:
        return dns_rdata_svcb(r);
    }
}

/* ---- Whole records ---- */

/* `\# size hex...` (RFC 3597, 5). For a type we know, the bytes must be of its layout: names are followed
 * when they are compressed. */
static bool fits_layout(const char *layout, const uint8_t *p, size_t size)
{
    for (; *layout; layout++) {
        size_t n, at = 0;
        struct dns_name name;
        switch (*layout) {
        case 'n':
        case 'N': {
            if (dns_name_read(&name, bytes_of(p, size), &at) !=
                0) /* a pointer cannot be: it would point behind itself */
                return false;
            n = at;
            break;
        }
        case '1':
        case 'A':
            n = 1;
            break;
        case '2':
        case 'T':
        case 'C':
            n = 2;
            break;
        case '4':
        case 't':
        case 'k':
        case 'a':
            n = 4;
            break;
        case '6':
            n = 16;
            break;
        case 'i':
        case 'E':
            n = 8;
            break;
        case 'e':
            n = 6;
            break;
        case 'q':
            n = size ? p[0] + 1u : 1;
            break;
        case 'Q':
            if (size == 0)
                return false;
            while (size && p[0] + 1u <= size) {
                size -= p[0] + 1u;
                p += p[0] + 1u;
            }
            return size == 0;
        default:
            return true; /* the rest is free */
        }
        if (n > size)
            return false;
        p += n;
        size -= n;
    }
    return size == 0;
}

static int read_generic(struct dns_rdata *r, const char *layout)
{
    uint64_t size;
    r->at = 1;
    const struct dns_token *t = dns_rdata_next(r, "a size");
    if (!t)
        return ERR_MALFORMED;
    if (!dns_number_read(t->text, t->size, UINT16_MAX, &size))
        return dns_rdata_fail_word(r, t, "is not a size from 0 to 65535");
    int e = r->at < r->count ? put_hex(r, "hexadecimal data", true) : 0;
    if (e == 0 && r->size != size)
        return dns_rdata_fail(r, "after \\# the size and the bytes that follow differ");
    if (e == 0 && layout && !fits_layout(layout, r->out, r->size))
        return dns_rdata_fail(r, "the bytes after \\# do not follow the layout of the type");
    return e;
}

int dns_rdata_read(uint16_t type, const struct dns_token *tokens, uint32_t count,
                   const struct dns_name *origin, uint8_t *out, size_t *size, char *message)
{
    struct dns_rdata r = {.tokens = tokens, .count = count, .origin = origin, .out = out, .message = message};
    const struct dns_type_info *info = dns_type_find(type);
    int e = 0;
    if (count && !tokens[0].quoted && tokens[0].size == 2 && memcmp(tokens[0].text, "\\#", 2) == 0) {
        e = read_generic(&r, info ? info->layout : NULL);
    } else if (!info) {
        return dns_rdata_fail(&r, "data of this type is written as \\# SIZE HEX (RFC 3597)");
    } else {
        for (const char *layout = info->layout; *layout && e == 0; layout++)
            e = put_field(&r, *layout);
    }
    if (e == 0 && r.at < r.count)
        return dns_rdata_fail_word(&r, &tokens[r.at], "is more than the record takes");
    *size = r.size;
    return e;
}
