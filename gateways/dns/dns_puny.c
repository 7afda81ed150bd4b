#include "gateways/dns/dns_puny.h"

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 128, POINTS_MAX = 63 };

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
    uint32_t k = 0;
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
        delta /= BASE - TMIN;
    return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
    return k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
}

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

/* The next code point, or -1: not UTF-8 (RFC 3629: shortest form, no surrogates). */
static int32_t utf8_next(const uint8_t **p, const uint8_t *end)
{
    uint32_t c = *(*p)++;
    unsigned more = c < 0x80                ? 0
                    : c >= 0xc2 && c < 0xe0 ? 1
                    : c >= 0xe0 && c < 0xf0 ? 2
                    : c >= 0xf0 && c < 0xf5 ? 3
                                            : 9;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (more == 9 || (size_t)(end - *p) < more)
        return -1;
    if (more)
        c &= 0x3fu >> more;
    for (unsigned i = 0; i < more; i++) {
        if ((**p & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (*(*p)++ & 0x3fu);
    }
    return c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? -1 : (int32_t)c;
}

/* RFC 3492, 6.2. Returns the number of points, 0 on error. */
static uint32_t decode(uint32_t points[POINTS_MAX], const uint8_t *text, size_t size)
{
    uint32_t n = FIRST, i = 0, bias = BIAS, count = 0;
    size_t at = 0;
    for (size_t b = size; b > 0; b--) {
        if (text[b - 1] == '-') {
            for (; at < b - 1; at++)
                points[count++] = text[at];
            at = b;
            break;
        }
    }
    while (at < size) {
        uint32_t old = i, weight = 1;
        for (uint32_t k = BASE;; k += BASE) {
            if (at == size)
                return 0;
            uint8_t c = text[at++];
            uint32_t digit = c >= 'a' && c <= 'z'   ? (uint32_t)(c - 'a')
                             : c >= '0' && c <= '9' ? (uint32_t)(c - '0' + 26)
                                                    : BASE;
            uint32_t step, t = threshold(k, bias);
            if (digit == BASE || __builtin_mul_overflow(digit, weight, &step) ||
                __builtin_add_overflow(i, step, &i))
                return 0;
            if (digit < t)
                break;
            if (__builtin_mul_overflow(weight, BASE - t, &weight))
                return 0;
        }
        if (count == POINTS_MAX)
            return 0;
        count++;
        bias = adapt(i - old, count, old == 0);
        n += i / count;
        i %= count;
        if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000))
            return 0;
        memmove(points + i + 1, points + i, (count - 1 - i) * sizeof *points);
        points[i++] = n;
    }
    return count;
}

/* RFC 3492, 6.3. Returns the size, 0 when it does not fit. */
static size_t encode(uint8_t out[59], const uint32_t *points, uint32_t count)
{
    uint32_t n = FIRST, delta = 0, bias = BIAS, done = 0;
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (points[i] < FIRST && size == 59)
            return 0;
        if (points[i] < FIRST)
            out[size++] = (uint8_t)points[i];
    }
    uint32_t basic = done = (uint32_t)size;
    if (basic && size == 59)
        return 0;
    if (basic)
        out[size++] = '-';
    while (done < count) {
        uint32_t next = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++)
            if (points[i] >= n && points[i] < next)
                next = points[i];
        delta += (next - n) * (done + 1); /* at most 0x10ffff * 64: fits */
        n = next;
        for (uint32_t i = 0; i < count; i++) {
            delta += points[i] < n;
            if (points[i] != n)
                continue;
            uint32_t q = delta;
            for (uint32_t k = BASE;; k += BASE) {
                uint32_t t = threshold(k, bias), digit = q < t ? q : t + (q - t) % (BASE - t);
                if (size == 59)
                    return 0;
                out[size++] = (uint8_t)(digit < 26 ? 'a' + digit : '0' + digit - 26);
                if (q < t)
                    break;
                q = (q - t) / (BASE - t);
            }
            bias = adapt(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
        delta++;
        n++;
    }
    return size;
}

bool dns_label_to_utf8(char *out, size_t cap, const uint8_t *label, size_t size)
{
    const uint8_t *p = label, *end = label + size;
    size_t n = 0;
    if (size >= 4 && memcmp(label, "xn--", 4) == 0) {
        uint32_t points[POINTS_MAX], count = decode(points, label + 4, size - 4);
        bool other = false;
        for (uint32_t i = 0; i < count; i++) {
            other |= points[i] >= FIRST;
            if (points[i] == 0 || n + 5 > cap)
                return false;
            n += utf8_put(out + n, points[i]);
        }
        out[n] = 0;
        return count > 0 && other;
    }
    while (p < end)
        if (*p == 0 || utf8_next(&p, end) < 0)
            return false;
    if (size + 1 > cap)
        return false;
    memcpy(out, label, size);
    out[size] = 0;
    return size > 0;
}

size_t dns_label_from_utf8(uint8_t out[63], const char *text)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
    uint32_t points[POINTS_MAX], count = 0;
    bool ascii = true;
    while (p < end) {
        int32_t c = utf8_next(&p, end);
        if (c < 0 || count == POINTS_MAX)
            return 0;
        points[count++] = (uint32_t)c;
        ascii &= c < FIRST;
    }
    if (ascii) {
        memcpy(out, text, count);
        return count;
    }
    memcpy(out, "xn--", 4);
    size_t size = encode(out + 4, points, count);
    return size ? size + 4 : 0;
}
