#include "node/channel/stream.h"
#include "node/base/assert.h"
#include "node/base/pack.h"
#include "node/base/wire.h"
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>

#define PREFIX_SIZE 2
#define MAC_SIZE    16
#define SMALL_PART  64                      /* copied into place rather than sealed by a call of its own */
#define HELLO_MAX   (STREAM_FIRST_MAX + 64) /* the key and the msgpack around it included */

struct direction {
    EVP_CIPHER_CTX *context; /* holds the key; only the nonce is set per frame */
    struct noise_cipher cipher;
};

struct stream_keys {
    struct direction send, receive;
};

struct stream_handshake {
    struct noise_handshake noise;
    uint8_t head[NOISE_MESSAGE_1_OVERHEAD - MAC_SIZE]; /* of message 1, from stream_hello_begin to stream_hello_end */
    size_t head_size;                                  /* 0: the peer's key was refused */
};

/* ---- ciphers ---- */

static bool direction_open(struct direction *d, int encrypt)
{
    d->context = EVP_CIPHER_CTX_new();
    return d->context &&
           EVP_CipherInit_ex(d->context, EVP_chacha20_poly1305(), NULL, d->cipher.key, NULL, encrypt) == 1;
}

static void keys_free(struct stream_keys *k)
{
    if (!k)
        return;
    EVP_CIPHER_CTX_free(k->send.context);
    EVP_CIPHER_CTX_free(k->receive.context);
    sodium_memzero(k, sizeof *k);
    free(k);
}

/* REKEY(k): the first 32 bytes of ENCRYPT(k, 2^64 - 1, empty, 32 zeroes) (Noise, 4.2). */
static void rekey(uint8_t key[32])
{
    static const uint8_t zeroes[32] = {0};
    static const uint8_t nonce[12] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t out[32 + MAC_SIZE];
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, zeroes, sizeof zeroes, NULL, 0, NULL, nonce, key);
    memcpy(key, out, 32);
    sodium_memzero(out, sizeof out);
}

/* Sets the nonce of the next frame, after a rekey when one is due. The nonce counts on across rekeys. */
static bool direction_next(struct direction *d)
{
    uint8_t nonce[12] = {0};
    uint64_t n = d->cipher.nonce;
    if (n && n % STREAM_REKEY_FRAMES == 0) {
        rekey(d->cipher.key);
        if (EVP_CipherInit_ex(d->context, NULL, NULL, d->cipher.key, NULL, -1) != 1)
            return false;
    }
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(n >> (8 * i));
    d->cipher.nonce++;
    return EVP_CipherInit_ex(d->context, NULL, NULL, NULL, nonce, -1) == 1;
}

static bool update(struct direction *d, uint8_t *out, const uint8_t *in, size_t size)
{
    int done = 0;
    return size == 0 || (EVP_CipherUpdate(d->context, out, &done, in, (int)size) == 1 && (size_t)done == size);
}

/* ---- handshake ---- */

static void handshake_free(struct stream *s)
{
    if (s->handshake)
        noise_wipe(&s->handshake->noise);
    free(s->handshake);
    s->handshake = NULL;
}

static void die(struct stream *s)
{
    handshake_free(s);
    keys_free(s->keys);
    s->keys = NULL;
    s->state = STREAM_DEAD;
}

static int fail(struct stream *s, int error)
{
    die(s);
    return error;
}

int stream_init(struct stream *s, const struct stream_config *config, const uint8_t *peer_key, const uint8_t ephemeral[32])
{
    static const char version[] = "shoal/1";
    uint8_t prologue[sizeof version - 1 + HASH_SIZE], remote[32];
    struct bytes parts[] = {bytes_of(config->network->id, NETWORK_ID_SIZE),
                            bytes_of(config->network->secret, NETWORK_SECRET_SIZE)};

    memset(s, 0, sizeof *s);
    s->initiator = peer_key != NULL;
    if (peer_key) {
        memcpy(s->peer_key, peer_key, NODE_KEY_SIZE);
        if (crypto_sign_ed25519_pk_to_curve25519(remote, peer_key) != 0)
            return fail(s, ERR_MALFORMED);
    }
    s->handshake = calloc(1, sizeof *s->handshake);
    if (!s->handshake)
        return fail(s, ERR_NO_MEMORY);

    memcpy(prologue, version, sizeof version - 1);
    core_crypto_real.hash(prologue + sizeof version - 1, HASH_SIZE, NULL, 0, parts, 2);
    noise_init(&s->handshake->noise, s->initiator, bytes_of(prologue, sizeof prologue), config->me->dh_secret,
               config->me->dh_public, ephemeral, peer_key ? remote : NULL, config->network->secret);
    return 0;
}

void stream_fini(struct stream *s)
{
    die(s);
}

/* docs/protocol.md, "Streams": {0: Ed25519 key, 1: control bytes, left out when there are none}. */
static size_t payload_write(uint8_t *out, size_t cap, const struct node_identity *me, struct bytes control)
{
    struct pack p;
    core_assert(control.size <= STREAM_FIRST_MAX);
    pack_init(&p, out, cap);
    pack_map(&p, control.size ? 2 : 1);
    pack_key_bin(&p, 0, me->key, NODE_KEY_SIZE);
    if (control.size)
        pack_key_bin(&p, 1, control.data, control.size);
    core_assert(pack_ok(&p));
    return p.size;
}

static int payload_read(uint8_t peer_key[NODE_KEY_SIZE], struct bytes *control, const uint8_t *data, size_t size)
{
    struct wire w;
    uint64_t key;
    bool have_key = false;
    *control = bytes_of(NULL, 0);
    wire_init(&w, data, size);
    struct wire_map m = wire_map(&w);
    while (wire_map_next(&w, &m, &key)) {
        switch (key) {
        case 0:
            wire_bin_exact(&w, peer_key, NODE_KEY_SIZE);
            have_key = true;
            break;
        case 1:
            *control = wire_bin(&w, STREAM_FIRST_MAX);
            break;
        default:
            wire_skip(&w);
        }
    }
    return wire_done(&w) && have_key ? 0 : ERR_MALFORMED;
}

/* Adds prefix and sealed payload around the head, which is at `out + PREFIX_SIZE` already. Returns the total. */
static size_t message_end(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out,
                          size_t head)
{
    uint8_t payload[HELLO_MAX];
    size_t size = payload_write(payload, sizeof payload, config->me, control);
    size = head + noise_write_end(&s->handshake->noise, out + PREFIX_SIZE + head, bytes_of(payload, size));
    put_be16(out, (uint16_t)size);
    return PREFIX_SIZE + size;
}

static void bind_to(struct stream *s)
{
    struct bytes part = bytes_of(s->handshake->noise.hash, NOISE_HASH_SIZE);
    core_crypto_real.hash(s->binding, HASH_SIZE, NULL, 0, &part, 1);
}

/* Both transport keys are taken over and the handshake is forgotten. */
static int open_transport(struct stream *s)
{
    struct stream_keys *k = calloc(1, sizeof *k);
    s->keys = k;
    if (!k)
        return ERR_NO_MEMORY;
    noise_split(&s->handshake->noise, &k->send.cipher, &k->receive.cipher);
    if (!direction_open(&k->send, 1) || !direction_open(&k->receive, 0))
        return ERR_NO_MEMORY;
    handshake_free(s);
    s->state = STREAM_OPEN;
    return 0;
}

void stream_hello_begin(struct stream *s, const struct stream_config *config)
{
    (void)config;
    core_assert(s->state == STREAM_START && s->initiator);
    s->state = STREAM_HANDSHAKE;
    s->handshake->head_size = noise_write_begin(&s->handshake->noise, s->handshake->head);
    /* stream_init refused every Ed25519 key of small order, and conversion keeps the order. */
    core_assert(s->handshake->head_size == sizeof s->handshake->head);
    bind_to(s);
}

size_t stream_hello_end(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out)
{
    core_assert(s->state == STREAM_HANDSHAKE && s->initiator);
    memcpy(out + PREFIX_SIZE, s->handshake->head, s->handshake->head_size);
    return message_end(s, config, control, out, s->handshake->head_size);
}

/* The sealed rest of a message is opened in place and taken apart. */
static int message_read_end(struct stream *s, uint8_t *message, size_t size, size_t head,
                            uint8_t peer_key[NODE_KEY_SIZE], struct bytes *control)
{
    size_t payload_size;
    if (size - head > HELLO_MAX + MAC_SIZE)
        return ERR_MALFORMED;
    int rc = noise_read_end(&s->handshake->noise, message + head, size - head, message + head, &payload_size);
    return rc ? rc : payload_read(peer_key, control, message + head, payload_size);
}

int stream_read_hello(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size,
                      struct bytes *control)
{
    size_t head;
    uint8_t converted[32];
    (void)config;
    core_assert(s->state == STREAM_START && !s->initiator);
    s->state = STREAM_HANDSHAKE;
    int rc = noise_read_begin(&s->handshake->noise, message, size, &head);
    if (rc)
        return fail(s, rc);
    bind_to(s);
    rc = message_read_end(s, message, size, head, s->peer_key, control);
    if (rc)
        return fail(s, rc);
    /* The static key proved to be the sender's; the Ed25519 key must be the same point. */
    if (crypto_sign_ed25519_pk_to_curve25519(converted, s->peer_key) != 0 ||
        memcmp(converted, s->handshake->noise.remote_static, 32) != 0)
        return fail(s, ERR_AUTH);
    return 0;
}

size_t stream_reply(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out)
{
    core_assert(s->state == STREAM_HANDSHAKE && !s->initiator);
    size_t head = noise_write_begin(&s->handshake->noise, out + PREFIX_SIZE);
    core_assert(head); /* both of the peer's points were multiplied in message 1 */
    size_t size = message_end(s, config, control, out, head);
    if (open_transport(s)) {
        die(s);
        return 0;
    }
    return size;
}

int stream_read_reply(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size,
                      struct bytes *control)
{
    size_t head;
    uint8_t key[NODE_KEY_SIZE] = {0};
    (void)config;
    core_assert(s->state == STREAM_HANDSHAKE && s->initiator);
    int rc = noise_read_begin(&s->handshake->noise, message, size, &head);
    if (rc == 0)
        rc = message_read_end(s, message, size, head, key, control);
    /* The static key is the one that was dialled, so the payload's must be as well, to the sign bit that conversion drops. */
    if (rc == 0 && memcmp(key, s->peer_key, NODE_KEY_SIZE) != 0)
        rc = ERR_AUTH;
    if (rc == 0)
        rc = open_transport(s);
    s->confirmed = rc == 0;
    return rc ? fail(s, rc) : 0;
}

/* ---- frames ---- */

/* Lays small parts into their places and seals in place whatever lies there in one run; a large part elsewhere is sealed across. */
static bool seal_parts(struct direction *d, const struct bytes *parts, size_t count, uint8_t *out)
{
    uint8_t *place = out, *run = out; /* [run, place) is plaintext in place, not yet sealed */
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size == 0)
            continue;
        if (parts[i].data != place) {
            if (parts[i].size > SMALL_PART) {
                if (!update(d, run, run, (size_t)(place - run)) || !update(d, place, parts[i].data, parts[i].size))
                    return false;
                run = place += parts[i].size;
                continue;
            }
            memcpy(place, parts[i].data, parts[i].size);
        }
        place += parts[i].size;
    }
    return update(d, run, run, (size_t)(place - run));
}

size_t stream_seal(struct stream *s, const struct bytes *parts, size_t count, uint8_t *out)
{
    size_t size = 0;
    int none;
    core_assert(s->state == STREAM_OPEN);
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    core_assert(size >= 1 && size <= STREAM_PLAIN_MAX);

    struct direction *d = &s->keys->send;
    uint8_t *body = out + PREFIX_SIZE;
    bool ok = direction_next(d) && seal_parts(d, parts, count, body) &&
              EVP_EncryptFinal_ex(d->context, body + size, &none) == 1 &&
              EVP_CIPHER_CTX_ctrl(d->context, EVP_CTRL_AEAD_GET_TAG, MAC_SIZE, body + size) == 1;
    core_assert(ok); /* a stream cipher on a keyed context asks for nothing that could be refused */
    put_be16(out, (uint16_t)(size + MAC_SIZE));
    return PREFIX_SIZE + size + MAC_SIZE;
}

int stream_open(struct stream *s, const uint8_t *in, size_t size, uint8_t *out)
{
    uint8_t tag[MAC_SIZE];
    int none;
    if (s->state != STREAM_OPEN)
        return ERR_CLOSED;
    if (size < MAC_SIZE + 1 || size > STREAM_FRAME_MAX)
        return fail(s, ERR_MALFORMED);

    struct direction *d = &s->keys->receive;
    size -= MAC_SIZE;
    memcpy(tag, in + size, MAC_SIZE);
    bool ok = direction_next(d) && EVP_CIPHER_CTX_ctrl(d->context, EVP_CTRL_AEAD_SET_TAG, MAC_SIZE, tag) == 1 &&
              update(d, out, in, size) && EVP_DecryptFinal_ex(d->context, tag, &none) == 1;
    if (!ok) {
        memset(out, 0, size);
        return fail(s, ERR_AUTH);
    }
    s->confirmed = true;
    return 0;
}
