#include "transfer/message.h"
#include "node/base/assert.h"
#include "node/base/err.h"
#include <stddef.h>

/* ---- What each message holds: one table for reading and writing. What must be there is required of the peer too; an optional
 * field is written when it is not zero. ---- */

enum field_kind {
    FIELD_UINT,   /* uint32_t, at most `max` */
    FIELD_BOOL,   /* bool */
    FIELD_STATUS, /* int, 0 or below; its positive on the wire, at most `max` */
    FIELD_STR,    /* struct bytes of at most `max` */
    FIELD_BIN,    /* the same */
    FIELD_HASH,   /* HASH_SIZE bytes */
    FIELD_ADDR,   /* struct net_addr, with has_addr */
    FIELD_CHUNKS,
    FIELD_PEERS
};
enum field_need { NEEDED, OPTIONAL, UNLESS_ALL }; /* the last: needed, and there, unless `all` is set */

struct field {
    uint8_t key, kind, need;
    uint32_t max;
    size_t at; /* in struct message */
};

#define FIELDS_MAX           6
#define AT(member)           offsetof(struct message, member)
#define CHANNEL              {1, FIELD_UINT, NEEDED, UINT32_MAX, AT(channel)}
#define UINT(key, member)    {key, FIELD_UINT, NEEDED, UINT32_MAX, AT(member)}
#define FLAG(key, member)    {key, FIELD_BOOL, OPTIONAL, 0, AT(member)}
#define HASH(key, member)    {key, FIELD_HASH, NEEDED, 0, AT(member)}
#define LEAF_AND_COUNT       UINT(2, leaf), {3, FIELD_UINT, NEEDED, MESSAGE_RUN_MAX, AT(count)}
#define STATUS(key)          {key, FIELD_STATUS, OPTIONAL, MESSAGE_STATUS_MAX, AT(status)}
#define CHUNKS(key)          {key, FIELD_CHUNKS, NEEDED, MESSAGE_HAVES_MAX, 0}
#define MESSAGE_STATUS_MAX   1000
#define CHUNK_LEAVES_LOG_MAX 30

static const struct shape {
    struct field fields[FIELDS_MAX];
} shapes[MESSAGE_UNSUPPORTED + 1] = {
    [MESSAGE_HELLO] = {{UINT(1, version),
                        {2, FIELD_STR, NEEDED, MESSAGE_AGENT_MAX, AT(bytes)},
                        {3, FIELD_UINT, NEEDED, UINT16_MAX, AT(port)},
                        {4, FIELD_ADDR, OPTIONAL, 0, AT(addr)},
                        UINT(5, flags),
                        UINT(6, value)}},
    [MESSAGE_OPEN] = {{CHANNEL, HASH(2, key), HASH(3, mac), FLAG(4, pack)}},
    [MESSAGE_OPENED] = {{CHANNEL,
                         HASH(2, mac),
                         {3, FIELD_UINT, NEEDED, CHUNK_LEAVES_LOG_MAX, AT(count)},
                         FLAG(4, all)}},
    [MESSAGE_REFUSED] = {{CHANNEL}},
    [MESSAGE_MAP] = {{CHANNEL,
                      {2, FIELD_UINT, UNLESS_ALL, UINT32_MAX, AT(leaf)},
                      {3, FIELD_BIN, UNLESS_ALL, MESSAGE_MAP_MAX, AT(bytes)},
                      FLAG(4, all)}},
    [MESSAGE_HAVE] = {{CHANNEL, CHUNKS(2)}},
    [MESSAGE_INTEREST] = {{{1, FIELD_BOOL, NEEDED, 0, AT(on)}}},
    [MESSAGE_CHOKE] = {{{1, FIELD_BOOL, NEEDED, 0, AT(on)}, FLAG(2, finish)}},
    [MESSAGE_REQUEST] = {{CHANNEL, LEAF_AND_COUNT, FLAG(4, proof), FLAG(5, urgent)}},
    [MESSAGE_CANCEL] = {{CHANNEL, LEAF_AND_COUNT}},
    [MESSAGE_REJECT] = {{CHANNEL, LEAF_AND_COUNT, UINT(4, value)}},
    [MESSAGE_PEERS] = {{CHANNEL, {2, FIELD_PEERS, NEEDED, MESSAGE_PEERS_MAX, 0}}},
    [MESSAGE_CLOSE] = {{CHANNEL}},
    [MESSAGE_PING] = {{UINT(1, id)}},
    [MESSAGE_PONG] = {{UINT(1, id)}},
    [MESSAGE_LENT] = {{CHANNEL, CHUNKS(2), FLAG(3, on)}},
    [MESSAGE_FIND] = {{UINT(1, id), HASH(2, key)}},
    [MESSAGE_FIND_RESULT] = {{UINT(1, id), UINT(2, value), STATUS(3)}},
    [MESSAGE_DIALBACK] = {{UINT(1, id)}},
    [MESSAGE_DIALBACK_RESULT] = {{UINT(1, id), STATUS(3)}},
    [MESSAGE_APP] = {{UINT(1, id), {2, FIELD_BIN, NEEDED, MESSAGE_APP_MAX, AT(bytes)}}},
    [MESSAGE_UNSUPPORTED] = {{UINT(1, id), UINT(2, value)}},
};

/* Of a service that a later version asks for the id is known, so that it can be answered; of other messages nothing. */
static const struct shape later_service = {{UINT(1, id)}}, later_message;

static const struct shape *shape_of(uint32_t type)
{
    if (type <= MESSAGE_UNSUPPORTED && shapes[type].fields[0].key != 0)
        return &shapes[type];
    return type >= MESSAGE_SERVICES ? &later_service : &later_message;
}

static void *member(struct message *m, const struct field *f)
{
    return (uint8_t *)m + f->at;
}

static const void *member_of(const struct message *m, const struct field *f)
{
    return (const uint8_t *)m + f->at;
}

/* ---- Reading ---- */

static void read_addr(struct wire *w, struct net_addr *out)
{
    struct bytes b = wire_bin(w, NET_ADDR_WIRE_MAX);
    if (wire_ok(w) && !net_addr_from_wire(out, b.data, b.size))
        wire_fail(w);
}

static void read_chunks(struct wire *w, struct message *m)
{
    m->chunk_count = wire_array(w, MESSAGE_HAVES_MAX);
    for (uint32_t i = 0; i < m->chunk_count; i++)
        m->chunks[i] = (uint32_t)wire_uint_max(w, UINT32_MAX);
}

static void read_peers(struct wire *w, struct message *m)
{
    m->peer_count = wire_array(w, MESSAGE_PEERS_MAX);
    for (uint32_t i = 0; i < m->peer_count; i++) {
        if (wire_array(w, 2) != 2)
            wire_fail(w);
        wire_bin_exact(w, m->peers[i].key, NODE_KEY_SIZE);
        read_addr(w, &m->peers[i].addr);
    }
}

static void read_field(struct wire *w, struct message *m, const struct field *f)
{
    switch ((enum field_kind)f->kind) {
    case FIELD_UINT:
        *(uint32_t *)member(m, f) = (uint32_t)wire_uint_max(w, f->max);
        break;
    case FIELD_BOOL:
        *(bool *)member(m, f) = wire_bool(w);
        break;
    case FIELD_STATUS:
        *(int *)member(m, f) = -(int)wire_uint_max(w, f->max);
        break;
    case FIELD_STR:
        *(struct bytes *)member(m, f) = wire_str(w, f->max);
        break;
    case FIELD_BIN:
        *(struct bytes *)member(m, f) = wire_bin(w, f->max);
        break;
    case FIELD_HASH:
        wire_bin_exact(w, member(m, f), HASH_SIZE);
        break;
    case FIELD_ADDR:
        read_addr(w, member(m, f));
        m->has_addr = true;
        break;
    case FIELD_CHUNKS:
        read_chunks(w, m);
        break;
    case FIELD_PEERS:
        read_peers(w, m);
        break;
    }
}

static void read_key(struct wire *w, struct message *m, const struct shape *shape, uint64_t key, uint32_t *seen)
{
    for (uint32_t i = 0; i < FIELDS_MAX && shape->fields[i].key != 0; i++) {
        if (shape->fields[i].key == key) {
            *seen |= 1u << i;
            read_field(w, m, &shape->fields[i]);
            return;
        }
    }
    wire_skip(w);
}

static bool is_there(const struct message *m, const struct field *f)
{
    return f->need == NEEDED || (f->need == UNLESS_ALL && !m->all);
}

/* True when what must be there was, and nothing that contradicts the rest. */
static bool complete(const struct message *m, const struct shape *shape, uint32_t seen)
{
    for (uint32_t i = 0; i < FIELDS_MAX && shape->fields[i].key != 0; i++) {
        const struct field *f = &shape->fields[i];
        bool was = seen >> i & 1;
        if (f->need != OPTIONAL && was != is_there(m, f))
            return false;
    }
    return true;
}

/* Everything but the two big arrays, which are written before they are read. */
static void message_reset(struct message *m)
{
    memset(m, 0, offsetof(struct message, chunks));
    m->chunk_count = m->peer_count = 0;
}

bool message_read(struct wire *w, struct message *out)
{
    message_reset(out);
    if (!wire_ok(w) || wire_left(w) == 0)
        return false;
    struct wire_map map = wire_map(w);
    uint64_t key;
    uint32_t seen = 0;
    if (!wire_map_next(w, &map, &key) || key != 0) {
        wire_fail(w);
        return false;
    }
    out->type = (uint32_t)wire_uint_max(w, UINT32_MAX);
    const struct shape *shape = shape_of(out->type);
    while (wire_map_next(w, &map, &key))
        read_key(w, out, shape, key, &seen);
    if (wire_ok(w) && shape != &later_service && !complete(out, shape, seen))
        wire_fail(w);
    return wire_ok(w);
}

/* ---- Writing ---- */

static void write_addr(struct pack *p, const struct net_addr *a)
{
    uint8_t wire[NET_ADDR_WIRE_MAX];
    pack_bin(p, wire, net_addr_to_wire(wire, a));
}

static void write_chunks(struct pack *p, const struct message *m)
{
    pack_array(p, m->chunk_count);
    for (uint32_t i = 0; i < m->chunk_count; i++)
        pack_uint(p, m->chunks[i]);
}

static void write_peers(struct pack *p, const struct message *m)
{
    pack_array(p, m->peer_count);
    for (uint32_t i = 0; i < m->peer_count; i++) {
        pack_array(p, 2);
        pack_bin(p, m->peers[i].key, NODE_KEY_SIZE);
        write_addr(p, &m->peers[i].addr);
    }
}

static void write_field(struct pack *p, const struct message *m, const struct field *f)
{
    const struct bytes *bytes = member_of(m, f);
    pack_uint(p, f->key);
    switch ((enum field_kind)f->kind) {
    case FIELD_UINT:
        pack_uint(p, *(const uint32_t *)member_of(m, f));
        break;
    case FIELD_BOOL:
        pack_bool(p, *(const bool *)member_of(m, f));
        break;
    case FIELD_STATUS:
        pack_uint(p, (uint64_t)-(int64_t)m->status);
        break;
    case FIELD_STR:
        pack_str(p, (const char *)bytes->data, bytes->size);
        break;
    case FIELD_BIN:
        pack_bin(p, bytes->data, bytes->size);
        break;
    case FIELD_HASH:
        pack_bin(p, member_of(m, f), HASH_SIZE);
        break;
    case FIELD_ADDR:
        write_addr(p, member_of(m, f));
        break;
    case FIELD_CHUNKS:
        write_chunks(p, m);
        break;
    case FIELD_PEERS:
        write_peers(p, m);
        break;
    }
}

static bool is_written(const struct message *m, const struct field *f)
{
    if (f->need != OPTIONAL)
        return is_there(m, f);
    switch ((enum field_kind)f->kind) {
    case FIELD_BOOL:
        return *(const bool *)member_of(m, f);
    case FIELD_STATUS:
        return m->status != 0;
    case FIELD_ADDR:
        return m->has_addr;
    default:
        core_assert(!"no optional field of this kind");
        return false;
    }
}

bool message_write(struct pack *p, const struct message *m)
{
    const struct shape *shape = shape_of(m->type);
    size_t before = p->size;
    uint32_t pairs = 1;
    core_assert(pack_ok(p));
    for (uint32_t i = 0; i < FIELDS_MAX && shape->fields[i].key != 0; i++)
        pairs += is_written(m, &shape->fields[i]);
    pack_map(p, pairs);
    pack_key_uint(p, 0, m->type);
    for (uint32_t i = 0; i < FIELDS_MAX && shape->fields[i].key != 0; i++)
        if (is_written(m, &shape->fields[i]))
            write_field(p, m, &shape->fields[i]);
    if (pack_ok(p))
        return true;
    p->size = before;
    p->overflow = false;
    return false;
}
