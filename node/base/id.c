#include "node/base/id.h"

#include "node/base/assert.h"
#include "node/base/err.h"
#include "node/base/pack.h"
#include "node/base/wire.h"

#define ID_BINARY_SIZE (NODE_KEY_SIZE + 2 + 1)

/* Text forms are checked with BLAKE2b from the real table whatever the node runs on: a text form means the same everywhere. */
static void id_checksum(uint8_t out[2], const uint8_t key[NODE_KEY_SIZE], uint8_t version)
{
    uint8_t hash[HASH_SIZE];
    struct bytes parts[] = {bytes_of("shoal node", 10), bytes_of(key, NODE_KEY_SIZE), bytes_of(&version, 1)};
    core_crypto_real.hash(hash, sizeof hash, NULL, 0, parts, 3);
    memcpy(out, hash, 2);
}

void node_id_format(char *out, const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t binary[ID_BINARY_SIZE];
    memcpy(binary, key, NODE_KEY_SIZE);
    id_checksum(binary + NODE_KEY_SIZE, key, NODE_ID_VERSION);
    binary[ID_BINARY_SIZE - 1] = NODE_ID_VERSION;
    size_t count = base32_encode(out, binary, sizeof binary);
    core_assert(count == NODE_ID_TEXT_SIZE);
}

int node_id_parse(uint8_t key[NODE_KEY_SIZE], const char *text)
{
    uint8_t binary[ID_BINARY_SIZE], check[2];
    if (strnlen(text, NODE_ID_TEXT_SIZE + 1) != NODE_ID_TEXT_SIZE)
        return ERR_MALFORMED;
    if (!base32_decode(binary, sizeof binary, text, NODE_ID_TEXT_SIZE))
        return ERR_MALFORMED;
    uint8_t version = binary[ID_BINARY_SIZE - 1];
    /* The checksum covers the version, so a typing error in it is not mistaken for a newer version. */
    id_checksum(check, binary, version);
    if (memcmp(check, binary + NODE_KEY_SIZE, 2) != 0)
        return ERR_CHECKSUM;
    if (version != NODE_ID_VERSION)
        return ERR_VERSION;
    memcpy(key, binary, NODE_KEY_SIZE);
    return 0;
}

void node_position(uint8_t out[HASH_SIZE], const uint8_t key[NODE_KEY_SIZE], const struct core_crypto *crypto)
{
    struct bytes parts[] = {bytes_of(key, NODE_KEY_SIZE)};
    crypto->hash(out, HASH_SIZE, NULL, 0, parts, 1);
}

static const char invite_prefix[] = "shoal-invite:";
#define INVITE_BINARY_MAX ((INVITE_TEXT_MAX - sizeof invite_prefix) * 5 / 8)

int invite_format(char *out, const struct invite *in)
{
    uint8_t binary[INVITE_BINARY_MAX];
    struct pack p;
    if (in->node_count > INVITE_NODES_MAX)
        return ERR_RANGE;
    pack_init(&p, binary, sizeof binary - 4);
    pack_map(&p, in->network.is_private ? 4 : 3);
    pack_key_uint(&p, 0, 1);
    pack_key_bin(&p, 1, in->network.id, NETWORK_ID_SIZE);
    if (in->network.is_private)
        pack_key_bin(&p, 2, in->network.secret, NETWORK_SECRET_SIZE);
    pack_uint(&p, 3);
    pack_array(&p, in->node_count);
    for (uint32_t i = 0; i < in->node_count; i++) {
        uint8_t addr[NET_ADDR_WIRE_MAX];
        size_t addr_size = net_addr_to_wire(addr, &in->nodes[i].addr);
        pack_array(&p, 2);
        pack_bin(&p, in->nodes[i].key, NODE_KEY_SIZE);
        pack_bin(&p, addr, addr_size);
    }
    core_assert(pack_ok(&p));
    put_be32(binary + p.size, crc32_ieee(binary, p.size));
    memcpy(out, invite_prefix, sizeof invite_prefix - 1);
    base32_encode(out + sizeof invite_prefix - 1, binary, p.size + 4);
    return 0;
}

static void invite_read_nodes(struct wire *w, struct invite *out)
{
    out->node_count = wire_array(w, INVITE_NODES_MAX);
    for (uint32_t i = 0; i < out->node_count; i++) {
        struct node_addr *n = &out->nodes[i];
        if (wire_array(w, 2) != 2)
            wire_fail(w);
        wire_bin_exact(w, n->key, NODE_KEY_SIZE);
        struct bytes addr = wire_bin(w, NET_ADDR_WIRE_MAX);
        if (!net_addr_from_wire(&n->addr, addr.data, addr.size))
            wire_fail(w);
    }
}

static int invite_read(struct invite *out, const uint8_t *binary, size_t size)
{
    struct wire w;
    struct wire_map m;
    uint64_t key, version = 0;
    bool has_id = false;
    wire_init(&w, binary, size);
    m = wire_map(&w);
    while (wire_map_next(&w, &m, &key)) {
        switch (key) {
        case 0:
            version = wire_uint(&w);
            break;
        case 1:
            wire_bin_exact(&w, out->network.id, NETWORK_ID_SIZE);
            has_id = true;
            break;
        case 2:
            wire_bin_exact(&w, out->network.secret, NETWORK_SECRET_SIZE);
            out->network.is_private = true;
            break;
        case 3:
            invite_read_nodes(&w, out);
            break;
        default:
            wire_skip(&w);
        }
    }
    if (wire_ok(&w) && version > 1)
        return ERR_VERSION;
    return wire_done(&w) && version == 1 && has_id ? 0 : ERR_MALFORMED;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int invite_parse(struct invite *out, const char *text)
{
    uint8_t binary[INVITE_BINARY_MAX];
    struct invite got;
    size_t prefix = sizeof invite_prefix - 1;
    while (is_space(*text))
        text++;
    size_t size = strnlen(text, INVITE_TEXT_MAX + 64);
    while (size && is_space(text[size - 1]))
        size--;
    if (size <= prefix || memcmp(text, invite_prefix, prefix) != 0)
        return ERR_MALFORMED;
    size_t count = size - prefix, binary_size = count * 5 / 8;
    if (binary_size < 5 || binary_size > sizeof binary)
        return ERR_MALFORMED;
    if (!base32_decode(binary, binary_size, text + prefix, count))
        return ERR_MALFORMED;
    if (crc32_ieee(binary, binary_size - 4) != get_be32(binary + binary_size - 4))
        return ERR_CHECKSUM;
    memset(&got, 0, sizeof got);
    int r = invite_read(&got, binary, binary_size - 4);
    if (r == 0)
        *out = got;
    return r;
}
