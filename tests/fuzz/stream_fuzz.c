/* The secure stream against a peer: raw bytes as messages and frames; genuine Noise around a payload of the fuzzer's choice, which is the only way
 * to reach the payload's decoder; frames sealed, changed, cut. */
#include <sodium.h>
#include <stdlib.h>
#include "node/channel/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct network network = {{7}, {0}, false};
static struct node_identity me[2];
static struct stream_config config[2];

static void setup(void)
{
    uint8_t seed[32] = {0};
    if (config[0].me)
        return;
    for (int i = 0; i < 2; i++) {
        seed[0] = (uint8_t)(i + 1);
        core_crypto_real.identity(&me[i], seed);
        config[i] = (struct stream_config){&me[i], &network, &core_crypto_real};
    }
}

static void start(struct stream *s, int side)
{
    uint8_t ephemeral[32];
    memset(ephemeral, 50 + side, 32);
    require(stream_init(s, &config[side], side == 0 ? me[1].key : NULL, ephemeral) == 0);
}

static void open_pair(struct stream *a, struct stream *b)
{
    uint8_t message[512];
    struct bytes control;
    start(a, 0);
    start(b, 1);
    stream_hello_begin(a, &config[0]);
    size_t n = stream_hello_end(a, &config[0], bytes_of("c", 1), message);
    require(stream_read_hello(b, &config[1], message + 2, n - 2, &control) == 0 && control.size == 1);
    n = stream_reply(b, &config[1], bytes_of(NULL, 0), message);
    require(stream_read_reply(a, &config[0], message + 2, n - 2, &control) == 0 && control.size == 0);
}

/* A peer whose Noise is right and whose payload is ours to choose. */
static void authentic_payload(const uint8_t *data, size_t size)
{
    uint8_t message[8192], prologue[7 + HASH_SIZE], ephemeral[32] = {9};
    struct bytes control, parts[] = {bytes_of(network.id, NETWORK_ID_SIZE), bytes_of(network.secret, NETWORK_SECRET_SIZE)};
    struct noise_handshake h;
    struct stream s;
    memcpy(prologue, "shoal/1", 7);
    core_crypto_real.hash(prologue + 7, HASH_SIZE, NULL, 0, parts, 2);
    noise_init(&h, true, bytes_of(prologue, sizeof prologue), me[0].dh_secret, me[0].dh_public, ephemeral, me[1].dh_public,
               network.secret);
    size_t n = noise_write_begin(&h, message);
    n += noise_write_end(&h, message + n, bytes_of(data, size));
    start(&s, 1);
    int rc = stream_read_hello(&s, &config[1], message, n, &control);
    if (rc == 0) {
        require(memcmp(s.peer_key, me[0].key, NODE_KEY_SIZE) == 0);
        require(control.size <= STREAM_FIRST_MAX);
        require(control.size == 0 || (control.data >= message && control.data + control.size <= message + n));
    } else {
        require(s.state == STREAM_DEAD && !s.handshake);
    }
    stream_fini(&s);
}

static void raw(const uint8_t *data, size_t size, int side)
{
    uint8_t first[512], *copy = malloc(size ? size : 1);
    struct bytes control;
    struct stream s;
    if (size)
        memcpy(copy, data, size);
    start(&s, side);
    if (side == 0) {
        stream_hello_begin(&s, &config[0]);
        stream_hello_end(&s, &config[0], bytes_of(NULL, 0), first);
        require(stream_read_reply(&s, &config[0], copy, size, &control) != 0);
    } else {
        require(stream_read_hello(&s, &config[1], copy, size, &control) != 0);
    }
    require(s.state == STREAM_DEAD);
    stream_fini(&s);
    free(copy);
}

static void frames(const uint8_t *data, size_t size, bool genuine)
{
    struct stream a, b;
    uint8_t *frame = malloc(size + STREAM_FRAME_OVERHEAD), *plain = malloc(size + 1);
    open_pair(&a, &b);
    if (genuine && size) {
        size_t half = size / 2;
        struct bytes parts[] = {bytes_of(data, half), bytes_of(data + half, size - half)};
        size_t n = stream_seal(&a, parts, 2, frame);
        require(n == size + STREAM_FRAME_OVERHEAD);
        require(stream_open(&b, frame + 2, n - 2, plain) == 0 && memcmp(plain, data, size) == 0);
        n = stream_seal(&a, parts, 2, frame);
        frame[2 + data[0] % (n - 2)] ^= (uint8_t)(data[size - 1] | 1);
        require(stream_open(&b, frame + 2, n - 2, frame + 2) != 0 && b.state == STREAM_DEAD);
    } else {
        require(stream_open(&b, data, size, plain) != 0 && b.state == STREAM_DEAD);
    }
    stream_fini(&a);
    stream_fini(&b);
    free(frame);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    setup();
    if (size < 1 || size > 6000)
        return 0;
    switch (data[0] % 5) {
    case 0:
    case 1:
        raw(data + 1, size - 1, data[0] % 5);
        break;
    case 2:
        authentic_payload(data + 1, size - 1);
        break;
    default:
        frames(data + 1, size - 1, data[0] % 5 == 3);
    }
    return 0;
}
