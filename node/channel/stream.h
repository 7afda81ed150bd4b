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

struct stream_keys; /* OpenSSL cipher contexts, one per direction; heap, about 1 KiB */

enum stream_state { STREAM_START, STREAM_HANDSHAKE, STREAM_OPEN, STREAM_DEAD };

struct stream {
    enum stream_state state;
    bool initiator;
    uint8_t peer_key[NODE_KEY_SIZE];      /* Ed25519; known from the start for the initiator, after message 1 for the responder */
    uint8_t binding[HASH_SIZE];           /* BLAKE2b-256 of the handshake hash before message 1's payload: what session MACs bind to */
    struct noise_handshake *handshake;    /* freed when open */
    struct stream_keys *keys;
};

struct stream_config { /* borrowed for the stream's life */
    const struct node_identity *me;
    const struct network *network;
    const struct core_crypto *crypto;
};

/* ephemeral: 32 fresh random bytes. peer_key: NULL for the responder. ERR_NO_MEMORY; ERR_MALFORMED when peer_key is no valid point. */
int stream_init(struct stream *s, const struct stream_config *config, const uint8_t *peer_key, const uint8_t ephemeral[32]);
void stream_fini(struct stream *s);

/* Initiator: 1. stream_hello_begin -> binding is set; 2. ask the core for control bytes; 3. stream_hello_end writes the prefixed message 1
 * (`out` has 2 + NOISE_MESSAGE_1_OVERHEAD + 64 + control.size). Returns bytes written.
 * Responder: stream_read_hello on the whole message 1 (without prefix) -> peer_key, binding, control bytes (a span inside `message`, which is
 * opened in place); then stream_reply writes the prefixed message 2 and the stream is open.
 * Initiator: stream_read_reply on message 2 -> control bytes; the stream is open.
 * Errors: ERR_MALFORMED, ERR_AUTH (other network, or not for us: hang up silently), then the stream is dead. */
void stream_hello_begin(struct stream *s, const struct stream_config *config);
size_t stream_hello_end(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out);
int stream_read_hello(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size, struct bytes *control);
size_t stream_reply(struct stream *s, const struct stream_config *config, struct bytes control, uint8_t *out);
int stream_read_reply(struct stream *s, const struct stream_config *config, uint8_t *message, size_t size, struct bytes *control);

/* One frame. seal: plaintext in up to 3 parts (header, payload...) -> prefix + ciphertext + tag in `out` (total + STREAM_FRAME_OVERHEAD).
 * `out` may hold the last part already in its place (out + 2 + sizes of the parts before it). Returns bytes written.
 * open: one sealed frame without prefix; writes size - 16 bytes to `out` (may equal `in`). ERR_AUTH kills the stream. */
size_t stream_seal(struct stream *s, const struct bytes *parts, size_t count, uint8_t *out);
int stream_open(struct stream *s, const uint8_t *in, size_t size, uint8_t *out);
#endif
