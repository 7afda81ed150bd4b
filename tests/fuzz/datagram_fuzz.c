/* Datagrams from strangers (raw), from a member who makes the tag (the rest raw), and genuine ones changed. Only unchanged genuine ones may open.
 * The pool of keys is kept across the parts of one input, so that eviction happens too. */
#include <stdlib.h>
#include "node/base/err.h"
#include "node/channel/datagram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool known(void *context, const uint8_t key[NODE_KEY_SIZE])
{
    (void)context;
    return key[0] & 1;
}

struct world {
    struct network network;
    struct node_identity me[2];
    struct key_pool *keys;
    struct datagram_channel channel[2];
};

static void world_init(struct world *w, const struct core_crypto *crypto)
{
    uint8_t seed[32] = {0};
    memset(w, 0, sizeof *w);
    w->keys = key_pool_new(&core_alloc_libc, crypto, 3);
    for (int i = 0; i < 2; i++) {
        seed[0] = (uint8_t)(i + 1);
        crypto->identity(&w->me[i], seed);
        datagram_channel_init(&w->channel[i], &w->me[i], &w->network, crypto, w->keys, seed, 0);
    }
}

static int open_at(struct world *w, core_time now, const uint8_t *data, size_t size)
{
    uint8_t sender[NODE_KEY_SIZE], plain[DATAGRAM_PLAIN_MAX];
    size_t plain_size = 0;
    int rc = datagram_open(&w->channel[1], now, data, size, sender, plain, &plain_size, known, NULL);
    if (rc == 0)
        require(plain_size == size - DATAGRAM_OVERHEAD);
    return rc;
}

static void retag(struct world *w, uint8_t *data)
{
    struct bytes parts[] = {bytes_of(w->channel[1].tag_key, 32), bytes_of(data + 9, NODE_KEY_SIZE + SEAL_NONCE_SIZE)};
    w->channel[1].crypto->hash(data + 1, 8, NULL, 0, parts, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    uint8_t datagram[DATAGRAM_MAX + 64];
    if (size < 2 || size > DATAGRAM_MAX)
        return 0;
    /* The cheap table's seals can be forged, and libFuzzer, which watches memcmp, will; but it is fast. */
    bool real = data[0] & 1;
    world_init(&w, real ? &core_crypto_real : &core_crypto_cheap);
    require(open_at(&w, 0, data + 1, size - 1) != 0);

    if (size - 1 >= DATAGRAM_OVERHEAD) { /* a member's tag on raw bytes */
        memcpy(datagram, data + 1, size - 1);
        datagram[0] = DATAGRAM_VERSION;
        retag(&w, datagram);
        int rc = open_at(&w, 1, datagram, size - 1);
        require(rc == ERR_AUTH || (rc == 0 && !real));
        require(open_at(&w, 2, datagram, size - 1) == rc);
    }

    size_t plain = size - 1 < DATAGRAM_PLAIN_MAX ? size - 1 : DATAGRAM_PLAIN_MAX;
    size_t n = datagram_seal(&w.channel[0], w.me[1].key, data + 1, plain, datagram);
    require(n == plain + DATAGRAM_OVERHEAD && open_at(&w, 3, datagram, n) == 0);
    size_t at = (data[0] << 8 | data[1]) % n;
    datagram[at] ^= (uint8_t)(data[size - 1] | 1);
    require(open_at(&w, 4, datagram, n) != 0);
    key_pool_check(w.keys);
    require(key_pool_count(w.keys) <= 3);
    key_pool_free(w.keys);
    return 0;
}
