#include "dht/message.h"
#include "node/base/assert.h"
#include "node/base/pack.h"
#include "node/base/wire.h"
#include <string.h>

enum key {
    KEY_TYPE = 0,
    KEY_ID = 1,
    KEY_TOKEN = 2,
    KEY_FLAGS = 3,
    KEY_WANT = 4,
    KEY_KEY = 5,
    KEY_KIND = 6,
    KEY_RECORD = 7,
    KEY_KEYS = 8,
    KEY_PORT = 9,
    KEY_RENEW = 10,
    KEY_WITHDRAW = 11,
    KEY_FIRST = 12,
    KEY_STATUS = 16,
    KEY_OBSERVED = 17,
    KEY_UNIX = 18,
    KEY_CONTACTS_4 = 19,
    KEY_CONTACTS_6 = 20,
    KEY_PROVIDERS_4 = 21,
    KEY_PROVIDERS_6 = 22,
    KEY_RECORDS = 23,
    KEY_RESULTS = 24,
    KEY_SELF = 25,
    KEY_HELD = 26,
    KEY_BODY = 27,
    KEY_PADDING = 31
};

static uint32_t pair_count(const struct dht_message *m)
{
    uint32_t n = 2;
    n += m->has_token + (m->flags != 0) + (m->want != 0) + (m->key != NULL) + (m->kind != 0) + (m->record.size != 0);
    n += (m->keys.size != 0) + m->has_port + (m->renew.size != 0) + (m->withdraw.size != 0) + (m->status != 0) + m->has_observed + (m->unix_s != 0);
    n += (m->first != 0) + (m->body.size != 0);
    for (int f = 0; f < DHT_FAMILIES; f++)
        n += (m->contacts[f].size != 0) + (m->providers[f].size != 0);
    n += (m->record_count != 0) + (m->results.size != 0) + m->has_self + (m->held != 0);
    return n;
}

static void write_request_fields(struct pack *p, const struct dht_message *m)
{
    if (m->has_token)
        pack_key_bin(p, KEY_TOKEN, m->token, DHT_TOKEN_SIZE);
    if (m->flags)
        pack_key_uint(p, KEY_FLAGS, m->flags);
    if (m->want)
        pack_key_uint(p, KEY_WANT, m->want);
    if (m->key)
        pack_key_bin(p, KEY_KEY, m->key, DHT_KEY_SIZE);
    if (m->kind)
        pack_key_uint(p, KEY_KIND, m->kind);
    if (m->record.size)
        pack_key_bin(p, KEY_RECORD, m->record.data, m->record.size);
    if (m->keys.size)
        pack_key_bin(p, KEY_KEYS, m->keys.data, m->keys.size);
    if (m->has_port)
        pack_key_uint(p, KEY_PORT, m->port);
    if (m->renew.size)
        pack_key_bin(p, KEY_RENEW, m->renew.data, m->renew.size);
    if (m->withdraw.size)
        pack_key_bin(p, KEY_WITHDRAW, m->withdraw.data, m->withdraw.size);
    if (m->first)
        pack_key_uint(p, KEY_FIRST, m->first);
}

static void write_span(struct pack *p, uint64_t key, struct bytes b)
{
    if (b.size)
        pack_key_bin(p, key, b.data, b.size);
}

static void write_reply_fields(struct pack *p, const struct dht_message *m)
{
    if (m->status)
        pack_key_uint(p, KEY_STATUS, (uint64_t)-m->status);
    if (m->has_observed) {
        uint8_t wire[NET_ADDR_WIRE_MAX];
        size_t size = net_addr_to_wire(wire, &m->observed);
        pack_key_bin(p, KEY_OBSERVED, wire, size);
    }
    if (m->unix_s)
        pack_key_uint(p, KEY_UNIX, m->unix_s);
    for (int f = 0; f < DHT_FAMILIES; f++)
        write_span(p, KEY_CONTACTS_4 + (uint64_t)f, m->contacts[f]);
    for (int f = 0; f < DHT_FAMILIES; f++)
        write_span(p, KEY_PROVIDERS_4 + (uint64_t)f, m->providers[f]);
    if (m->record_count) {
        pack_uint(p, KEY_RECORDS);
        pack_array(p, m->record_count);
        for (uint32_t i = 0; i < m->record_count; i++)
            pack_bin(p, m->records[i].data, m->records[i].size);
    }
    write_span(p, KEY_RESULTS, m->results);
    if (m->has_self)
        pack_key_uint(p, KEY_SELF, m->self_port);
    if (m->held)
        pack_key_uint(p, KEY_HELD, m->held);
    write_span(p, KEY_BODY, m->body);
}

size_t dht_message_write(uint8_t *out, size_t cap, const struct dht_message *m, size_t pad_to)
{
    static const uint8_t zeroes[512];
    struct pack p;
    core_assert(m->record_count <= DHT_REPLY_RECORDS_MAX && pad_to <= sizeof zeroes);
    for (int pass = 0;; pass++) {
        size_t before = pass ? p.size : 0;
        bool pad = pass && before < pad_to;
        if (pass && !pad)
            return pack_ok(&p) ? before : 0;
        pack_init(&p, out, cap);
        pack_map(&p, pair_count(m) + pad);
        pack_key_uint(&p, KEY_TYPE, m->type | (m->reply ? DHT_REPLY_BIT : 0u));
        pack_key_bin(&p, KEY_ID, m->id, DHT_ID_SIZE);
        write_request_fields(&p, m);
        write_reply_fields(&p, m);
        if (!pad)
            continue;
        size_t missing = pad_to > p.size + 3 ? pad_to - p.size - 3 : 0;
        pack_key_bin(&p, KEY_PADDING, zeroes, missing);
        return pack_ok(&p) ? p.size : 0;
    }
}

static struct bytes read_list(struct wire *w, size_t stride)
{
    struct bytes list = wire_bin(w, DATAGRAM_MAX);
    if (list.size % stride != 0)
        wire_fail(w);
    return list;
}

static void read_observed(struct wire *w, struct dht_message *m)
{
    struct bytes b = wire_bin(w, NET_ADDR_WIRE_MAX);
    m->has_observed = net_addr_from_wire(&m->observed, b.data, b.size);
    if (!m->has_observed)
        wire_fail(w);
}

static void read_records(struct wire *w, struct dht_message *m)
{
    m->record_count = wire_array(w, DHT_REPLY_RECORDS_MAX);
    for (uint32_t i = 0; i < m->record_count; i++)
        m->records[i] = wire_bin(w, DATAGRAM_MAX);
}

static void read_field(struct wire *w, struct dht_message *m, uint64_t key)
{
    switch (key) {
    case KEY_TYPE:
        m->type = (uint8_t)wire_uint_max(w, DHT_TYPE_MAX);
        m->reply = m->type & DHT_REPLY_BIT;
        m->type &= DHT_REPLY_BIT - 1;
        break;
    case KEY_ID:
        wire_bin_exact(w, m->id, DHT_ID_SIZE);
        break;
    case KEY_TOKEN:
        wire_bin_exact(w, m->token, DHT_TOKEN_SIZE);
        m->has_token = true;
        break;
    case KEY_FLAGS:
        m->flags = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case KEY_WANT:
        m->want = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case KEY_KEY: {
        struct bytes b = wire_bin(w, DHT_KEY_SIZE);
        if (b.size != DHT_KEY_SIZE)
            wire_fail(w);
        else
            m->key = b.data;
        break;
    }
    case KEY_KIND:
        m->kind = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case KEY_RECORD:
        m->record = wire_bin(w, DATAGRAM_MAX);
        break;
    case KEY_KEYS:
        m->keys = read_list(w, DHT_KEY_SIZE);
        break;
    case KEY_PORT:
        m->port = (uint16_t)wire_uint_max(w, UINT16_MAX);
        m->has_port = true;
        break;
    case KEY_RENEW:
        m->renew = wire_bin(w, DHT_RENEW_SIZE);
        if (m->renew.size != DHT_RENEW_SIZE)
            wire_fail(w);
        break;
    case KEY_WITHDRAW:
        m->withdraw = read_list(w, DHT_KEY_SIZE);
        break;
    case KEY_FIRST:
        m->first = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case KEY_STATUS:
        m->status = -(int)wire_uint_max(w, 127);
        break;
    case KEY_OBSERVED:
        read_observed(w, m);
        break;
    case KEY_UNIX:
        m->unix_s = wire_uint_max(w, UINT32_MAX * 64ull); /* year 10,000 */
        break;
    case KEY_CONTACTS_4:
    case KEY_CONTACTS_6:
        m->contacts[key - KEY_CONTACTS_4] = read_list(w, DHT_NODE_WIRE(key - KEY_CONTACTS_4));
        break;
    case KEY_PROVIDERS_4:
    case KEY_PROVIDERS_6:
        m->providers[key - KEY_PROVIDERS_4] = read_list(w, DHT_NODE_WIRE(key - KEY_PROVIDERS_4));
        break;
    case KEY_RECORDS:
        read_records(w, m);
        break;
    case KEY_RESULTS:
        m->results = wire_bin(w, DATAGRAM_MAX);
        break;
    case KEY_SELF:
        m->self_port = (uint16_t)wire_uint_max(w, UINT16_MAX);
        m->has_self = true;
        break;
    case KEY_HELD:
        m->held = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case KEY_BODY:
        m->body = wire_bin(w, DHT_BODY_MAX);
        break;
    default:
        wire_skip(w);
    }
}

int dht_message_read(struct dht_message *m, const uint8_t *data, size_t size)
{
    memset(m, 0, sizeof *m);
    struct wire w;
    wire_init(&w, data, size);
    struct wire_map map = wire_map(&w);
    uint64_t key, seen = 0;
    while (wire_map_next(&w, &map, &key)) {
        seen |= key < 2 ? 1u << key : 0;
        read_field(&w, m, key);
    }
    return wire_done(&w) && seen == 3 ? 0 : ERR_MALFORMED;
}

void dht_node_to_wire(uint8_t *out, enum dht_family family, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    memcpy(out, key, NODE_KEY_SIZE);
    uint8_t wire[NET_ADDR_WIRE_MAX];
    size_t size = net_addr_to_wire(wire, addr);
    core_assert(NODE_KEY_SIZE + size == DHT_NODE_WIRE(family));
    memcpy(out + NODE_KEY_SIZE, wire, size);
}

bool dht_node_from_wire(struct node_addr *out, enum dht_family family, struct bytes list, uint32_t i)
{
    size_t stride = DHT_NODE_WIRE(family);
    core_assert((i + 1) * stride <= list.size);
    const uint8_t *p = list.data + i * stride;
    memcpy(out->key, p, NODE_KEY_SIZE);
    return net_addr_from_wire(&out->addr, p + NODE_KEY_SIZE, stride - NODE_KEY_SIZE) && out->addr.port != 0 &&
           net_addr_scope(&out->addr) != NET_SCOPE_INVALID && dht_family_of(&out->addr) == family;
}
