#include "dht/record.h"
#include "node/base/assert.h"
#include "node/base/pack.h"
#include "node/base/wire.h"
#include <string.h>

#define LABEL "shoal record 1"
#define SIGNED_MAX (sizeof LABEL - 1 + NETWORK_ID_SIZE + 1 + DHT_KEY_SIZE + 16 + DHT_VALUE_MAX)

/* Fixed widths, so that no two different records have the same signed bytes. */
static size_t signed_bytes(uint8_t out[SIGNED_MAX], const struct dht_record_view *r, const uint8_t key[DHT_KEY_SIZE],
                           const struct network *network)
{
    uint8_t *p = out;
    memcpy(p, LABEL, sizeof LABEL - 1);
    p += sizeof LABEL - 1;
    memcpy(p, network->id, NETWORK_ID_SIZE);
    p += NETWORK_ID_SIZE;
    *p++ = r->kind;
    memcpy(p, key, DHT_KEY_SIZE);
    p += DHT_KEY_SIZE;
    put_be64(p, r->sequence);
    put_be64(p + 8, r->expiry_s);
    p += 16;
    if (r->value.size)
        memcpy(p, r->value.data, r->value.size);
    return (size_t)(p - out) + r->value.size;
}

size_t dht_record_sign(uint8_t *out, size_t cap, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], uint64_t sequence,
                       uint64_t expiry_s, struct bytes value, const struct node_identity *me, const struct network *network,
                       const struct core_crypto *crypto)
{
    if (value.size > DHT_VALUE_MAX)
        return 0;
    uint8_t message[SIGNED_MAX], signature[SIGNATURE_SIZE];
    struct dht_record_view r = {.kind = (uint8_t)kind, .publisher = me->key, .sequence = sequence, .expiry_s = expiry_s, .value = value};
    crypto->sign(signature, message, signed_bytes(message, &r, key, network), me);
    struct pack p;
    pack_init(&p, out, cap < DHT_RECORD_WIRE_MAX ? cap : DHT_RECORD_WIRE_MAX);
    pack_map(&p, 6);
    pack_key_uint(&p, 0, r.kind);
    pack_key_bin(&p, 1, me->key, NODE_KEY_SIZE);
    pack_key_uint(&p, 2, sequence);
    pack_key_uint(&p, 3, expiry_s);
    pack_key_bin(&p, 4, value.data, value.size);
    pack_key_bin(&p, 5, signature, SIGNATURE_SIZE);
    return pack_ok(&p) ? p.size : 0;
}

int dht_record_read(struct dht_record_view *out, struct bytes wire)
{
    memset(out, 0, sizeof *out);
    if (wire.size > DHT_RECORD_WIRE_MAX)
        return ERR_MALFORMED;
    struct wire w;
    wire_init(&w, wire.data, wire.size);
    struct wire_map map = wire_map(&w);
    uint64_t key;
    uint32_t seen = 0;
    while (wire_map_next(&w, &map, &key)) {
        struct bytes b;
        seen |= key < 6 ? 1u << key : 0;
        switch (key) {
        case 0:
            out->kind = (uint8_t)wire_uint_max(&w, UINT8_MAX);
            break;
        case 1:
        case 5:
            b = wire_bin(&w, SIGNATURE_SIZE);
            if (b.size != (key == 1 ? NODE_KEY_SIZE : SIGNATURE_SIZE))
                wire_fail(&w);
            *(key == 1 ? &out->publisher : &out->signature) = b.data;
            break;
        case 2:
            out->sequence = wire_uint(&w);
            break;
        case 3:
            out->expiry_s = wire_uint(&w);
            break;
        case 4:
            out->value = wire_bin(&w, DHT_VALUE_MAX);
            break;
        default:
            wire_skip(&w);
        }
    }
    return wire_done(&w) && seen == 0x3f ? 0 : ERR_MALFORMED;
}

int dht_record_verify(const struct dht_record_view *r, const uint8_t key[DHT_KEY_SIZE], const struct network *network,
                      const struct core_crypto *crypto)
{
    if (r->kind == DHT_PROFILE) {
        uint8_t position[HASH_SIZE];
        node_position(position, r->publisher, crypto);
        if (memcmp(position, key, HASH_SIZE) != 0)
            return ERR_AUTH;
    }
    uint8_t message[SIGNED_MAX];
    size_t size = signed_bytes(message, r, key, network);
    return crypto->verify(r->signature, message, size, r->publisher) ? 0 : ERR_AUTH;
}
