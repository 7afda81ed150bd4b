#include "node/channel/datagram.h"
#include "node/base/assert.h"
#include "node/base/err.h"
#include "node/channel/key_pool.h"

#define TAG_SIZE   8
#define TAG_AT     1
#define SENDER_AT  (TAG_AT + TAG_SIZE)
#define NONCE_AT   (SENDER_AT + NODE_KEY_SIZE)

_Static_assert(NONCE_AT + SEAL_NONCE_SIZE == DATAGRAM_HEAD, "version, tag, sender, nonce");

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

/* docs/protocol.md, "Datagrams": BLAKE2b-256("shoal datagram tag", network id, secret, recipient). */
static void tag_key(uint8_t out[32], const struct core_crypto *crypto, const struct network *network,
                    const uint8_t recipient[NODE_KEY_SIZE])
{
    struct bytes parts[] = {text("shoal datagram tag"), bytes_of(network->id, NETWORK_ID_SIZE),
                            bytes_of(network->secret, NETWORK_SECRET_SIZE), bytes_of(recipient, NODE_KEY_SIZE)};
    crypto->hash(out, 32, NULL, 0, parts, 4);
}

/* BLAKE2b-64(tag key, sender, nonce): constant in cost, whatever the datagram's size. The key goes in front rather than into BLAKE2b's own key
 * block, so that all fits one block at half the price; lengths are fixed and BLAKE2b has no length extension, so it is as good a MAC. What is
 * sealed has a tag of its own; this one only keeps strangers from causing key exchanges. */
static void tag_make(uint8_t out[TAG_SIZE], const struct core_crypto *crypto, const uint8_t key[32], const uint8_t *data)
{
    struct bytes parts[] = {bytes_of(key, 32), bytes_of(data + SENDER_AT, NODE_KEY_SIZE + SEAL_NONCE_SIZE)};
    crypto->hash(out, TAG_SIZE, NULL, 0, parts, 2);
}

static void direction_key(const struct datagram_channel *c, uint8_t out[SEAL_KEY_SIZE], const uint8_t shared[32],
                          const uint8_t *sender, const uint8_t *recipient)
{
    struct bytes parts[] = {bytes_of(shared, 32), text("shoal datagram"), bytes_of(c->network->id, NETWORK_ID_SIZE),
                            bytes_of(sender, NODE_KEY_SIZE), bytes_of(recipient, NODE_KEY_SIZE)};
    c->crypto->hash(out, SEAL_KEY_SIZE, NULL, 0, parts, 5);
}

/* The expensive step. False: the peer's key is no usable point. */
static bool exchange(struct datagram_channel *c, const uint8_t peer[NODE_KEY_SIZE], struct key_pair *out)
{
    uint8_t shared[32];
    c->exchanges++;
    if (!c->crypto->shared(shared, c->me, peer))
        return false;
    memcpy(out->ours, c->me->key, NODE_KEY_SIZE);
    memcpy(out->peer, peer, NODE_KEY_SIZE);
    direction_key(c, out->send, shared, c->me->key, peer);
    direction_key(c, out->receive, shared, peer, c->me->key);
    crypto_wipe(shared, sizeof shared);
    return true;
}

void datagram_channel_init(struct datagram_channel *c, const struct node_identity *me, const struct network *network,
                           const struct core_crypto *crypto, struct key_pool *keys, const uint8_t seed[32], core_time now)
{
    memset(c, 0, sizeof *c);
    c->me = me;
    c->network = network;
    c->crypto = crypto;
    c->keys = keys;
    c->budget = DATAGRAM_NEW_KEYS_BURST;
    c->budget_at = now;
    tag_key(c->tag_key, crypto, network, me->key);
    core_drbg_init(&c->nonces, seed);
    core_drbg_fill(&c->nonces, c->pool_secret, sizeof c->pool_secret);
}

/* Without a pool: the one key that this datagram needs. */
static bool derive(struct datagram_channel *c, const uint8_t peer[NODE_KEY_SIZE], bool sending, uint8_t out[SEAL_KEY_SIZE])
{
    uint8_t shared[32];
    if (!c->crypto->shared(shared, c->me, peer))
        return false;
    direction_key(c, out, shared, sending ? c->me->key : peer, sending ? peer : c->me->key);
    crypto_wipe(shared, sizeof shared);
    return true;
}

size_t datagram_seal(struct datagram_channel *c, const uint8_t peer_key[NODE_KEY_SIZE], const uint8_t *plain, size_t size,
                     uint8_t *out)
{
    uint8_t key[32], derived[SEAL_KEY_SIZE];
    const uint8_t *send = derived;
    core_assert(size <= DATAGRAM_PLAIN_MAX);
    if (!key_pool_keeps(c->keys)) {
        if (!derive(c, peer_key, true, derived))
            return 0;
    } else {
        struct key_pair fresh;
        uint32_t place = key_pool_place(c->keys, c->pool_secret, peer_key);
        const struct key_pair *pair = key_pool_find(c->keys, place, c->me->key, peer_key);
        if (!pair) {
            if (!exchange(c, peer_key, &fresh))
                return 0;
            pair = key_pool_insert(c->keys, place, &fresh);
            crypto_wipe(&fresh, sizeof fresh);
        }
        send = pair->send;
    }
    out[0] = DATAGRAM_VERSION;
    memcpy(out + SENDER_AT, c->me->key, NODE_KEY_SIZE);
    core_drbg_fill(&c->nonces, out + NONCE_AT, SEAL_NONCE_SIZE);
    tag_key(key, c->crypto, c->network, peer_key);
    tag_make(out + TAG_AT, c->crypto, key, out);
    c->crypto->seal(out + DATAGRAM_HEAD, plain, size, out, DATAGRAM_HEAD, out + NONCE_AT, send);
    return size + DATAGRAM_OVERHEAD;
}

/* A token bucket, counted in whole exchanges; the remainder of time stays in budget_at. */
static bool budget_take(struct datagram_channel *c, core_time now)
{
    const core_time one = CORE_SECONDS(1) / DATAGRAM_NEW_KEYS_PER_SECOND;
    core_time earned = now > c->budget_at ? (now - c->budget_at) / one : 0;
    if (earned >= DATAGRAM_NEW_KEYS_BURST - c->budget) {
        c->budget = DATAGRAM_NEW_KEYS_BURST;
        c->budget_at = now;
    } else {
        c->budget += (uint32_t)earned;
        c->budget_at += earned * one;
    }
    if (!c->budget)
        return false;
    c->budget--;
    return true;
}

/* A sender whose keys are not in the pool. A stranger is remembered only once its seal held, or one sender of garbage could evict everybody; a
 * known one in any case, or garbage under its name would cost an exchange each. */
static int open_new(struct datagram_channel *c, core_time now, uint32_t place, const uint8_t *data, size_t size,
                    bool known, uint8_t *out)
{
    struct key_pair fresh;
    const uint8_t *sender = data + SENDER_AT;
    if (!known && !budget_take(c, now)) {
        c->over_budget++;
        return ERR_QUOTA;
    }
    if (!exchange(c, sender, &fresh)) {
        c->bad_seal++;
        return ERR_AUTH;
    }
    bool ok = c->crypto->open(out, data + DATAGRAM_HEAD, size - DATAGRAM_HEAD, data, DATAGRAM_HEAD, data + NONCE_AT,
                              fresh.receive);
    if (ok || known)
        key_pool_insert(c->keys, place, &fresh);
    crypto_wipe(&fresh, sizeof fresh);
    c->bad_seal += !ok;
    return ok ? 0 : ERR_AUTH;
}

static int open_any(struct datagram_channel *c, core_time now, const uint8_t *data, size_t size,
                    bool (*known)(void *context, const uint8_t key[NODE_KEY_SIZE]), void *context, uint8_t *out)
{
    uint8_t derived[SEAL_KEY_SIZE];
    const uint8_t *sender = data + SENDER_AT, *receive = derived;
    if (!key_pool_keeps(c->keys)) {
        if (!derive(c, sender, false, derived)) {
            c->bad_seal++;
            return ERR_AUTH;
        }
    } else {
        uint32_t place = key_pool_place(c->keys, c->pool_secret, sender);
        const struct key_pair *pair = key_pool_find(c->keys, place, c->me->key, sender);
        if (!pair)
            return open_new(c, now, place, data, size, known && known(context, sender), out);
        receive = pair->receive;
    }
    if (c->crypto->open(out, data + DATAGRAM_HEAD, size - DATAGRAM_HEAD, data, DATAGRAM_HEAD, data + NONCE_AT, receive))
        return 0;
    c->bad_seal++;
    return ERR_AUTH;
}

int datagram_open(struct datagram_channel *c, core_time now, const uint8_t *data, size_t size,
                  uint8_t sender[NODE_KEY_SIZE], uint8_t *out, size_t *out_size,
                  bool (*known)(void *context, const uint8_t key[NODE_KEY_SIZE]), void *context)
{
    uint8_t tag[TAG_SIZE];
    if (size < DATAGRAM_OVERHEAD || size > DATAGRAM_MAX)
        return ERR_MALFORMED;
    if (data[0] != DATAGRAM_VERSION)
        return ERR_VERSION;
    tag_make(tag, c->crypto, c->tag_key, data);
    if (!crypto_equal(tag, data + TAG_AT, TAG_SIZE)) {
        c->bad_tag++;
        return ERR_NETWORK;
    }
    if (memcmp(data + SENDER_AT, c->me->key, NODE_KEY_SIZE) == 0) {
        c->bad_seal++;
        memcpy(sender, data + SENDER_AT, NODE_KEY_SIZE);
        return ERR_AUTH;
    }

    int rc = open_any(c, now, data, size, known, context, out);
    if (rc == ERR_QUOTA)
        return rc;
    memcpy(sender, data + SENDER_AT, NODE_KEY_SIZE);
    if (rc == 0)
        *out_size = size - DATAGRAM_OVERHEAD;
    return rc;
}
