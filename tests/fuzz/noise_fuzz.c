/* Handshake messages from a peer: raw bytes as either message, and genuine messages with some bytes changed. Nothing but the genuine ones
 * may be accepted, and a failed handshake must be wipeable. */
#include <sodium.h>
#include <stdlib.h>
#include "node/channel/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX 1024

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void init(struct noise_handshake *h, bool initiator)
{
    uint8_t secret[2][32], public[2][32], ephemeral[32], psk[32];
    memset(secret[0], 1, 32);
    memset(secret[1], 2, 32);
    memset(ephemeral, initiator ? 3 : 4, 32);
    memset(psk, 5, 32);
    for (int i = 0; i < 2; i++)
        crypto_scalarmult_base(public[i], secret[i]);
    noise_init(h, initiator, bytes_of("prologue", 8), secret[!initiator], public[!initiator], ephemeral,
               initiator ? public[1] : NULL, psk);
}

static int read_message(struct noise_handshake *h, const uint8_t *message, size_t size)
{
    uint8_t out[MESSAGE_MAX];
    size_t head, payload;
    int rc = noise_read_begin(h, message, size, &head);
    if (rc == 0)
        rc = noise_read_end(h, message + head, size - head, out, &payload);
    if (rc == 0)
        require(payload == size - head - 16);
    return rc;
}

static size_t write_message(struct noise_handshake *h, uint8_t *out)
{
    size_t size = noise_write_begin(h, out);
    return size + noise_write_end(h, out + size, bytes_of("payload", 7));
}

/* The rest of the input says which bytes to change: position, value. */
static bool patch(uint8_t *message, size_t size, const uint8_t *data, size_t left)
{
    uint8_t original[MESSAGE_MAX];
    memcpy(original, message, size);
    for (; left >= 2; data += 2, left -= 2)
        message[data[0] % size] ^= data[1];
    return memcmp(original, message, size) != 0;
}

/* libFuzzer watches memcmp and so learns a genuine message sooner or later. */
static bool same(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && memcmp(a, b, a_size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct noise_handshake a, b;
    uint8_t message[MESSAGE_MAX];
    if (size < 1 || size > MESSAGE_MAX - 100)
        return 0;
    init(&a, true);
    init(&b, false);
    switch (data[0] % 4) {
    case 0: { /* raw message 1 */
        size_t n = write_message(&a, message);
        require((read_message(&b, data + 1, size - 1) == 0) == same(message, n, data + 1, size - 1));
        break;
    }
    case 1: { /* raw message 2 */
        uint8_t genuine[MESSAGE_MAX];
        size_t n = write_message(&a, message);
        require(read_message(&b, message, n) == 0);
        n = write_message(&b, genuine);
        require((read_message(&a, data + 1, size - 1) == 0) == same(genuine, n, data + 1, size - 1));
        break;
    }
    default: { /* a genuine message 1 or 2, changed */
        size_t n = write_message(&a, message);
        bool second = data[0] % 4 == 3;
        if (second) {
            require(read_message(&b, message, n) == 0);
            n = write_message(&b, message);
        }
        bool changed = patch(message, n, data + 1, size - 1);
        require((read_message(second ? &a : &b, message, n) == 0) == !changed);
    }
    }
    noise_wipe(&a);
    noise_wipe(&b);
    return 0;
}
