/* The real crypto table, on libsodium. None of the functions used here needs sodium_init for correctness; the host calls it once
 * so that the fastest implementations are picked. */
#include "node/base/crypto.h"

#include <sodium.h>

#include "node/base/assert.h"

_Static_assert(crypto_sign_PUBLICKEYBYTES == NODE_KEY_SIZE, "Ed25519");
_Static_assert(crypto_sign_SECRETKEYBYTES == 64, "Ed25519");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == SEAL_NONCE_SIZE, "XChaCha20");

static void real_hash(uint8_t *out, size_t out_size, const uint8_t *key, size_t key_size, const struct bytes *parts, size_t count)
{
    crypto_generichash_state state;
    core_assert(out_size >= 1 && out_size <= 64);
    core_assert(key_size <= 64);
    crypto_generichash_init(&state, key_size ? key : NULL, key_size, out_size);
    for (size_t i = 0; i < count; i++)
        crypto_generichash_update(&state, parts[i].data, parts[i].size);
    crypto_generichash_final(&state, out, out_size);
}

static void real_identity(struct node_identity *out, const uint8_t seed[NODE_SEED_SIZE])
{
    crypto_sign_seed_keypair(out->key, out->sign_secret, seed);
    crypto_sign_ed25519_sk_to_curve25519(out->dh_secret, out->sign_secret);
    crypto_scalarmult_base(out->dh_public, out->dh_secret);
}

static void real_sign(uint8_t out[SIGNATURE_SIZE], const uint8_t *message, size_t size, const struct node_identity *me)
{
    crypto_sign_detached(out, NULL, message, size, me->sign_secret);
}

static bool real_verify(const uint8_t signature[SIGNATURE_SIZE], const uint8_t *message, size_t size,
                        const uint8_t key[NODE_KEY_SIZE])
{
    return crypto_sign_verify_detached(signature, message, size, key) == 0;
}

static bool real_shared(uint8_t out[32], const struct node_identity *me, const uint8_t peer_key[NODE_KEY_SIZE])
{
    uint8_t peer[32];
    /* Conversion refuses points of small order; scalarmult refuses an all-zero result. */
    return crypto_sign_ed25519_pk_to_curve25519(peer, peer_key) == 0 && crypto_scalarmult(out, me->dh_secret, peer) == 0;
}

static void real_seal(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                      const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE])
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, size, ad, ad_size, NULL, nonce, key);
}

static bool real_open(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                      const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE])
{
    return size >= SEAL_TAG_SIZE &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, size, ad, ad_size, nonce, key) == 0;
}

const struct core_crypto core_crypto_real = {
    .name = "real",
    .hash = real_hash,
    .identity = real_identity,
    .sign = real_sign,
    .verify = real_verify,
    .shared = real_shared,
    .seal = real_seal,
    .open = real_open,
};

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void crypto_wipe(void *memory, size_t size)
{
    sodium_memzero(memory, size);
}

void core_drbg_init(struct core_drbg *d, const uint8_t seed[32])
{
    memcpy(d->key, seed, 32);
    d->counter = 0;
}

void core_drbg_fill(struct core_drbg *d, uint8_t *out, size_t size)
{
    /* One nonce per call: blocks of different calls never share keystream. */
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    put_be64(nonce, d->counter++);
    crypto_stream_chacha20(out, size, nonce, d->key);
}
