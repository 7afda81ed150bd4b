#include "transfer/message.h"
#include "node/base/assert.h"
#include "node/base/err.h"

/* ---- Reading: one function per type, given one key of its map. Keys it does not know are skipped. ---- */

static void read_hello(struct wire *w, struct message *m, uint64_t key)
{
    struct bytes b;
    switch (key) {
    case 1:
        m->version = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 2:
        m->bytes = wire_str(w, MESSAGE_AGENT_MAX);
        break;
    case 3:
        m->port = (uint32_t)wire_uint_max(w, UINT16_MAX);
        break;
    case 4:
        b = wire_bin(w, NET_ADDR_WIRE_MAX);
        m->has_addr = net_addr_from_wire(&m->addr, b.data, b.size);
        break;
    case 5:
        m->flags = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 6:
        m->value = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    default:
        wire_skip(w);
    }
}

static void read_open(struct wire *w, struct message *m, uint64_t key)
{
    switch (key) {
    case 2:
        wire_bin_exact(w, m->key, HASH_SIZE);
        m->has_key = true;
        break;
    case 3:
        wire_bin_exact(w, m->mac, HASH_SIZE);
        m->has_mac = true;
        break;
    case 4:
        m->pack = wire_bool(w);
        break;
    default:
        wire_skip(w);
    }
}

static void read_opened(struct wire *w, struct message *m, uint64_t key)
{
    switch (key) {
    case 2:
        wire_bin_exact(w, m->mac, HASH_SIZE);
        m->has_mac = true;
        break;
    case 3:
        m->count = (uint32_t)wire_uint_max(w, 30);
        break;
    case 4:
        m->all = wire_bool(w);
        break;
    default:
        wire_skip(w);
    }
}

static void read_map(struct wire *w, struct message *m, uint64_t key)
{
    switch (key) {
    case 2:
        m->leaf = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 3:
        m->bytes = wire_bin(w, MESSAGE_MAP_MAX);
        break;
    case 4:
        m->all = wire_bool(w);
        break;
    default:
        wire_skip(w);
    }
}

static void read_have(struct wire *w, struct message *m, uint64_t key)
{
    if (key == 3 && m->type == MESSAGE_LENT) {
        m->on = wire_bool(w);
        return;
    }
    if (key != 2) {
        wire_skip(w);
        return;
    }
    m->chunk_count = wire_array(w, MESSAGE_HAVES_MAX);
    for (uint32_t i = 0; i < m->chunk_count; i++)
        m->chunks[i] = (uint32_t)wire_uint_max(w, UINT32_MAX);
}

static void read_run(struct wire *w, struct message *m, uint64_t key)
{
    switch (key) {
    case 2:
        m->leaf = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 3:
        m->count = (uint32_t)wire_uint_max(w, MESSAGE_RUN_MAX);
        break;
    case 4:
        if (m->type == MESSAGE_REQUEST)
            m->proof = wire_bool(w);
        else
            m->value = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 5:
        m->urgent = wire_bool(w);
        break;
    default:
        wire_skip(w);
    }
}

static void read_peers(struct wire *w, struct message *m, uint64_t key)
{
    if (key != 2) {
        wire_skip(w);
        return;
    }
    uint32_t count = wire_array(w, MESSAGE_PEERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct message_peer *peer = &m->peers[m->peer_count];
        if (wire_array(w, 2) != 2)
            wire_fail(w);
        wire_bin_exact(w, peer->key, NODE_KEY_SIZE);
        struct bytes b = wire_bin(w, NET_ADDR_WIRE_MAX);
        if (wire_ok(w) && net_addr_from_wire(&peer->addr, b.data, b.size))
            m->peer_count++;
    }
}

static void read_service(struct wire *w, struct message *m, uint64_t key)
{
    switch (key) {
    case 1:
        m->id = (uint32_t)wire_uint_max(w, UINT32_MAX);
        break;
    case 2:
        if (m->type == MESSAGE_FIND) {
            wire_bin_exact(w, m->key, HASH_SIZE);
            m->has_key = true;
        } else if (m->type == MESSAGE_APP) {
            m->bytes = wire_bin(w, MESSAGE_APP_MAX);
        } else if (m->type == MESSAGE_FIND_RESULT || m->type == MESSAGE_UNSUPPORTED) {
            m->value = (uint32_t)wire_uint_max(w, UINT32_MAX);
        } else {
            wire_skip(w);
        }
        break;
    case 3:
        m->status = -(int)wire_uint_max(w, 1000);
        break;
    default:
        wire_skip(w);
    }
}

static void read_key(struct wire *w, struct message *m, uint64_t key)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        read_hello(w, m, key);
        return;
    case MESSAGE_INTEREST:
    case MESSAGE_CHOKE:
        if (key == 1)
            m->on = wire_bool(w);
        else if (key == 2 && m->type == MESSAGE_CHOKE)
            m->finish = wire_bool(w);
        else
            wire_skip(w);
        return;
    case MESSAGE_PING:
    case MESSAGE_PONG:
        if (key == 1)
            m->id = (uint32_t)wire_uint_max(w, UINT32_MAX);
        else
            wire_skip(w);
        return;
    default:
        break;
    }
    if (m->type >= MESSAGE_SERVICES) {
        read_service(w, m, key);
        return;
    }
    if (m->type > MESSAGE_LENT) {
        wire_skip(w);
        return;
    }
    if (key == 1) { /* every channel message */
        m->channel = (uint32_t)wire_uint_max(w, UINT32_MAX);
        return;
    }
    switch (m->type) {
    case MESSAGE_OPEN:
        read_open(w, m, key);
        break;
    case MESSAGE_OPENED:
        read_opened(w, m, key);
        break;
    case MESSAGE_MAP:
        read_map(w, m, key);
        break;
    case MESSAGE_HAVE:
    case MESSAGE_LENT:
        read_have(w, m, key);
        break;
    case MESSAGE_REQUEST:
    case MESSAGE_CANCEL:
    case MESSAGE_REJECT:
        read_run(w, m, key);
        break;
    case MESSAGE_PEERS:
        read_peers(w, m, key);
        break;
    default:
        wire_skip(w);
    }
}

/* Everything but the two big arrays, which are written before they are read. */
static void message_reset(struct message *m)
{
    uint32_t keep = 0;
    m->type = m->channel = m->leaf = m->count = m->id = m->value = m->version = m->port = m->flags = keep;
    m->status = 0;
    m->pack = m->all = m->on = m->finish = m->proof = m->urgent = m->has_key = m->has_mac = m->has_addr = false;
    m->bytes = bytes_of(NULL, 0);
    m->chunk_count = m->peer_count = 0;
}

bool message_read(struct wire *w, struct message *out)
{
    message_reset(out);
    if (!wire_ok(w) || wire_left(w) == 0)
        return false;
    struct wire_map map = wire_map(w);
    uint64_t key;
    bool first = true;
    while (wire_map_next(w, &map, &key)) {
        if (first) {
            if (key != 0)
                wire_fail(w);
            else
                out->type = (uint32_t)wire_uint_max(w, UINT32_MAX);
        } else {
            read_key(w, out, key);
        }
        first = false;
    }
    if (first)
        wire_fail(w);
    return wire_ok(w);
}

/* ---- Writing ---- */

static void write_addr_key(struct pack *p, uint64_t key, const struct net_addr *a)
{
    uint8_t wire[NET_ADDR_WIRE_MAX];
    pack_key_bin(p, key, wire, net_addr_to_wire(wire, a));
}

static void write_hello(struct pack *p, const struct message *m)
{
    pack_map(p, 6u + m->has_addr);
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->version);
    pack_key_str(p, 2, (const char *)m->bytes.data, m->bytes.size);
    pack_key_uint(p, 3, m->port);
    if (m->has_addr)
        write_addr_key(p, 4, &m->addr);
    pack_key_uint(p, 5, m->flags);
    pack_key_uint(p, 6, m->value);
}

static void write_run(struct pack *p, const struct message *m)
{
    bool reject = m->type == MESSAGE_REJECT;
    pack_map(p, 4u + (m->proof || reject) + m->urgent);
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->channel);
    pack_key_uint(p, 2, m->leaf);
    pack_key_uint(p, 3, m->count);
    if (reject)
        pack_key_uint(p, 4, m->value);
    else if (m->proof)
        pack_key_bool(p, 4, true);
    if (m->urgent)
        pack_key_bool(p, 5, true);
}

static void write_map(struct pack *p, const struct message *m)
{
    pack_map(p, m->all ? 3 : 4);
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->channel);
    if (m->all) {
        pack_key_bool(p, 4, true);
    } else {
        pack_key_uint(p, 2, m->leaf);
        pack_key_bin(p, 3, m->bytes.data, m->bytes.size);
    }
}

static void write_peers(struct pack *p, const struct message *m)
{
    pack_map(p, 3);
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->channel);
    pack_uint(p, 2);
    pack_array(p, m->peer_count);
    for (uint32_t i = 0; i < m->peer_count; i++) {
        uint8_t wire[NET_ADDR_WIRE_MAX];
        pack_array(p, 2);
        pack_bin(p, m->peers[i].key, NODE_KEY_SIZE);
        pack_bin(p, wire, net_addr_to_wire(wire, &m->peers[i].addr));
    }
}

static void write_have(struct pack *p, const struct message *m)
{
    pack_map(p, 3u + m->on);
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->channel);
    pack_uint(p, 2);
    pack_array(p, m->chunk_count);
    for (uint32_t i = 0; i < m->chunk_count; i++)
        pack_uint(p, m->chunks[i]);
    if (m->on)
        pack_key_bool(p, 3, true);
}

static void write_service(struct pack *p, const struct message *m)
{
    bool value = m->type == MESSAGE_FIND_RESULT || m->type == MESSAGE_UNSUPPORTED;
    bool two = value || m->type == MESSAGE_FIND || m->type == MESSAGE_APP;
    pack_map(p, 2u + two + (m->status != 0));
    pack_key_uint(p, 0, m->type);
    pack_key_uint(p, 1, m->id);
    if (value)
        pack_key_uint(p, 2, m->value);
    else if (m->type == MESSAGE_FIND)
        pack_key_bin(p, 2, m->key, HASH_SIZE);
    else if (m->type == MESSAGE_APP)
        pack_key_bin(p, 2, m->bytes.data, m->bytes.size);
    if (m->status != 0)
        pack_key_uint(p, 3, (uint64_t)-m->status);
}

static void write_body(struct pack *p, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        write_hello(p, m);
        return;
    case MESSAGE_OPEN:
        pack_map(p, 4u + m->pack);
        pack_key_uint(p, 0, m->type);
        pack_key_uint(p, 1, m->channel);
        pack_key_bin(p, 2, m->key, HASH_SIZE);
        pack_key_bin(p, 3, m->mac, HASH_SIZE);
        if (m->pack)
            pack_key_bool(p, 4, true);
        return;
    case MESSAGE_OPENED:
        pack_map(p, 4u + m->all);
        pack_key_uint(p, 0, m->type);
        pack_key_uint(p, 1, m->channel);
        pack_key_bin(p, 2, m->mac, HASH_SIZE);
        pack_key_uint(p, 3, m->count);
        if (m->all)
            pack_key_bool(p, 4, true);
        return;
    case MESSAGE_MAP:
        write_map(p, m);
        return;
    case MESSAGE_HAVE:
    case MESSAGE_LENT:
        write_have(p, m);
        return;
    case MESSAGE_REQUEST:
    case MESSAGE_CANCEL:
    case MESSAGE_REJECT:
        write_run(p, m);
        return;
    case MESSAGE_PEERS:
        write_peers(p, m);
        return;
    default:
        break;
    }
    if (m->type >= MESSAGE_SERVICES) {
        write_service(p, m);
        return;
    }
    pack_map(p, 2u + m->finish);
    pack_key_uint(p, 0, m->type);
    if (m->type == MESSAGE_INTEREST || m->type == MESSAGE_CHOKE)
        pack_key_bool(p, 1, m->on);
    else if (m->type == MESSAGE_PING || m->type == MESSAGE_PONG)
        pack_key_uint(p, 1, m->id);
    else
        pack_key_uint(p, 1, m->channel);
    if (m->finish)
        pack_key_bool(p, 2, true);
}

bool message_write(struct pack *p, const struct message *m)
{
    size_t before = p->size;
    core_assert(pack_ok(p));
    write_body(p, m);
    if (pack_ok(p))
        return true;
    p->size = before;
    p->overflow = false;
    return false;
}
