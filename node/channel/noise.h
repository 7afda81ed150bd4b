/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b (Noise Protocol Framework, revision 34): the handshake of every stream between nodes.
 * Sans-I/O, no globals, no allocation. psk = network secret (zeroes when public). The ephemeral key is an argument, so that the
 * simulator and the test vectors decide it. The transport phase is in stream.h. */
#ifndef SHOAL_CHANNEL_NOISE_H
#define SHOAL_CHANNEL_NOISE_H
#include "node/base/bytes.h"
#include "node/base/err.h"
#include "node/base/id.h"

#define NOISE_HASH_SIZE 64 /* BLAKE2b-512 */
#define NOISE_MESSAGE_1_OVERHEAD (32 + 48 + 16)
#define NOISE_MESSAGE_2_OVERHEAD (32 + 16)
#define NOISE_MESSAGE_MAX 65535

struct noise_cipher {
    uint8_t key[32];
    uint64_t nonce;
};

struct noise_handshake {
    uint8_t chaining_key[NOISE_HASH_SIZE], hash[NOISE_HASH_SIZE];
    struct noise_cipher cipher;
    uint8_t static_secret[32], static_public[32], ephemeral_secret[32], ephemeral_public[32];
    uint8_t remote_static[32], remote_ephemeral[32], psk[32];
    bool initiator, has_key, has_psk;
    uint8_t step;
};

/* static_public belongs to static_secret: it is given, and the ephemeral public key made late, so that a stranger's first message costs the
 * responder one multiplication. remote_static: the peer's X25519 key for the initiator, NULL for the responder. ephemeral_secret: 32 fresh
 * random bytes.
 * psk: the network secret, zeroes when public. NULL runs plain Noise_IK instead, which Shoal never speaks: it lets the
 * public vectors of both patterns check the same code. */
void noise_init(struct noise_handshake *h, bool initiator, struct bytes prologue, const uint8_t static_secret[32],
                const uint8_t static_public[32], const uint8_t ephemeral_secret[32], const uint8_t remote_static[32],
                const uint8_t psk[32]);

/* Each message is done in two steps, so that the payload can depend on the handshake hash (session MACs do): `_begin` handles the tokens
 * and leaves h->hash as both sides know it before the payload; `_end` handles the payload.
 * write: begin writes the head into `out` and returns its size, or 0 when the peer's key is a low-order point; end appends the sealed payload and returns the size appended (payload
 *        size + 16). out must have room for the message's overhead and payload.
 * read:  begin consumes the head; ERR_MALFORMED (short, low-order point) or ERR_AUTH. end opens the rest into `payload` (size - 16 bytes,
 *        may alias) and sets *payload_size; ERR_AUTH. After an error only noise_wipe may follow. */
size_t noise_write_begin(struct noise_handshake *h, uint8_t *out);
size_t noise_write_end(struct noise_handshake *h, uint8_t *out, struct bytes payload);
int noise_read_begin(struct noise_handshake *h, const uint8_t *message, size_t size, size_t *head_size);
int noise_read_end(struct noise_handshake *h, const uint8_t *rest, size_t size, uint8_t *payload, size_t *payload_size);

/* After both messages: the two transport keys, from this side's view. */
void noise_split(const struct noise_handshake *h, struct noise_cipher *send, struct noise_cipher *receive);
void noise_wipe(struct noise_handshake *h);
#endif
