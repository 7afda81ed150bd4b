/* The crypto table: pure leaf functions that the cores may call. `core_crypto_real` is libsodium; `core_crypto_cheap` is a
 * deterministic stand-in for very large simulations, with the same sizes and the same round trips and no security at all.
 *
 * The cores never draw system randomness: secrets come from a 32-byte seed given at init and are stretched with
 * core_drbg (a ChaCha20 stream). */
#ifndef SHOAL_BASE_CRYPTO_H
#define SHOAL_BASE_CRYPTO_H
#include "node/base/bytes.h"

#define NODE_KEY_SIZE  32 /* Ed25519 public key: what a node is */
#define NODE_SEED_SIZE 32 /* Ed25519 seed: what a node keeps secret */
#define HASH_SIZE      32 /* BLAKE2b-256 */
#define SIGNATURE_SIZE 64
#define SEAL_KEY_SIZE  32
#define SEAL_NONCE_SIZE 24 /* XChaCha20: random nonces are safe */
#define SEAL_TAG_SIZE  16

struct node_identity {
    uint8_t key[NODE_KEY_SIZE];      /* Ed25519 public */
    uint8_t sign_secret[64];         /* libsodium's form: seed and public key */
    uint8_t dh_secret[32], dh_public[32]; /* the same key as X25519 */
};

struct core_crypto {
    const char *name;
    /* BLAKE2b with `out_size` 1..64 over the parts in order; key may be NULL (size 0) or up to 64 bytes. */
    void (*hash)(uint8_t *out, size_t out_size, const uint8_t *key, size_t key_size, const struct bytes *parts, size_t count);
    void (*identity)(struct node_identity *out, const uint8_t seed[NODE_SEED_SIZE]);
    void (*sign)(uint8_t out[SIGNATURE_SIZE], const uint8_t *message, size_t size, const struct node_identity *me);
    bool (*verify)(const uint8_t signature[SIGNATURE_SIZE], const uint8_t *message, size_t size, const uint8_t key[NODE_KEY_SIZE]);
    /* X25519 between our secret and the peer's Ed25519 key converted. False: the key is not a usable point (peer's fault). */
    bool (*shared)(uint8_t out[32], const struct node_identity *me, const uint8_t peer_key[NODE_KEY_SIZE]);
    /* XChaCha20-Poly1305-IETF. `out` has size + SEAL_TAG_SIZE; may equal `in`. */
    void (*seal)(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                 const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE]);
    /* `out` has size - SEAL_TAG_SIZE; false when forged. */
    bool (*open)(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                 const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE]);
};

extern const struct core_crypto core_crypto_real;
extern const struct core_crypto core_crypto_cheap;

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t size); /* constant time */
void crypto_wipe(void *memory, size_t size);

/* Deterministic random bytes: ChaCha20 keystream of a 32-byte seed, counted. Never stored on disk. */
struct core_drbg {
    uint8_t key[32];
    uint64_t counter;
};
void core_drbg_init(struct core_drbg *d, const uint8_t seed[32]);
void core_drbg_fill(struct core_drbg *d, uint8_t *out, size_t size);
#endif
