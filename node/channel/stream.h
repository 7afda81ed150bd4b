/* The secure stream, sans-I/O: TCP bytes in, handshake payloads and frames out. The host owns every buffer; a stream that idles
 * holds only this struct. docs/protocol.md, "Streams".
 *
 * On the wire each handshake message and each frame is preceded by its size (2 bytes, big-endian). A frame's plaintext starts with
 * one type byte (transfer/frame.h). Bulk ChaCha20-Poly1305 is OpenSSL's (DESIGN.md, "Crypto"); rekey every 2^16 frames each way
 * (Noise, 11.3). The handshake's payloads are msgpack {0: Ed25519 key, 1: control bytes}; the key is checked against
 * the static key. */
#ifndef SHOAL_CHANNEL_STREAM_H
#define SHOAL_CHANNEL_STREAM_H
#include "node/base/time.h"
#include "node/channel/noise.h"

#define STREAM_FRAME_MAX       65535                      /* sealed size, size prefix not counted */
#define STREAM_PLAIN_MAX       (STREAM_FRAME_MAX - 16)
#define STREAM_FRAME_OVERHEAD  (2 + 16)
#define STREAM_REKEY_FRAMES    65536
#define STREAM_FIRST_MAX       4096                       /* most control bytes a handshake message may carry */

struct stream_keys;      /* OpenSSL cipher contexts, one per direction; heap, about 1 KiB */
struct stream_handshake; /* the Noise state; heap, under 1 KiB, gone when open */

enum stream_state { STREAM_START, STREAM_HANDSHAKE, STREAM_OPEN, STREAM_DEAD };

struct stream {
    enum stream_state state;
    bool initiator;
    bool confirmed;                       /* the peer is there: set by message 2 for the initiator, by the first frame for the responder */
    uint8_t peer_key[NODE_KEY_SIZE];      /* Ed25519; known from the start for the initiator, after message 1 for the responder */
    uint8_t binding[HASH_SIZE];           /* BLAKE2b-256 of the handshake hash before message 1's payload: what session MACs bind to */
    struct stream_handshake *handshake;   /* freed when open */
    struct stream_keys *keys;
};

/* Keys are converted from Ed25519 by libsodium itself, so `me` comes from core_crypto_real whatever table the node runs on: simnet has no byte
 * streams. Borrowed for each call. */
struct stream_config {
    const struct node_identity *me;
    const struct network *network;
    const struct core_crypto *crypto;
};

/* ephemeral: 32 fresh random bytes. peer_key: NULL for the responder. ERR_NO_MEMORY; ERR_MALFORMED when peer_key is no valid point. After an
 * error the stream is dead and owns nothing; stream_fini is harmless. */
int stream_init(struct stream *s, const struct stream_config *config, const uint8_t *peer_key, const uint8_t ephemeral[32]);
void stream_fini(struct stream *s);

/* Initiator: 1. stream_hello_begin -> binding is set; 2. ask the core for control bytes; 3. stream_hello_end writes the prefixed message 1
 * (`out` has 2 + NOISE_MESSAGE_1_OVERHEAD + 64 + control.size). Returns bytes written.
 * Responder: stream_read_hello on the whole message 1 (without prefix) -> peer_key, binding, control bytes (a span inside `message`, which is
 * opened in place); then stream_reply writes the prefixed message 2 (`out` has 2 + NOISE_MESSAGE_2_OVERHEAD + 64 + control.size) and the
 * stream is open. A replayed message 1 gets this far too: only s->confirmed says that the peer is there, so until then the handshake's time limit runs on, and
 * no older connection of that peer is given up for this one.
 * Initiator: stream_read_reply on message 2 -> control bytes; the stream is open.
 * Errors: ERR_MALFORMED, ERR_AUTH (other network, or not for us: hang up silently), ERR_NO_MEMORY, then the stream is dead. stream_reply returns
 * 0 when there is no memory for the ciphers; then too. control.size is at most STREAM_FIRST_MAX (asserted; a peer's excess is ERR_MALFORMED). */
void stream_hello_begin(struct stream *s, const struct stream_config *config);
size_t stream_hello_end(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out);
int stream_read_hello(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size, struct bytes *control);
size_t stream_reply(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out);
int stream_read_reply(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size, struct bytes *control);

/* One frame. seal: plaintext in up to 3 parts (header, payload...) -> prefix + ciphertext + tag in `out` (total + STREAM_FRAME_OVERHEAD).
 * `out` may hold any part already in its place (out + 2 + sizes of the parts before it): it is sealed there, in one pass with its small
 * neighbours; a part elsewhere must not overlap `out`. At least 1 and at most STREAM_PLAIN_MAX bytes in all (asserted). Returns bytes written.
 * open: one sealed frame without prefix; writes size - 16 bytes to `out` (may equal `in`). ERR_MALFORMED (no room for a tag and a type byte, or
 * too long) and ERR_AUTH kill the stream, as does any frame after that; nothing of a refused frame stays in `out`. */
size_t stream_seal(struct stream *s, const struct bytes *parts, size_t count, uint8_t *out);
int stream_open(struct stream *s, const uint8_t *in, size_t size, uint8_t *out);
#endif
