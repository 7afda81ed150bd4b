#include "node/base/wire.h"

void wire_init(struct wire *w, const uint8_t *data, size_t size)
{
    static const uint8_t nothing[1] = {0};
    w->next = data ? data : nothing;
    w->end = w->next + (data ? size : 0);
    w->bad = false;
}

bool wire_ok(const struct wire *w)
{
    return !w->bad;
}

bool wire_done(const struct wire *w)
{
    return !w->bad && w->next == w->end;
}

size_t wire_left(const struct wire *w)
{
    return (size_t)(w->end - w->next);
}

void wire_fail(struct wire *w)
{
    w->bad = true;
    w->next = w->end;
}

/* The head of one item: its class and its number (value, size or count). */
struct head {
    enum wire_type type;
    uint64_t number;
};

/* `bytes` big-endian; bad when the value would have fitted below `least`: only the shortest form is accepted. */
static uint64_t take_number(struct wire *w, unsigned bytes, uint64_t least)
{
    if (wire_left(w) < bytes) {
        wire_fail(w);
        return 0;
    }
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | *w->next++;
    if (v < least) {
        wire_fail(w);
        return 0;
    }
    return v;
}

/* Signed integers d0..d3: msgpack's shortest form uses them for negative values only. */
static uint64_t take_negative(struct wire *w, unsigned bytes)
{
    static const int64_t above[4] = {-32, -128, -32768, -2147483648LL}; /* must be below these */
    unsigned order = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    uint64_t raw = take_number(w, bytes, 0);
    if (w->bad)
        return 0;
    if (bytes < 8 && raw >> (8 * bytes - 1))
        raw |= UINT64_MAX << (8 * bytes);
    int64_t v = (int64_t)raw;
    if (v >= above[order]) {
        wire_fail(w);
        return 0;
    }
    return raw;
}

static struct head sized(struct wire *w, enum wire_type type, unsigned bytes, uint64_t least)
{
    struct head h = {type, take_number(w, bytes, least)};
    return h;
}

static struct head take_head(struct wire *w)
{
    if (w->bad || w->next == w->end) {
        wire_fail(w);
        return (struct head){WIRE_NONE, 0};
    }
    uint8_t b = *w->next++;
    if (b < 0x80)
        return (struct head){WIRE_UINT, b};
    if (b < 0x90)
        return (struct head){WIRE_MAP, b & 15u};
    if (b < 0xa0)
        return (struct head){WIRE_ARRAY, b & 15u};
    if (b < 0xc0)
        return (struct head){WIRE_STR, b & 31u};
    if (b >= 0xe0)
        return (struct head){WIRE_INT, (uint64_t)(int64_t)(int8_t)b};
    switch (b) {
    case 0xc0:
        return (struct head){WIRE_NIL, 0};
    case 0xc2:
    case 0xc3:
        return (struct head){WIRE_BOOL, b & 1u};
    case 0xc4:
        return sized(w, WIRE_BIN, 1, 0);
    case 0xc5:
        return sized(w, WIRE_BIN, 2, 0x100);
    case 0xc6:
        return sized(w, WIRE_BIN, 4, 0x10000);
    case 0xcc:
        return sized(w, WIRE_UINT, 1, 0x80);
    case 0xcd:
        return sized(w, WIRE_UINT, 2, 0x100);
    case 0xce:
        return sized(w, WIRE_UINT, 4, 0x10000);
    case 0xcf:
        return sized(w, WIRE_UINT, 8, 0x100000000u);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return (struct head){WIRE_INT, take_negative(w, 1u << (b - 0xd0))};
    case 0xd9:
        return sized(w, WIRE_STR, 1, 32);
    case 0xda:
        return sized(w, WIRE_STR, 2, 0x100);
    case 0xdb:
        return sized(w, WIRE_STR, 4, 0x10000);
    case 0xdc:
        return sized(w, WIRE_ARRAY, 2, 16);
    case 0xdd:
        return sized(w, WIRE_ARRAY, 4, 0x10000);
    case 0xde:
        return sized(w, WIRE_MAP, 2, 16);
    case 0xdf:
        return sized(w, WIRE_MAP, 4, 0x10000);
    default: /* floats, extension types, 0xc1 */
        wire_fail(w);
        return (struct head){WIRE_OTHER, 0};
    }
}

enum wire_type wire_peek(const struct wire *w)
{
    struct wire copy = *w;
    if (w->bad || w->next == w->end)
        return WIRE_NONE;
    struct head h = take_head(&copy);
    return copy.bad ? WIRE_OTHER : h.type;
}

uint64_t wire_uint(struct wire *w)
{
    struct head h = take_head(w);
    if (w->bad || h.type != WIRE_UINT) {
        wire_fail(w);
        return 0;
    }
    return h.number;
}

uint64_t wire_uint_max(struct wire *w, uint64_t max)
{
    uint64_t v = wire_uint(w);
    if (v > max) {
        wire_fail(w);
        return 0;
    }
    return v;
}

int64_t wire_int(struct wire *w)
{
    struct head h = take_head(w);
    bool fits = h.type == WIRE_INT || (h.type == WIRE_UINT && h.number <= INT64_MAX);
    if (w->bad || !fits) {
        wire_fail(w);
        return 0;
    }
    return (int64_t)h.number;
}

bool wire_bool(struct wire *w)
{
    struct head h = take_head(w);
    if (w->bad || h.type != WIRE_BOOL) {
        wire_fail(w);
        return false;
    }
    return h.number != 0;
}

static struct bytes take_span(struct wire *w, enum wire_type type, size_t max)
{
    struct head h = take_head(w);
    if (w->bad || h.type != type || h.number > max || h.number > wire_left(w)) {
        wire_fail(w);
        return bytes_of(NULL, 0);
    }
    struct bytes out = bytes_of(w->next, (size_t)h.number);
    w->next += h.number;
    return out;
}

struct bytes wire_bin(struct wire *w, size_t max)
{
    return take_span(w, WIRE_BIN, max);
}

struct bytes wire_str(struct wire *w, size_t max)
{
    return take_span(w, WIRE_STR, max);
}

void wire_bin_exact(struct wire *w, uint8_t *out, size_t size)
{
    struct bytes b = wire_bin(w, size);
    if (w->bad || b.size != size) {
        wire_fail(w);
        memset(out, 0, size);
        return;
    }
    memcpy(out, b.data, size);
}

uint32_t wire_array(struct wire *w, uint32_t max)
{
    struct head h = take_head(w);
    /* Each item takes at least one byte, so a count above what is left is a lie, found before anyone allocates for it. */
    if (w->bad || h.type != WIRE_ARRAY || h.number > max || h.number > wire_left(w)) {
        wire_fail(w);
        return 0;
    }
    return (uint32_t)h.number;
}

struct wire_map wire_map(struct wire *w)
{
    struct wire_map m = {0, false, 0};
    struct head h = take_head(w);
    if (w->bad || h.type != WIRE_MAP || h.number > wire_left(w) / 2) {
        wire_fail(w);
        return m;
    }
    m.left = (uint32_t)h.number;
    return m;
}

bool wire_map_next(struct wire *w, struct wire_map *m, uint64_t *key)
{
    *key = 0;
    if (w->bad || m->left == 0)
        return false;
    uint64_t k = wire_uint(w);
    if (!w->bad && m->started && k <= m->last_key)
        wire_fail(w);
    if (w->bad)
        return false;
    m->left--;
    m->started = true;
    m->last_key = k;
    *key = k;
    return true;
}

void wire_skip(struct wire *w)
{
    uint32_t left[WIRE_DEPTH_MAX]; /* items still to skip at each depth */
    unsigned depth = 0;
    left[0] = 1;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return;
            depth--;
        }
        left[depth]--;
        struct head h = take_head(w);
        if (w->bad)
            return;
        if (h.type == WIRE_BIN || h.type == WIRE_STR) {
            if (h.number > wire_left(w)) {
                wire_fail(w);
                return;
            }
            w->next += h.number;
        } else if (h.type == WIRE_ARRAY || h.type == WIRE_MAP) {
            uint64_t items = h.type == WIRE_MAP ? 2 * h.number : h.number;
            if (items > wire_left(w) || depth + 1 == WIRE_DEPTH_MAX) {
                wire_fail(w);
                return;
            }
            left[++depth] = (uint32_t)items;
        }
    }
}

struct bytes wire_raw(struct wire *w)
{
    const uint8_t *start = w->next;
    wire_skip(w);
    return w->bad ? bytes_of(NULL, 0) : bytes_of(start, (size_t)(w->next - start));
}

bool utf8_valid(const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size;
    while (p < end) {
        uint8_t b = *p++;
        unsigned more, low = 0x80, high = 0xbf; /* bounds of the second byte exclude overlong forms and surrogates */
        if (b < 0x80)
            continue;
        if (b >= 0xc2 && b <= 0xdf) {
            more = 1;
        } else if (b >= 0xe0 && b <= 0xef) {
            more = 2;
            low = b == 0xe0 ? 0xa0 : 0x80;
            high = b == 0xed ? 0x9f : 0xbf;
        } else if (b >= 0xf0 && b <= 0xf4) {
            more = 3;
            low = b == 0xf0 ? 0x90 : 0x80;
            high = b == 0xf4 ? 0x8f : 0xbf;
        } else {
            return false;
        }
        if ((size_t)(end - p) < more || *p < low || *p > high)
            return false;
        for (unsigned i = 1; i < more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
        }
        p += more;
    }
    return true;
}
