#include "gateways/dns/dns_name.h"
#include <stdio.h>
#include "node/base/assert.h"

#define ROW(n) (n), (n) + 1, (n) + 2, (n) + 3, (n) + 4, (n) + 5, (n) + 6, (n) + 7
const uint8_t dns_lower[256] = {
    ROW(0),   ROW(8),   ROW(16),  ROW(24),  ROW(32),  ROW(40),  ROW(48),  ROW(56),  64,       ROW(97),
    ROW(105), ROW(113), 121,      122,      91,       92,       93,       94,       95,       ROW(96),
    ROW(104), ROW(112), ROW(120), ROW(128), ROW(136), ROW(144), ROW(152), ROW(160), ROW(168), ROW(176),
    ROW(184), ROW(192), ROW(200), ROW(208), ROW(216), ROW(224), ROW(232), ROW(240), ROW(248)};

#define HEADER_SIZE 12
#define POINTER     0xc0

int dns_name_read(struct dns_name *out, struct bytes message, size_t *at)
{
    const uint8_t *data = message.data;
    size_t p = *at, end = 0, limit = *at, n = 0;
    unsigned labels = 0;
    for (;;) {
        if (p >= message.size)
            return ERR_MALFORMED;
        uint8_t length = data[p];
        if ((length & POINTER) == POINTER) {
            if (message.size - p < 2)
                return ERR_MALFORMED;
            size_t to = (size_t)(length & 0x3f) << 8 | data[p + 1];
            if (to >= limit || to < HEADER_SIZE)
                return ERR_MALFORMED;
            if (end == 0)
                end = p + 2;
            limit = p = to; /* strictly backwards each time: it ends */
            continue;
        }
        if (length > DNS_LABEL_MAX || (size_t)length + 1 > message.size - p || n + length + 1 > DNS_NAME_MAX)
            return ERR_MALFORMED;
        out->wire[n++] = length;
        p++;
        if (length == 0)
            break;
        for (unsigned i = 0; i < length; i++)
            out->wire[n++] = dns_lower[data[p++]];
        labels++;
    }
    out->size = (uint8_t)n;
    out->labels = (uint8_t)labels;
    *at = end ? end : p;
    return 0;
}

int dns_name_skip(struct bytes message, size_t *at)
{
    struct dns_name name;
    return dns_name_read(&name, message, at);
}

/* One byte of master-file text, escapes undone. Returns the characters used, 0 on a bad escape. */
static size_t text_byte(const char *text, size_t size, uint8_t *out)
{
    if (text[0] != '\\') {
        *out = (uint8_t)text[0];
        return 1;
    }
    if (size < 2)
        return 0;
    if (text[1] < '0' || text[1] > '9') {
        *out = (uint8_t)text[1];
        return 2;
    }
    unsigned value = 0;
    for (int i = 1; i <= 3; i++) {
        if ((size_t)i >= size || text[i] < '0' || text[i] > '9')
            return 0;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = (uint8_t)value;
    return value > 255 ? 0 : 4;
}

static void name_close(struct dns_name *out, size_t n, unsigned labels)
{
    out->wire[n] = 0;
    out->size = (uint8_t)(n + 1);
    out->labels = (uint8_t)labels;
}

int dns_name_from_text(struct dns_name *out, const char *text, size_t size, const struct dns_name *origin)
{
    size_t n = 1, start = 0; /* n: next byte; start: of the open label's length */
    unsigned labels = 0;
    if (size == 0)
        return ERR_MALFORMED;
    if (size == 1 && text[0] == '.') {
        name_close(out, 0, 0);
        return 0;
    }
    if (size == 1 && text[0] == '@') {
        if (!origin)
            return ERR_MALFORMED;
        *out = *origin;
        return 0;
    }
    for (size_t i = 0; i < size;) {
        bool dot = text[i] == '.';
        uint8_t byte = 0;
        size_t used = dot ? 1 : text_byte(text + i, size - i, &byte);
        if (used == 0 || (dot && n == start + 1))
            return ERR_MALFORMED;
        i += used;
        if (n >= DNS_NAME_MAX || (!dot && n - start > DNS_LABEL_MAX))
            return ERR_RANGE;
        if (dot) {
            out->wire[start] = (uint8_t)(n - start - 1);
            labels++;
            start = n++;
            if (i == size) {
                name_close(out, start, labels);
                return 0;
            }
        } else {
            out->wire[n++] = byte;
        }
    }
    if (!origin)
        return ERR_MALFORMED;
    out->wire[start] = (uint8_t)(n - start - 1);
    labels++;
    if (n + origin->size > DNS_NAME_MAX)
        return ERR_RANGE;
    memcpy(out->wire + n, origin->wire, origin->size);
    out->size = (uint8_t)(n + origin->size);
    out->labels = (uint8_t)(labels + origin->labels);
    return 0;
}

char *dns_name_to_text(char *out, const uint8_t *wire)
{
    size_t n = 0;
    if (*wire == 0)
        out[n++] = '.';
    while (*wire) {
        for (unsigned left = *wire++; left; left--, wire++) {
            if (*wire > 32 && *wire < 127 && !strchr(".\\\"();@$", *wire))
                out[n++] = (char)*wire;
            else
                n += (size_t)snprintf(out + n, 5, "\\%03u", (unsigned)*wire);
        }
        out[n++] = '.';
    }
    out[n] = 0;
    return out;
}

size_t dns_wire_size(const uint8_t *wire)
{
    size_t n = 0;
    while (wire[n])
        n += wire[n] + 1u;
    return n + 1;
}

bool dns_wire_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (dns_lower[a[i]] != dns_lower[b[i]])
            return false;
    return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
    return a->size == b->size && dns_wire_equal(a->wire, b->wire, a->size);
}

const uint8_t *dns_name_suffix(const struct dns_name *name, unsigned labels)
{
    const uint8_t *p = name->wire;
    core_assert(labels <= name->labels);
    while (labels--)
        p += *p + 1;
    return p;
}

bool dns_name_within(const struct dns_name *name, const struct dns_name *apex)
{
    if (name->labels < apex->labels || name->size < apex->size)
        return false;
    const uint8_t *suffix = dns_name_suffix(name, (unsigned)(name->labels - apex->labels));
    return (size_t)(name->wire + name->size - suffix) == apex->size &&
           dns_wire_equal(suffix, apex->wire, apex->size);
}

uint32_t dns_wire_hash(const uint8_t *wire, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ dns_lower[wire[i]]) * 0x100000001b3u;
    return (uint32_t)(h >> 32 ^ h);
}

int dns_name_join(struct dns_name *out, const uint8_t *label, size_t label_size, const uint8_t *rest)
{
    size_t rest_size = dns_wire_size(rest), n = 1 + label_size;
    if (label_size == 0 || label_size > DNS_LABEL_MAX || n + rest_size > DNS_NAME_MAX)
        return ERR_RANGE;
    memmove(out->wire + n, rest, rest_size);
    out->wire[0] = (uint8_t)label_size;
    memcpy(out->wire + 1, label, label_size);
    out->size = (uint8_t)(n + rest_size);
    out->labels = 1;
    for (const uint8_t *p = out->wire + n; *p; p += *p + 1)
        out->labels++;
    return 0;
}

int dns_name_graft(struct dns_name *out, const struct dns_name *name, unsigned labels, const uint8_t *rest)
{
    size_t head = (size_t)(dns_name_suffix(name, labels) - name->wire), rest_size = dns_wire_size(rest);
    if (head + rest_size > DNS_NAME_MAX)
        return ERR_RANGE;
    memmove(out->wire, name->wire, head);
    memcpy(out->wire + head, rest, rest_size);
    out->size = (uint8_t)(head + rest_size);
    out->labels = (uint8_t)labels;
    for (const uint8_t *p = rest; *p; p += *p + 1)
        out->labels++;
    return 0;
}

void dns_name_set(struct dns_name *out, const uint8_t *wire)
{
    out->size = (uint8_t)dns_wire_size(wire);
    memcpy(out->wire, wire, out->size);
    out->labels = 0;
    for (const uint8_t *p = wire; *p; p += *p + 1)
        out->labels++;
}
