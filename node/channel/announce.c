#include "node/channel/announce.h"
#include "node/base/err.h"

#define TAG_AT       1
#define KEY_AT       (TAG_AT + ANNOUNCE_TAG_SIZE)
#define PORT_AT      (KEY_AT + NODE_KEY_SIZE)
#define TIME_AT      (PORT_AT + 2)
#define SIGNATURE_AT (TIME_AT + 8)

_Static_assert(SIGNATURE_AT + SIGNATURE_SIZE == ANNOUNCE_SIZE, "version, tag, key, port, time, signature");

static const char domain[] = "shoal neighbour 1";
#define DOMAIN_SIZE (sizeof domain - 1)

/* Keyed by the network and taken over what changes, so that two announcements of one network do not look alike. */
static void tag_make(uint8_t out[ANNOUNCE_TAG_SIZE], const uint8_t *data, const struct network *network, const struct core_crypto *crypto)
{
    uint8_t key[32];
    struct bytes parts[] = {bytes_of(domain, DOMAIN_SIZE), bytes_of(network->id, NETWORK_ID_SIZE),
                            bytes_of(network->secret, NETWORK_SECRET_SIZE)};
    struct bytes covered = bytes_of(data + KEY_AT, SIGNATURE_AT - KEY_AT);
    crypto->hash(key, sizeof key, NULL, 0, parts, 3);
    crypto->hash(out, ANNOUNCE_TAG_SIZE, key, sizeof key, &covered, 1);
    crypto_wipe(key, sizeof key);
}

static void signed_bytes(uint8_t out[DOMAIN_SIZE + SIGNATURE_AT], const uint8_t *data)
{
    memcpy(out, domain, DOMAIN_SIZE);
    memcpy(out + DOMAIN_SIZE, data, SIGNATURE_AT);
}

void announce_encode(uint8_t out[ANNOUNCE_SIZE], const struct announce *a, const struct node_identity *me, const struct network *network,
                     const struct core_crypto *crypto)
{
    uint8_t message[DOMAIN_SIZE + SIGNATURE_AT];
    out[0] = ANNOUNCE_VERSION;
    memcpy(out + KEY_AT, me->key, NODE_KEY_SIZE);
    put_be16(out + PORT_AT, a->port);
    put_be64(out + TIME_AT, a->unix_ms);
    tag_make(out + TAG_AT, out, network, crypto);
    signed_bytes(message, out);
    crypto->sign(out + SIGNATURE_AT, message, sizeof message, me);
}

int announce_decode(struct announce *out, const uint8_t *data, size_t size, const struct network *network, const struct core_crypto *crypto)
{
    uint8_t tag[ANNOUNCE_TAG_SIZE];
    if (size < 1)
        return ERR_MALFORMED;
    if (data[0] != ANNOUNCE_VERSION)
        return ERR_VERSION;
    if (size != ANNOUNCE_SIZE)
        return ERR_MALFORMED;
    tag_make(tag, data, network, crypto);
    if (!crypto_equal(tag, data + TAG_AT, sizeof tag))
        return ERR_NETWORK;
    memcpy(out->key, data + KEY_AT, NODE_KEY_SIZE);
    out->port = get_be16(data + PORT_AT);
    out->unix_ms = get_be64(data + TIME_AT);
    return out->port ? 0 : ERR_MALFORMED;
}

int announce_verify(const uint8_t data[ANNOUNCE_SIZE], const struct core_crypto *crypto)
{
    uint8_t message[DOMAIN_SIZE + SIGNATURE_AT];
    signed_bytes(message, data);
    return crypto->verify(data + SIGNATURE_AT, message, sizeof message, data + KEY_AT) ? 0 : ERR_AUTH;
}
