#include "node/base/addr.h"

#include "node/base/bytes.h"
#include "node/base/err.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool net_addr_is_v4(const struct net_addr *a)
{
    return memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) == 0;
}

bool net_addr_same_ip(const struct net_addr *a, const struct net_addr *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
    return a->port == b->port && net_addr_same_ip(a, b);
}

struct net_addr net_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    struct net_addr out = {.port = port};
    memcpy(out.ip, mapped_prefix, sizeof mapped_prefix);
    out.ip[12] = a;
    out.ip[13] = b;
    out.ip[14] = c;
    out.ip[15] = d;
    return out;
}

static enum net_scope scope_v4(const uint8_t *q)
{
    if (q[0] == 127)
        return NET_SCOPE_LOOPBACK;
    if (q[0] == 0 || q[0] >= 224)
        return NET_SCOPE_INVALID;
    if (q[0] == 169 && q[1] == 254)
        return NET_SCOPE_LINK_LOCAL;
    if (q[0] == 10 || (q[0] == 172 && (q[1] & 0xf0) == 16) || (q[0] == 192 && q[1] == 168) ||
        (q[0] == 100 && (q[1] & 0xc0) == 64))
        return NET_SCOPE_PRIVATE;
    return NET_SCOPE_GLOBAL;
}

enum net_scope net_addr_scope(const struct net_addr *a)
{
    static const uint8_t zero[15] = {0};
    if (a->port == 0)
        return NET_SCOPE_INVALID;
    if (net_addr_is_v4(a))
        return scope_v4(a->ip + 12);
    if (memcmp(a->ip, zero, sizeof zero) == 0)
        return a->ip[15] == 1 ? NET_SCOPE_LOOPBACK : NET_SCOPE_INVALID;
    if (a->ip[0] == 0xff)
        return NET_SCOPE_INVALID;
    if (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
        return NET_SCOPE_LINK_LOCAL;
    if ((a->ip[0] & 0xfe) == 0xfc)
        return NET_SCOPE_PRIVATE;
    return NET_SCOPE_GLOBAL;
}

static char *put_decimal(char *p, unsigned v)
{
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        *p++ = digits[--n];
    return p;
}

static char *put_v6_group(char *p, unsigned v)
{
    static const char hex[] = "0123456789abcdef";
    bool started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = v >> shift & 15;
        if (digit || started || shift == 0) {
            *p++ = hex[digit];
            started = true;
        }
    }
    return p;
}

/* RFC 5952: the longest run of at least two zero groups becomes "::", the first one when several are as long. */
static char *put_v6(char *p, const uint8_t *ip)
{
    int best = -1, best_count = 1;
    for (int i = 0; i < 8; i++) {
        int count = 0;
        while (i + count < 8 && get_be16(ip + 2 * (i + count)) == 0)
            count++;
        if (count > best_count) {
            best = i;
            best_count = count;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            *p++ = ':';
            *p++ = ':';
            i += best_count - 1;
            continue;
        }
        if (i && i != best + best_count)
            *p++ = ':';
        else if (i && best < 0)
            *p++ = ':';
        p = put_v6_group(p, get_be16(ip + 2 * i));
    }
    return p;
}

char *net_addr_format(char *out, const struct net_addr *a)
{
    char *p = out;
    if (net_addr_is_v4(a)) {
        for (int i = 12; i < 16; i++) {
            p = put_decimal(p, a->ip[i]);
            if (i < 15)
                *p++ = '.';
        }
    } else {
        *p++ = '[';
        p = put_v6(p, a->ip);
        *p++ = ']';
    }
    *p++ = ':';
    p = put_decimal(p, a->port);
    *p = '\0';
    return out;
}

/* Digits without a leading zero (but "0" itself), at most max; NULL when there is none. */
static const char *take_decimal(const char *p, unsigned max, unsigned *out)
{
    const char *start = p;
    unsigned v = 0;
    while (*p >= '0' && *p <= '9') {
        v = v * 10 + (unsigned)(*p++ - '0');
        if (v > max)
            return NULL;
    }
    if (p == start || (*start == '0' && p - start > 1))
        return NULL;
    *out = v;
    return p;
}

static const char *take_v4(const char *p, uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        unsigned v;
        if (i && *p++ != '.')
            return NULL;
        p = take_decimal(p, 255, &v);
        if (!p)
            return NULL;
        ip[i] = (uint8_t)v;
    }
    return p;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool has_dot(const char *p)
{
    while (hex_value(*p) >= 0)
        p++;
    return *p == '.';
}

/* The inside of the brackets; groups, at most one "::", a dotted quad as the last 32 bits (RFC 4291, 2.2). */
static const char *take_v6(const char *p, uint8_t *ip)
{
    uint8_t tail[16];
    int head_size = 0, tail_size = 0;
    bool gap = false;
    if (p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    } else if (*p == ':') {
        return NULL;
    }
    while (*p != ']') {
        uint8_t *to = gap ? tail + tail_size : ip + head_size;
        int *size = gap ? &tail_size : &head_size;
        if (head_size + tail_size > 14)
            return NULL;
        if (has_dot(p)) {
            if (head_size + tail_size > 12)
                return NULL;
            p = take_v4(p, to);
            *size += 4;
            if (!p || *p != ']')
                return NULL;
            break;
        }
        unsigned v = 0;
        int digits = 0;
        for (; hex_value(*p) >= 0 && digits < 5; digits++)
            v = v << 4 | (unsigned)hex_value(*p++);
        if (digits == 0 || digits > 4)
            return NULL;
        put_be16(to, (uint16_t)v);
        *size += 2;
        if (*p == ']')
            break;
        if (*p++ != ':')
            return NULL;
        if (*p == ':') {
            if (gap)
                return NULL;
            gap = true;
            p++;
        } else if (*p == ']') {
            return NULL;
        }
    }
    if (gap ? head_size + tail_size > 14 : head_size != 16)
        return NULL;
    if (gap) {
        memset(ip + head_size, 0, (size_t)(16 - head_size - tail_size));
        memcpy(ip + 16 - tail_size, tail, (size_t)tail_size);
    }
    return p;
}

int net_addr_parse(struct net_addr *out, const char *text)
{
    struct net_addr a = {{0}, 0};
    const char *p = text;
    unsigned port;
    if (*p == '[') {
        p = take_v6(p + 1, a.ip);
        if (!p || *p++ != ']')
            return ERR_MALFORMED;
    } else {
        memcpy(a.ip, mapped_prefix, sizeof mapped_prefix);
        p = take_v4(p, a.ip + 12);
        if (!p)
            return ERR_MALFORMED;
    }
    if (*p++ != ':')
        return ERR_MALFORMED;
    p = take_decimal(p, 65535, &port);
    if (!p || *p)
        return ERR_MALFORMED;
    a.port = (uint16_t)port;
    *out = a;
    return 0;
}

size_t net_addr_to_wire(uint8_t out[NET_ADDR_WIRE_MAX], const struct net_addr *a)
{
    size_t size = net_addr_is_v4(a) ? 4 : 16;
    memcpy(out, a->ip + 16 - size, size);
    put_be16(out + size, a->port);
    return size + 2;
}

bool net_addr_from_wire(struct net_addr *out, const uint8_t *data, size_t size)
{
    if (size != 6 && size != 18)
        return false;
    struct net_addr a = {{0}, get_be16(data + size - 2)};
    if (size == 6)
        memcpy(a.ip, mapped_prefix, sizeof mapped_prefix);
    memcpy(a.ip + 16 - (size - 2), data, size - 2);
    /* A mapped address in the long form would give one address two encodings. */
    if (size == 18 && net_addr_is_v4(&a))
        return false;
    *out = a;
    return true;
}
