#include "transfer/content.h"
#include "node/base/assert.h"
#include "node/base/err.h"
#include "transfer/manifest.h"

bool content_id_equal(const struct content_id *a, const struct content_id *b)
{
    return a->size == b->size && a->kind == b->kind && memcmp(a->root, b->root, HASH_SIZE) == 0;
}

/* Root, then kind in the high 4 bits and size in the low 44 of the next 6 bytes, then a CRC-8 over these 38.
 */
void content_id_pack(uint8_t out[CONTENT_ID_SIZE], const struct content_id *id)
{
    core_assert(id->size <= CONTENT_SIZE_MAX);
    core_assert(id->kind <= 15);
    memcpy(out, id->root, HASH_SIZE);
    put_be16(out + 32, (uint16_t)((uint64_t)id->kind << 12 | id->size >> 32));
    put_be32(out + 34, (uint32_t)id->size);
    out[38] = crc8(out, 38);
}

int content_id_unpack(struct content_id *out, const uint8_t in[CONTENT_ID_SIZE])
{
    if (crc8(in, 38) != in[38])
        return ERR_CHECKSUM;
    memset(out, 0, sizeof *out);
    memcpy(out->root, in, HASH_SIZE);
    out->kind = in[32] >> 4;
    out->size = (uint64_t)(get_be16(in + 32) & 0x0fff) << 32 | get_be32(in + 34);
    return 0;
}

void content_id_format(char *out, const struct content_id *id)
{
    uint8_t packed[CONTENT_ID_SIZE];
    content_id_pack(packed, id);
    size_t written = base32_encode(out, packed, sizeof packed);
    core_assert(written == CONTENT_ID_TEXT_SIZE);
}

static int id_parse(struct content_id *out, const char *text, size_t count)
{
    uint8_t packed[CONTENT_ID_SIZE];
    if (count != CONTENT_ID_TEXT_SIZE || !base32_decode(packed, sizeof packed, text, count))
        return ERR_MALFORMED;
    return content_id_unpack(out, packed);
}

int content_id_parse(struct content_id *out, const char *text)
{
    return id_parse(out, text, strnlen(text, CONTENT_ID_TEXT_SIZE + 1));
}

void content_provider_key(uint8_t out[HASH_SIZE], const struct content_id *id, const struct network *network,
                          const struct core_crypto *crypto)
{
    uint8_t tail[9];
    tail[0] = id->kind;
    put_be64(tail + 1, id->size);
    struct bytes parts[] = {bytes_of("shoal provider", 14), bytes_of(network->id, NETWORK_ID_SIZE),
                            bytes_of(id->root, HASH_SIZE), bytes_of(tail, sizeof tail)};
    crypto->hash(out, HASH_SIZE, NULL, 0, parts, 4);
}

/* ---- Links ---- */

static bool is_unreserved(char c) /* RFC 3986, 2.3 */
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* What a reader takes literally in the query: RFC 3986's `query` without '&' and '=' (they separate), and
 * brackets, which people write around IPv6 addresses. */
static bool is_query(char c)
{
    return is_unreserved(c) || (c != '\0' && strchr("!$'()*+,;:@/?[]", c) != NULL);
}

struct text_out {
    char *next, *end; /* end is the last place, kept for NUL */
    bool full;
};

static void put_char(struct text_out *o, char c)
{
    if (o->next >= o->end)
        o->full = true;
    else
        *o->next++ = c;
}

static void put_text(struct text_out *o, const char *text)
{
    for (; *text; text++)
        put_char(o, *text);
}

static void put_encoded(struct text_out *o, const char *text, const char *literal)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        if (is_unreserved(*text) || strchr(literal, *text)) {
            put_char(o, *text);
            continue;
        }
        put_char(o, '%');
        put_char(o, digits[(uint8_t)*text >> 4]);
        put_char(o, digits[(uint8_t)*text & 15]);
    }
}

int link_format(char *out, size_t cap, const struct link *in)
{
    core_assert(cap > 0);
    core_assert(in->source_count <= LINK_SOURCES_MAX);
    *out = '\0';
    if (in->name[0] && !manifest_name_ok(bytes_of(in->name, strnlen(in->name, sizeof in->name))))
        return ERR_RANGE;
    char id[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(id, &in->id);
    struct text_out o = {out, out + cap - 1, false};
    put_text(&o, "shoal:");
    put_text(&o, id);
    char separator = '?';
    if (in->name[0]) {
        put_text(&o, "?n=");
        put_encoded(&o, in->name, "");
        separator = '&';
    }
    for (uint32_t i = 0; i < in->source_count; i++) {
        char node[NODE_ID_TEXT_SIZE + 1], addr[NET_ADDR_TEXT_MAX];
        node_id_format(node, in->sources[i].key);
        put_char(&o, separator);
        put_text(&o, "s=");
        put_text(&o, node);
        put_char(&o, '@');
        put_encoded(&o, net_addr_format(addr, &in->sources[i].addr), ":");
        separator = '&';
    }
    *o.next = '\0';
    if (o.full)
        *out = '\0';
    return o.full ? ERR_RANGE : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decodes text[from, to) into `out` of `cap` bytes and a NUL after. On error *wrong is the offset of
 * the character at fault. */
static int decode_value(char *out, size_t cap, size_t *size, const char *text, size_t from, size_t to,
                        size_t *wrong)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        char c = text[i];
        *wrong = i;
        if (c == '%') {
            int high = i + 1 < to ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < to ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_MALFORMED;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (!is_query(c) && c != '=') {
            return ERR_MALFORMED;
        }
        if (n == cap)
            return ERR_MALFORMED;
        out[n++] = c;
    }
    out[n] = '\0';
    *size = n;
    return 0;
}

static int parse_source(struct node_addr *out, char *value, size_t size)
{
    if (size <= NODE_ID_TEXT_SIZE || value[NODE_ID_TEXT_SIZE] != '@' || strlen(value) != size)
        return ERR_MALFORMED;
    value[NODE_ID_TEXT_SIZE] = '\0';
    int status = node_id_parse(out->key, value);
    if (status)
        return status;
    status = net_addr_parse(&out->addr, value + NODE_ID_TEXT_SIZE + 1);
    return status || out->addr.port == 0 ? ERR_MALFORMED : 0;
}

/* One `key=value`, text[from, to). */
static int parse_parameter(struct link *out, const char *text, size_t from, size_t to, size_t *wrong)
{
    char value[CONTENT_NAME_MAX + 1];
    size_t size;
    bool is_name = to - from >= 2 && memcmp(text + from, "n=", 2) == 0;
    bool is_source = to - from >= 2 && memcmp(text + from, "s=", 2) == 0;
    if (!is_name && !is_source) {
        /* Unknown, from a newer version: ignored, yet it must be made of the characters of a URI. */
        for (*wrong = from; *wrong < to; ++*wrong) {
            if (!is_query(text[*wrong]) && text[*wrong] != '=' && text[*wrong] != '%')
                return ERR_MALFORMED;
        }
        return 0;
    }
    int status = decode_value(value, CONTENT_NAME_MAX, &size, text, from + 2, to, wrong);
    if (status)
        return status;
    *wrong = from + 2;
    if (is_name) {
        if (out->name[0] || (size && !manifest_name_ok(bytes_of(value, size))))
            return ERR_MALFORMED;
        memcpy(out->name, value, size + 1);
        return 0;
    }
    struct node_addr source;
    memset(&source, 0, sizeof source);
    status = parse_source(&source, value, size);
    if (status == 0 && out->source_count < LINK_SOURCES_MAX)
        out->sources[out->source_count++] = source;
    return status;
}

/* Where an id of this length goes wrong: its first character outside the alphabet, or its end when it is too
 * short. */
static size_t id_wrong(const char *id, size_t count)
{
    size_t i = 0;
    while (
        i < count && i < CONTENT_ID_TEXT_SIZE &&
        ((id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= '2' && id[i] <= '7')))
        i++;
    return i == CONTENT_ID_TEXT_SIZE && count == CONTENT_ID_TEXT_SIZE ? i - 1 : i;
}

static bool
has_scheme(const char *text) /* RFC 3986, 3.1: schemes are case-insensitive; QR codes like capitals */
{
    static const char scheme[] = "shoal:";
    for (size_t i = 0; i < sizeof scheme - 1; i++) {
        char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != scheme[i])
            return false;
    }
    return true;
}

int link_parse(struct link *out, const char *text, size_t *where)
{
    size_t ignored;
    size_t *wrong = where ? where : &ignored;
    memset(out, 0, sizeof *out);
    size_t size = strnlen(text, LINK_TEXT_MAX);
    *wrong = size;
    if (size == LINK_TEXT_MAX)
        return ERR_MALFORMED;
    size_t at = has_scheme(text) ? 6 : 0;
    size_t end = at ? at + strcspn(text + at, "?") : size;
    int status = id_parse(&out->id, text + at, end - at);
    if (status) {
        *wrong = status == ERR_CHECKSUM ? at : at + id_wrong(text + at, end - at);
        return status;
    }
    while (end < size) {
        size_t from = end + 1;
        end = from + strcspn(text + from, "&");
        status = parse_parameter(out, text, from, end, wrong);
        if (status)
            return status;
    }
    *wrong = 0;
    return 0;
}
