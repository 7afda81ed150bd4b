/* The channel's cost beside what it is made of, in one run: frames of 10 + 48 KiB sealed and opened by stream.c and by bare EVP calls (context
 * and key kept, nonce set per frame), and the price of a datagram and of each way to refuse one. Prints medians; the ratio is what counts. */
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "node/channel/datagram.h"
#include "node/channel/stream.h"

#define HEAD    10
#define BODY    (48 * 1024)
#define PLAIN   (HEAD + BODY)
#define FRAMES  20000
#define ROUNDS  9

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "channel_bench: %s\n", what);
        exit(1);
    }
}

/* ---- streams ---- */

static struct network network;
static struct node_identity me[2];

static void open_pair(struct stream s[2])
{
    struct stream_config config[2];
    uint8_t ephemeral[32], message[512];
    struct bytes control;
    for (int i = 0; i < 2; i++) {
        config[i] = (struct stream_config){&me[i], &network, &core_crypto_real};
        memset(ephemeral, 50 + i, 32);
        must(stream_init(&s[i], &config[i], i == 0 ? me[1].key : NULL, ephemeral) == 0, "init");
    }
    stream_hello_begin(&s[0], &config[0]);
    size_t n = stream_hello_end(&s[0], &config[0], bytes_of(NULL, 0), message);
    must(stream_read_hello(&s[1], &config[1], message + 2, n - 2, &control) == 0, "message 1");
    n = stream_reply(&s[1], &config[1], bytes_of(NULL, 0), message);
    must(stream_read_reply(&s[0], &config[0], message + 2, n - 2, &control) == 0, "message 2");
}

struct bare {
    EVP_CIPHER_CTX *context;
    uint64_t nonce;
};

static void bare_open(struct bare *b, int encrypt)
{
    uint8_t key[32] = {1};
    b->context = EVP_CIPHER_CTX_new();
    b->nonce = 0;
    must(EVP_CipherInit_ex(b->context, EVP_chacha20_poly1305(), NULL, key, NULL, encrypt), "EVP");
}

static void bare_frame(struct bare *b, uint8_t *data, int encrypt)
{
    uint8_t nonce[12] = {0};
    int n;
    memcpy(nonce + 4, &b->nonce, 8);
    b->nonce++;
    EVP_CipherInit_ex(b->context, NULL, NULL, NULL, nonce, -1);
    if (!encrypt)
        EVP_CIPHER_CTX_ctrl(b->context, EVP_CTRL_AEAD_SET_TAG, 16, data + PLAIN);
    EVP_CipherUpdate(b->context, data, &n, data, PLAIN);
    must(EVP_CipherFinal_ex(b->context, data + PLAIN, &n), "bare tag");
    if (encrypt)
        EVP_CIPHER_CTX_ctrl(b->context, EVP_CTRL_AEAD_GET_TAG, 16, data + PLAIN);
}

static void stream_frame(struct stream s[2], uint8_t *frame, double *seal, double *open)
{
    static const uint8_t head[HEAD] = {1};
    struct bytes parts[] = {bytes_of(head, HEAD), bytes_of(frame + 2 + HEAD, BODY)};
    double t0 = now_s();
    size_t n = stream_seal(&s[0], parts, 2, frame);
    double t1 = now_s();
    must(stream_open(&s[1], frame + 2, n - 2, frame + 2) == 0, "open");
    *seal = t1 - t0;
    *open = now_s() - t1;
}

static void bare_both(struct bare b[2], uint8_t *frame, double *seal, double *open)
{
    double t0 = now_s();
    bare_frame(&b[0], frame + 2, 1);
    double t1 = now_s();
    bare_frame(&b[1], frame + 2, 0);
    *seal = t1 - t0;
    *open = now_s() - t1;
}

static void streams(void)
{
    static uint8_t frame[2 + STREAM_FRAME_MAX];
    struct stream s[2];
    struct bare b[2];
    static double seal[2][FRAMES], open[2][FRAMES];
    const double gib = (double)PLAIN / (1 << 30);
    open_pair(s);
    bare_open(&b[0], 1);
    bare_open(&b[1], 0);
    for (int i = 0; i < FRAMES; i++) { /* in turns and frame by frame, so that a busy machine hits both alike */
        stream_frame(s, frame, &seal[0][i], &open[0][i]);
        bare_both(b, frame, &seal[1][i], &open[1][i]);
    }
    double ss = gib / median(seal[0], FRAMES), so = gib / median(open[0], FRAMES);
    double bs = gib / median(seal[1], FRAMES), bo = gib / median(open[1], FRAMES);
    printf("frames of 10 + 49152 bytes, medians of %d: seal %.2f GiB/s (bare EVP %.2f, ratio %.2f), open %.2f GiB/s (bare EVP %.2f, "
           "ratio %.2f)\n", FRAMES, ss, bs, ss / bs, so, bo, so / bo);
    double t[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        stream_fini(&s[0]);
        stream_fini(&s[1]);
        double t0 = now_s();
        open_pair(s);
        t[i] = now_s() - t0;
    }
    printf("handshake, both sides: %.0f us\n", median(t, ROUNDS) * 1e6);
    for (int i = 0; i < 2; i++) {
        stream_fini(&s[i]);
        EVP_CIPHER_CTX_free(b[i].context);
    }
}

/* ---- datagrams ---- */

struct dgrams {
    const struct core_crypto *crypto;
    struct key_pool *keys;
    struct node_identity me[2], third;
    struct datagram_channel channel[2];
    uint8_t wire[DATAGRAM_MAX], plain[DATAGRAM_MAX], sender[NODE_KEY_SIZE];
    size_t size, plain_size;
    core_time now;
};

static int open_one(struct dgrams *d, core_time now)
{
    return datagram_open(&d->channel[1], now, d->wire, d->size, d->sender, d->plain, &d->plain_size, NULL, NULL);
}

static void op_seal(struct dgrams *d, uint32_t i)
{
    (void)i;
    d->size = datagram_seal(&d->channel[0], d->me[1].key, d->plain, 600, d->wire);
}
static void op_open(struct dgrams *d, uint32_t i)
{
    (void)i;
    must(open_one(d, 0) == 0, "datagram");
}
static void op_foreign(struct dgrams *d, uint32_t i)
{
    d->wire[1] ^= 1;
    must(open_one(d, i) != 0, "foreign");
    d->wire[1] ^= 1;
}
static void retag(struct dgrams *d)
{
    struct bytes parts[] = {bytes_of(d->channel[1].tag_key, 32), bytes_of(d->wire + 9, NODE_KEY_SIZE + SEAL_NONCE_SIZE)};
    d->crypto->hash(d->wire + 1, 8, NULL, 0, parts, 2);
}
/* A member's garbage in the name of a real key: the full exchange, then a seal that does not hold. */
static void op_new_sender(struct dgrams *d, uint32_t i)
{
    memcpy(d->wire + 9, d->third.key, NODE_KEY_SIZE);
    retag(d);
    (void)i;
    must(open_one(d, d->now += CORE_SECONDS(1)) != 0, "garbage");
}
static void op_over_budget(struct dgrams *d, uint32_t i)
{
    (void)i;
    must(open_one(d, 0) != 0, "over budget");
}

static double cost(struct dgrams *d, void (*op)(struct dgrams *, uint32_t), uint32_t count)
{
    double t[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double t0 = now_s();
        for (uint32_t i = 0; i < count; i++)
            op(d, i);
        t[r] = (now_s() - t0) / count;
    }
    return median(t, ROUNDS) * 1e6;
}

static void datagrams(const struct core_crypto *crypto)
{
    struct dgrams d = {.crypto = crypto, .keys = key_pool_new(&core_alloc_libc, crypto, 1000)};
    uint8_t seed[32] = {1};
    for (int i = 0; i < 2; i++) {
        seed[1] = (uint8_t)i;
        crypto->identity(&d.me[i], seed);
        datagram_channel_init(&d.channel[i], &d.me[i], &network, crypto, d.keys, seed, 0);
    }
    seed[1] = 9;
    crypto->identity(&d.third, seed);
    op_seal(&d, 0);
    double seal = cost(&d, op_seal, 20000), open = cost(&d, op_open, 20000), foreign = cost(&d, op_foreign, 20000);
    double new_sender = cost(&d, op_new_sender, 300);
    d.channel[1].budget = 0;
    d.channel[1].budget_at = CORE_HOURS(1);
    double over = cost(&d, op_over_budget, 20000);
    printf("datagrams of 600 bytes, %s table: seal %.2f us, open %.2f us, wrong tag %.2f us, garbage from a new sender %.1f us, the same over "
           "budget %.2f us\n", crypto->name, seal, open, foreign, new_sender, over);
    key_pool_free(d.keys);
}

int main(void)
{
    uint8_t seed[32] = {0};
    must(sodium_init() >= 0, "sodium");
    for (int i = 0; i < 2; i++) {
        seed[0] = (uint8_t)(i + 1);
        core_crypto_real.identity(&me[i], seed);
    }
    streams();
    datagrams(&core_crypto_real);
    datagrams(&core_crypto_cheap);
    return 0;
}
