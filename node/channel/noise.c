#include "node/channel/noise.h"
#include "node/base/assert.h"
#include <sodium.h>

#define HASH_BLOCK  128 /* BLAKE2b's block, for HMAC (RFC 2104) */
#define DH_SIZE     32
#define MAC_SIZE    16
#define STATIC_SIZE (DH_SIZE + MAC_SIZE)

_Static_assert(NOISE_MESSAGE_1_OVERHEAD == DH_SIZE + STATIC_SIZE + MAC_SIZE, "e, s, payload");
_Static_assert(NOISE_MESSAGE_2_OVERHEAD == DH_SIZE + MAC_SIZE, "e, payload");

/* What may happen next: write or read, begin then end. Each side passes through all four in its own roles. */
enum { STEP_1_BEGIN, STEP_1_END, STEP_2_BEGIN, STEP_2_END, STEP_DONE };

static void hash_two(uint8_t out[NOISE_HASH_SIZE], struct bytes a, struct bytes b)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_SIZE);
    crypto_generichash_update(&state, a.data, a.size);
    crypto_generichash_update(&state, b.data, b.size);
    crypto_generichash_final(&state, out, NOISE_HASH_SIZE);
}

/* HMAC-BLAKE2b (Noise, 4.3) of up to two spans. Keys are never longer than a block. */
static void hmac(uint8_t out[NOISE_HASH_SIZE], const uint8_t key[NOISE_HASH_SIZE], struct bytes a, struct bytes b)
{
    uint8_t pad[HASH_BLOCK], inner[NOISE_HASH_SIZE];
    crypto_generichash_state state;

    for (size_t i = 0; i < HASH_BLOCK; i++)
        pad[i] = 0x36 ^ (i < NOISE_HASH_SIZE ? key[i] : 0);
    crypto_generichash_init(&state, NULL, 0, NOISE_HASH_SIZE);
    crypto_generichash_update(&state, pad, sizeof pad);
    crypto_generichash_update(&state, a.data, a.size);
    crypto_generichash_update(&state, b.data, b.size);
    crypto_generichash_final(&state, inner, sizeof inner);

    for (size_t i = 0; i < HASH_BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hash_two(out, bytes_of(pad, sizeof pad), bytes_of(inner, sizeof inner));
    sodium_memzero(pad, sizeof pad);
    sodium_memzero(inner, sizeof inner);
}

/* HKDF (Noise, 4.3): output i = HMAC(temp, output i-1, byte i). */
static void hkdf(uint8_t (*out)[NOISE_HASH_SIZE], uint8_t count, const uint8_t chaining_key[NOISE_HASH_SIZE],
                 struct bytes material)
{
    uint8_t temp[NOISE_HASH_SIZE];
    hmac(temp, chaining_key, material, bytes_of(NULL, 0));
    for (uint8_t i = 0; i < count; i++) {
        uint8_t number = (uint8_t)(i + 1);
        hmac(out[i], temp, i ? bytes_of(out[i - 1], NOISE_HASH_SIZE) : bytes_of(NULL, 0), bytes_of(&number, 1));
    }
    sodium_memzero(temp, sizeof temp);
}

static void mix_hash(struct noise_handshake *h, const uint8_t *data, size_t size)
{
    hash_two(h->hash, bytes_of(h->hash, NOISE_HASH_SIZE), bytes_of(data, size));
}

static void cipher_set(struct noise_handshake *h, const uint8_t key[32])
{
    memcpy(h->cipher.key, key, 32); /* HASHLEN is 64: truncated (Noise, 5.2) */
    h->cipher.nonce = 0;
    h->has_key = true;
}

static void mix_key(struct noise_handshake *h, const uint8_t material[32])
{
    uint8_t out[2][NOISE_HASH_SIZE];
    hkdf(out, 2, h->chaining_key, bytes_of(material, 32));
    memcpy(h->chaining_key, out[0], NOISE_HASH_SIZE);
    cipher_set(h, out[1]);
    sodium_memzero(out, sizeof out);
}

static void mix_psk(struct noise_handshake *h)
{
    uint8_t out[3][NOISE_HASH_SIZE];
    hkdf(out, 3, h->chaining_key, bytes_of(h->psk, 32));
    memcpy(h->chaining_key, out[0], NOISE_HASH_SIZE);
    mix_hash(h, out[1], NOISE_HASH_SIZE);
    cipher_set(h, out[2]);
    sodium_memzero(out, sizeof out);
}

/* The DH tokens. False: the peer's point is of low order, so that the result would be zeroes whatever our key is. */
static bool mix_dh(struct noise_handshake *h, const uint8_t secret[32], const uint8_t remote[32])
{
    uint8_t shared[DH_SIZE];
    bool ok = crypto_scalarmult(shared, secret, remote) == 0;
    if (ok)
        mix_key(h, shared);
    sodium_memzero(shared, sizeof shared);
    return ok;
}

/* Token e, either side's. In psk patterns it is mixed into the key as well (Noise, 9.2). */
static void mix_ephemeral(struct noise_handshake *h, const uint8_t key[32])
{
    mix_hash(h, key, DH_SIZE);
    if (h->has_psk)
        mix_key(h, key);
}

static void nonce_write(uint8_t out[12], uint64_t n)
{
    memset(out, 0, 4);
    for (size_t i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(n >> (8 * i));
}

static void encrypt_and_hash(struct noise_handshake *h, uint8_t *out, const uint8_t *plain, size_t size)
{
    uint8_t nonce[12];
    core_assert(h->has_key);
    nonce_write(nonce, h->cipher.nonce++);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, size, h->hash, NOISE_HASH_SIZE, NULL, nonce,
                                              h->cipher.key);
    mix_hash(h, out, size + MAC_SIZE);
}

static bool decrypt_and_hash(struct noise_handshake *h, uint8_t *out, const uint8_t *sealed, size_t size)
{
    uint8_t nonce[12], associated[NOISE_HASH_SIZE];
    core_assert(h->has_key);
    nonce_write(nonce, h->cipher.nonce++);
    memcpy(associated, h->hash, sizeof associated);
    mix_hash(h, sealed, size); /* first, because `out` may be `sealed` */
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, size, associated, sizeof associated,
                                                     nonce, h->cipher.key) == 0;
}

void noise_init(struct noise_handshake *h, bool initiator, struct bytes prologue, const uint8_t static_secret[32],
                const uint8_t static_public[32], const uint8_t ephemeral_secret[32], const uint8_t remote_static[32],
                const uint8_t psk[32])
{
    static const char with_psk[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b";
    static const char without[] = "Noise_IK_25519_ChaChaPoly_BLAKE2b";
    const char *name = psk ? with_psk : without;

    core_assert(initiator == (remote_static != NULL));
    memset(h, 0, sizeof *h);
    h->initiator = initiator;
    h->has_psk = psk != NULL;
    memcpy(h->hash, name, strlen(name)); /* shorter than HASHLEN: padded with zeroes (Noise, 5.2) */
    memcpy(h->chaining_key, h->hash, NOISE_HASH_SIZE);
    memcpy(h->static_secret, static_secret, 32);
    memcpy(h->static_public, static_public, 32);
    memcpy(h->ephemeral_secret, ephemeral_secret, 32);
    if (psk)
        memcpy(h->psk, psk, 32);
    if (remote_static)
        memcpy(h->remote_static, remote_static, 32);

    mix_hash(h, prologue.data, prologue.size);
    mix_hash(h, initiator ? h->remote_static : h->static_public, DH_SIZE); /* pre-message "<- s" */
}

size_t noise_write_begin(struct noise_handshake *h, uint8_t *out)
{
    core_assert(h->step == (h->initiator ? STEP_1_BEGIN : STEP_2_BEGIN));
    h->step++;
    crypto_scalarmult_base(h->ephemeral_public, h->ephemeral_secret);
    memcpy(out, h->ephemeral_public, DH_SIZE);
    mix_ephemeral(h, h->ephemeral_public);
    if (h->initiator) { /* e, es, s, ss */
        if (!mix_dh(h, h->ephemeral_secret, h->remote_static))
            return 0;
        encrypt_and_hash(h, out + DH_SIZE, h->static_public, DH_SIZE);
        if (!mix_dh(h, h->static_secret, h->remote_static))
            return 0;
        return DH_SIZE + STATIC_SIZE;
    }
    /* e, ee, se, psk */
    if (!mix_dh(h, h->ephemeral_secret, h->remote_ephemeral) || !mix_dh(h, h->ephemeral_secret, h->remote_static))
        return 0;
    if (h->has_psk)
        mix_psk(h);
    return DH_SIZE;
}

size_t noise_write_end(struct noise_handshake *h, uint8_t *out, struct bytes payload)
{
    core_assert(h->step == (h->initiator ? STEP_1_END : STEP_2_END));
    core_assert(payload.size <= NOISE_MESSAGE_MAX - NOISE_MESSAGE_1_OVERHEAD);
    h->step++;
    encrypt_and_hash(h, out, payload.data, payload.size);
    return payload.size + MAC_SIZE;
}

static int read_first(struct noise_handshake *h, const uint8_t *message)
{
    memcpy(h->remote_ephemeral, message, DH_SIZE);
    mix_ephemeral(h, h->remote_ephemeral);
    if (!mix_dh(h, h->static_secret, h->remote_ephemeral))
        return ERR_MALFORMED;
    if (!decrypt_and_hash(h, h->remote_static, message + DH_SIZE, STATIC_SIZE))
        return ERR_AUTH;
    return mix_dh(h, h->static_secret, h->remote_static) ? 0 : ERR_MALFORMED;
}

static int read_second(struct noise_handshake *h, const uint8_t *message)
{
    memcpy(h->remote_ephemeral, message, DH_SIZE);
    mix_ephemeral(h, h->remote_ephemeral);
    if (!mix_dh(h, h->ephemeral_secret, h->remote_ephemeral) || !mix_dh(h, h->static_secret, h->remote_ephemeral))
        return ERR_MALFORMED;
    if (h->has_psk)
        mix_psk(h);
    return 0;
}

int noise_read_begin(struct noise_handshake *h, const uint8_t *message, size_t size, size_t *head_size)
{
    core_assert(h->step == (h->initiator ? STEP_2_BEGIN : STEP_1_BEGIN));
    h->step++;
    *head_size = h->initiator ? DH_SIZE : DH_SIZE + STATIC_SIZE;
    if (size < *head_size + MAC_SIZE || size > NOISE_MESSAGE_MAX)
        return ERR_MALFORMED;
    return h->initiator ? read_second(h, message) : read_first(h, message);
}

int noise_read_end(struct noise_handshake *h, const uint8_t *rest, size_t size, uint8_t *payload,
                   size_t *payload_size)
{
    core_assert(h->step == (h->initiator ? STEP_2_END : STEP_1_END));
    h->step++;
    if (size < MAC_SIZE)
        return ERR_MALFORMED;
    if (!decrypt_and_hash(h, payload, rest, size))
        return ERR_AUTH;
    *payload_size = size - MAC_SIZE;
    return 0;
}

void noise_split(const struct noise_handshake *h, struct noise_cipher *send, struct noise_cipher *receive)
{
    uint8_t out[2][NOISE_HASH_SIZE];
    core_assert(h->step == STEP_DONE);
    hkdf(out, 2, h->chaining_key, bytes_of(NULL, 0));
    memcpy(send->key, out[h->initiator ? 0 : 1], 32);
    memcpy(receive->key, out[h->initiator ? 1 : 0], 32);
    send->nonce = receive->nonce = 0;
    sodium_memzero(out, sizeof out);
}

void noise_wipe(struct noise_handshake *h)
{
    sodium_memzero(h, sizeof *h);
}
